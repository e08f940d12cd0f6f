"""Scripted drives: what a vehicle does, phase by phase, as rows that detectors read.

A phase lasts for some seconds; a signal in it is a number, a ramp (from, to), ABSENT or NULL, and
keeps its last value until a phase gives it another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from fleet_assets.contracts.signals import SIGNAL_BY_NAME, SIGNALS
from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.detect import pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.resolve import OVERRIDE_SCHEMA, VEHICLE_SCHEMA, InForce, resolve
from fleet_assets.rules.samples import Samples, samples_of

START: Final = datetime(2026, 2, 1, 5, 10, tzinfo=UTC)
NULL: Final = "null"
ABSENT: Final = None
MPS: Final = 2.23694
"""Miles per hour in a metre per second."""
G: Final = 9.80665
WANTED: Final = [s.name for s in SIGNALS if s.kind in ("number", "boolean")]
AT_REST: Final = {
    "engine_rpm": 800.0, "speed": 0.0, "throttle_position": 12.0, "coolant_temp": 85.0,
    "fuel_level": 60.0, "gps_lat": 41.6, "gps_lon": -93.6, "accel_x": 0.0, "accel_y": 0.0,
    "accel_z": 9.81, "battery_voltage": 14.0,
}  # fmt: skip
Given = float | tuple[float, float] | str | None


@dataclass
class Drive:
    """A drive of one vehicle, at some rate, with sensor noise by a seed."""

    rate_hz: float = 1.0
    vehicle_id: str = "v1"
    start: datetime = START
    seed: int = 1
    signals: dict[str, Given] = field(default_factory=lambda: dict(AT_REST))
    noise: dict[str, float] = field(default_factory=dict)
    _parts: list[pl.DataFrame] = field(default_factory=list)
    _at_s: float = 0.0

    def phase(self, seconds: float, **signals: Given) -> Drive:
        """Goes on for so long; a ramp ends with the phase, and its end value stays."""
        self.signals |= signals
        count = round(seconds * self.rate_hz)
        share = np.arange(count) / max(count, 1)
        columns: dict[str, Any] = {"t": self._at_s + np.arange(count) / self.rate_hz}
        nulls = [name for name, given in self.signals.items() if given == NULL]
        random = np.random.default_rng((self.seed, round(self._at_s * 1000)))
        for name, given in self.signals.items():
            if isinstance(given, tuple):
                columns[name] = given[0] + (given[1] - given[0]) * share
            elif isinstance(given, int | float):
                columns[name] = np.full(count, float(given))
            else:
                continue
            if name in self.noise:
                columns[name] = columns[name] + random.normal(0, self.noise[name], count)
        frame = pl.DataFrame(columns).with_columns(
            null_signals=pl.lit(pl.Series([nulls], dtype=pl.List(pl.String))).first()
        )
        self._parts.append(frame)
        self._at_s += count / self.rate_hz
        for name, given in self.signals.items():
            if isinstance(given, tuple):
                self.signals[name] = given[1]
        return self

    def travel(self, seconds: float, mph: Given, *, accelerometer: bool = True) -> Drive:
        """Changes speed evenly; position and accelerometer go along with it (heading north)."""
        speed = mph if isinstance(mph, tuple) else (mph, mph)
        assert isinstance(speed[0], float | int)
        assert isinstance(speed[1], float | int)
        metres = (speed[0] + speed[1]) / 2 / MPS * seconds
        lat = self.signals["gps_lat"]
        more: dict[str, Given] = {"speed": (float(speed[0]), float(speed[1]))}
        if isinstance(lat, int | float):
            more["gps_lat"] = (float(lat), float(lat) + metres / 111_195)
        if accelerometer and self.signals.get("accel_x") is not ABSENT:
            more["accel_x"] = (speed[1] - speed[0]) / MPS / seconds
        return self.phase(seconds, **more)

    def gap(self, seconds: float) -> Drive:
        """Sends nothing."""
        self._at_s += seconds
        return self

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return self._at_s

    @property
    def rows(self) -> pl.DataFrame:
        """Rows in order of time, with all columns that detectors read."""
        frame = pl.concat(self._parts, how="diagonal")
        missing = [n for n in WANTED if n not in frame.columns]
        micros = (pl.col("t") * 1e6).round().cast(pl.Int64)
        whole = frame.with_columns(
            pl.lit(self.vehicle_id).alias("vehicle_id"),
            (pl.lit(self.start).cast(TIME) + pl.duration(microseconds=micros)).alias("event_time"),
            pl.lit(False).alias("conflict"),
            *(pl.lit(None, dtype=pl.Float64).alias(name) for name in missing),
        ).drop("t")
        return whole.with_columns(_refused("speed"))


def _refused(name: str) -> tuple[pl.Expr, pl.Expr]:
    """A signal without what is over its hard bound, and the note that decoding makes of it."""
    is_out = (pl.col(name) > SIGNAL_BY_NAME[name].maximum).fill_null(False)
    parts = f'{{"{name}":{{"value":', ',"reason":"out_of_bounds"}}'
    note = pl.concat_str(pl.lit(parts[0]), pl.col(name).cast(pl.String), pl.lit(parts[1]))
    return (
        pl.when(~is_out).then(name).alias(name),
        pl.when(is_out).then(note).alias("invalid_values"),
    )


def vehicle(vehicle_id: str = "v1", **attributes: Any) -> dict[str, Any]:
    """A row of VEHICLE_SCHEMA."""
    plain = {"vehicle_type": "sedan", "fleet_id": "f1", "model": "m1", "status": "active"}
    return (
        {"vehicle_id": vehicle_id, "valid_from": datetime(2020, 1, 1, tzinfo=UTC)}
        | plain
        | attributes
    )


def in_force(*vehicles: dict[str, Any], overrides: Sequence[dict[str, Any]] = ()) -> InForce:
    """What the rules know."""
    return InForce(
        pl.DataFrame(list(vehicles) or [vehicle()], schema=VEHICLE_SCHEMA),
        pl.DataFrame(list(overrides), schema=OVERRIDE_SCHEMA),
    )


def samples(*drives: Drive, window_start: datetime | None = None) -> Samples:
    """Samples of drives of different vehicles."""
    frame = pl.concat([drive.rows for drive in drives], how="diagonal")
    start = None if window_start is None else round(window_start.timestamp() * 1e6)
    return samples_of(frame.sort("vehicle_id", "event_time"), WANTED, start)


def pieces(seen: Samples, known: InForce | None = None) -> pl.DataFrame:
    """What the detectors find."""
    return pieces_of(seen, resolve(read_catalogue(), seen, known or in_force()), DETECTORS)


def found(*drives: Drive, known: InForce | None = None) -> pl.DataFrame:
    """Findings of drives, in one pass."""
    return findings_of(pieces(samples(*drives), known), read_catalogue())


def found_by_hours(drive: Drive, known: InForce | None = None) -> pl.DataFrame:
    """The same, hour by hour with ten minutes of context, stitched."""
    rows = drive.rows
    parts = []
    hours = rows["event_time"].dt.truncate("1h").unique().sort().to_list()
    for hour in reversed(hours):
        near = rows.filter(
            pl.col("event_time").is_between(
                hour - timedelta(minutes=10), hour + timedelta(hours=1), closed="left"
            )
        )
        parts.append(pieces(samples_of(near, WANTED, round(hour.timestamp() * 1e6)), known))
    return findings_of(pl.concat(parts), read_catalogue())
