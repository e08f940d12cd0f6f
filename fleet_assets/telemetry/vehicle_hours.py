"""What each vehicle did in an hour: time, distance, idling, fuel, statistics.

A sample holds until the next one if that comes within the vehicle's largest plausible gap, else
for one usual interval; so an hour of 1 Hz samples counts 3,600 s and silence counts nothing.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import MISSING_SHARES, VEHICLE_HOURS
from partitions.hours import hour_window

IDLE_BELOW_MPH: Final = 1.0
"""A vehicle slower than this stands (RULES, R15)."""

NEEDED: Final = [
    "vehicle_id", "event_time", "conflict", "invalid_values", "engine_rpm", "speed",
    "throttle_position", "coolant_temp", "fuel_level", "gps_lat", "gps_lon", "accel_x", "odometer",
]  # fmt: skip
"""Columns of `telemetry` that the computation reads."""

_FUEL_WINDOW: Final = pl.duration(minutes=5)
_REFUEL_PERCENT: Final = 2.0
_SIGNAL_OF_SHARE: Final = {"gps": "gps_lat", "accelerometer": "accel_x"}


def vehicle_hours(telemetry: pl.DataFrame, tanks: pl.DataFrame, event_hour: str) -> pl.DataFrame:
    """Computes rows of `vehicle_hours`.

    Args:
        telemetry: all rows of `telemetry` of the hour, at least the columns NEEDED.
        tanks: columns `vehicle_id`, `tank_gallons` (null: unknown).
        event_hour: key of the hour.

    Returns:
        One row per vehicle.
    """
    start, end = hour_window(event_hour)
    held = _with_hold(_as_floats(telemetry), end)
    rpm, speed, hold = pl.col("engine_rpm"), pl.col("speed"), pl.col("hold")
    running = rpm > 0
    rows = held.group_by("vehicle_id").agg(
        messages=pl.len(),
        conflicts=pl.col("conflict").sum(),
        first_event_time=pl.col("event_time").min(),
        last_event_time=pl.col("event_time").max(),
        seconds_seen=hold.sum(),
        distance_miles=_if_known(speed, (speed * hold).sum() / 3600),
        engine_seconds=_if_known(rpm, hold.filter(running).sum()),
        idle_seconds=_if_known(rpm + speed, hold.filter(running & (speed < IDLE_BELOW_MPH)).sum()),
        moving_seconds=_if_known(speed, hold.filter(speed >= IDLE_BELOW_MPH).sum()),
        fuel_used_percent=_fuel_used(),
        speed_avg_mph=_mean(speed, hold),
        speed_max_mph=speed.max(),
        speed_std_mph=_deviation(speed, hold),
        rpm_avg=_mean(rpm.filter(running), hold.filter(running)),
        rpm_max=rpm.max(),
        rpm_std=_deviation(rpm.filter(running), hold.filter(running)),
        coolant_max_c=pl.col("coolant_temp").max(),
        first_lat=_first("gps_lat"),
        first_lon=_first("gps_lon"),
        last_lat=_last("gps_lat"),
        last_lon=_last("gps_lon"),
        odometer_first_mi=pl.col("odometer").drop_nulls().first(),
        odometer_last_mi=pl.col("odometer").drop_nulls().last(),
        invalid_values=pl.col("invalid_values").is_not_null().sum(),
        **{
            f"missing_{name}": pl.col(_SIGNAL_OF_SHARE.get(name, name)).is_null().mean()
            for name in MISSING_SHARES
        },
    )
    return (
        rows.join(tanks.select("vehicle_id", "tank_gallons"), on="vehicle_id", how="left")
        .with_columns(
            event_hour=pl.lit(event_hour),
            hour_start=pl.lit(start),
            fuel_used_gallons=pl.col("fuel_used_percent") / 100 * pl.col("tank_gallons"),
        )
        .select(VEHICLE_HOURS.names)
        .cast(VEHICLE_HOURS.polars_schema)
        .sort("vehicle_id")
    )


def _as_floats(telemetry: pl.DataFrame) -> pl.DataFrame:
    """Numbers as floats, sorted; values of rows in conflict are unknown."""
    return (
        telemetry.select(NEEDED)
        .sort("vehicle_id", "event_time")
        .with_columns(
            pl.when(~pl.col("conflict")).then(pl.col(s.name).cast(pl.Float64)).alias(s.name)
            for s in SIGNALS
            if s.kind == "number" and s.name in NEEDED
        )
    )


def _with_hold(rows: pl.DataFrame, hour_end: object) -> pl.DataFrame:
    """Adds `hold`: seconds that each sample stands for, never past the hour's end."""
    gap = (pl.col("event_time").shift(-1) - pl.col("event_time")).dt.total_microseconds() / 1e6
    return (
        rows.with_columns(gap=gap.over("vehicle_id"))
        .with_columns(usual=pl.col("gap").median().over("vehicle_id").fill_null(1.0).clip(0, 60))
        .with_columns(
            longest=(pl.col("usual") * 3).clip(5, 60),
            left=(pl.lit(hour_end) - pl.col("event_time")).dt.total_microseconds() / 1e6,
        )
        .with_columns(
            hold=pl.when(pl.col("gap") <= pl.col("longest"))
            .then("gap")
            .otherwise(pl.min_horizontal("usual", "left"))
        )
    )


def _if_known(what: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.when(what.is_not_null().any()).then(value)


def _mean(value: pl.Expr, weight: pl.Expr) -> pl.Expr:
    total = weight.filter(value.is_not_null()).sum()
    return pl.when(total > 0).then((value * weight).sum() / total)


def _deviation(value: pl.Expr, weight: pl.Expr) -> pl.Expr:
    total = weight.filter(value.is_not_null()).sum()
    mean = (value * weight).sum() / total
    variance = (weight * (value - mean) ** 2).sum() / total
    return pl.when(total > 0).then(variance.clip(0).sqrt())


def _fuel_used() -> pl.Expr:
    """Percent of the tank; null below ten minutes of readings and after a refuel."""
    known = pl.col("fuel_level").is_not_null()
    time, level = pl.col("event_time").filter(known), pl.col("fuel_level").filter(known)
    first = level.filter(time < time.min() + _FUEL_WINDOW).median()
    last = level.filter(time > time.max() - _FUEL_WINDOW).median()
    used = first - last
    long_enough = (time.max() - time.min()) >= _FUEL_WINDOW * 2
    return pl.when(long_enough & (used > -_REFUEL_PERCENT)).then(used.clip(0))


def _first(name: str) -> pl.Expr:
    return pl.col(name).filter(_has_position()).first()


def _last(name: str) -> pl.Expr:
    return pl.col(name).filter(_has_position()).last()


def _has_position() -> pl.Expr:
    return pl.col("gps_lat").is_not_null() & pl.col("gps_lon").is_not_null()
