"""Healthy drives for tests of injected faults: every signal moves, at any rate, by a seed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from fleet_assets.contracts.signals import NUMBERS, SIGNAL_BY_NAME
from fleet_assets.injection.truth import TIME

BEGIN: Final = datetime(2026, 2, 2, 5, 0, tzinfo=UTC)
ALL: Final = tuple(signal.name for signal in NUMBERS if signal.name not in ("odometer", "heading"))
_MPS: Final = 0.44704


def healthy(
    vehicle_id: str = "v1",
    *,
    minutes: float = 59,
    rate_hz: float = 1.0,
    signals: Collection[str] = ALL,
    seed: int = 1,
    begin: datetime = BEGIN,
    missing: float = 0.0,
) -> pl.DataFrame:
    """A warm vehicle in town and on the road, as rows of `telemetry`.

    Args:
        missing: share of values that are null without being named.
    """
    random = np.random.default_rng(seed)
    count = max(int(minutes * 60 * rate_hz), 1)
    t = np.arange(count) / rate_hz
    speed = 35 + 20 * np.sin(t / 47) + 6 * np.sin(t / 11) + random.normal(0, 0.2, count)
    throttle = 30 + 12 * np.cos(t / 47) + random.normal(0, 0.5, count)
    accel = 20 / 47 * np.cos(t / 47) * _MPS + 6 / 11 * np.cos(t / 11) * _MPS
    metres = np.cumsum(speed * _MPS / rate_hz)
    values = {
        "engine_rpm": 900 + 45 * speed + random.normal(0, 15, count),
        "speed": speed,
        "throttle_position": throttle,
        "coolant_temp": np.round(88 + 6 * np.sin(t / 300)),
        "fuel_level": 70 - t / 900 + random.normal(0, 0.3, count),
        "gps_lat": 41.6 + metres / 111_195,
        "gps_lon": -93.6 + 0.001 * np.sin(t / 200),
        "accel_x": accel + random.normal(0, 0.1, count),
        "accel_y": 0.8 * np.sin(t / 23) + random.normal(0, 0.1, count),
        "accel_z": 9.81 + random.normal(0, 0.1, count),
        "engine_load": throttle * 1.2 + 10,
        "battery_voltage": 14.1 + random.normal(0, 0.03, count),
        "oil_pressure": 300 + speed,
        "intake_air_temp": 25 + 3 * np.sin(t / 100),
        "ambient_temp": 18 + np.sin(t / 900),
    }
    columns: dict[str, Any] = {
        name: np.where(random.random(count) < missing, np.nan, values[name]) for name in signals
    }
    times = (t * 1e6).round().astype(np.int64)
    frame = pl.DataFrame({"vehicle_id": [vehicle_id] * count, "t": times} | columns)
    return frame.select(
        "vehicle_id",
        (pl.lit(begin).cast(TIME) + pl.duration(microseconds="t")).cast(TIME).alias("event_time"),
        *(
            pl.col(name).fill_nan(None).round(SIGNAL_BY_NAME[name].scale).cast(dtype_of(name))
            for name in signals
        ),
        null_signals=pl.lit([], dtype=pl.List(pl.String)),
        conflict=pl.lit(False),
    )


def dtype_of(name: str) -> pl.DataType:
    return SIGNAL_BY_NAME[name].dtype


def days(vehicle_id: str, count: int, **more: Any) -> pl.DataFrame:
    """Such drives on many days."""
    return pl.concat(
        healthy(vehicle_id, begin=BEGIN + timedelta(days=day), seed=day, **more)
        for day in range(count)
    )
