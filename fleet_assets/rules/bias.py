"""Mounting bias of accelerometers: what they show while the vehicle stands."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from fleet_assets.rules.samples import Samples, Values
from fleet_assets.rules.windows import known_rows

MINUTES: Final = 10
"""How long a rest counts; detectors see that much of the time before a window."""
_MINUTE_US: Final = 60_000_000
_AT_REST_MPH: Final = 0.5
_LEAST: Final = 3


def without_bias(samples: Samples, axis: str) -> Values:
    """An axis less its median at rest over the ten minutes before the sample's minute.

    The median is taken over the medians of whole minutes, so that it does not depend on where a
    history is cut. A vehicle that has not stood for ten minutes keeps its values.
    """
    given = samples.of(axis)
    known = known_rows(given)  # few vehicles have an accelerometer
    values, vehicle = given[known], samples.vehicle[known]
    resting = samples.of("speed")[known] < _AT_REST_MPH
    if not resting.any():
        return given
    minute = samples.time_us[known] // _MINUTE_US
    rests = (
        pl.DataFrame(
            {"vehicle": vehicle, "minute": minute, "value": values}
        )
        .filter(pl.Series(resting))
        .group_by("vehicle", "minute")
        .agg(pl.col("value").median(), pl.len().alias("n"))
        .filter(pl.col("n") >= _LEAST)
    )  # fmt: skip
    begins = np.ones(len(values), np.bool_)
    begins[1:] = (minute[1:] != minute[:-1]) | (vehicle[1:] != vehicle[:-1])
    starts = np.flatnonzero(begins)
    wanted = pl.DataFrame({"vehicle": vehicle[starts], "minute": minute[starts]}).with_row_index(
        "n_th"
    )
    offsets = pl.DataFrame({"back": np.arange(1, MINUTES + 1)})
    bias = (
        wanted.join(offsets, how="cross")
        .with_columns(minute=pl.col("minute") - pl.col("back"))
        .join(rests, on=["vehicle", "minute"])
        .group_by("n_th")
        .agg(pl.col("value").median())
    )
    of_minute = np.zeros(len(starts))
    of_minute[bias["n_th"].to_numpy()] = bias["value"].to_numpy()
    lengths = np.diff(np.append(starts, len(values)))
    level = given.copy()
    level[known] -= np.repeat(of_minute, lengths)
    return level
