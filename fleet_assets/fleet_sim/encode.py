"""Samples as JSON messages, many at once.

Polars writes the objects (about 0.7 million a second and core); vehicles with the same sensors
are written together, because an absent sensor is an absent key.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.fleet_sim.draws import Ints
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.signals import Samples

Payloads = NDArray[np.object_]
"""An array of bytes objects."""

_NESTED = {
    "gps": {"lat": "gps_lat", "lon": "gps_lon"},
    "accelerometer": {"x": "accel_x", "y": "accel_y", "z": "accel_z"},
}


class Encoder:
    """Writes samples of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._ids = pl.Series(fleet.ids)
        self._profile = fleet.profile
        self._keys = fleet.profiles

    def encode(self, samples: Samples) -> Payloads:
        """One JSON object for each sample, in the same order."""
        payloads: Payloads = np.empty(samples.vehicle.size, dtype=object)
        profile = self._profile[samples.vehicle]
        for number, keys in enumerate(self._keys):
            rows = np.flatnonzero(profile == number)
            if rows.size:
                payloads[rows] = self._encode_rows(samples, rows, keys)
        return payloads

    def _encode_rows(self, samples: Samples, rows: Ints, keys: tuple[str, ...]) -> list[bytes]:
        columns = [
            self._ids.gather(samples.vehicle[rows]).alias("vehicle_id"),
            iso_texts(samples.time_ms[rows]).alias("timestamp"),
        ]
        for key in keys:
            nested = _NESTED.get(key)
            if nested:
                parts = [pl.Series(k, samples.values[c][rows]) for k, c in nested.items()]
                columns.append(pl.DataFrame(parts).to_struct(key))
                continue
            column = pl.Series(key, samples.values[key][rows])
            null = samples.nulls.get(key)
            if null is not None and null[rows].any():
                column = column.set(pl.Series(null[rows]), None)
            columns.append(column)
        texts = pl.DataFrame(columns).to_struct().struct.json_encode()
        return texts.cast(pl.Binary).to_list()


def iso_texts(time_ms: Ints) -> pl.Series:
    """Epoch milliseconds as ``2026-01-01T00:00:00.000Z``."""
    return pl.Series(time_ms).cast(pl.Datetime("ms")).dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
