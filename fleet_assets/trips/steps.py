"""What each row of telemetry adds to a trip: the steps that lead to it from rows before.

A step belongs to its later row, and so to the hour of that row: rows of the hour before serve as
context. Sums are whole numbers, so that they do not depend on the order of adding.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.trips.fuel import with_fuel
from fleet_assets.trips.limits import TripLimits
from fleet_assets.trips.told import named

EARTH_M: Final = 6_371_008.8
"""Mean radius of the earth, metres (IUGG)."""
M_PER_MILE: Final = 1609.344
_SECONDS_PER_HOUR: Final = 3600
_UM: Final = 1_000_000
SUMS: Final = ("gps_um", "speed_um", "idle_us")
"""Distance by positions and by speed in µm, and idle time in µs."""


def with_steps(telemetry: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    """Adds what each row adds, and `…_there`: where the vehicle was when last known.

    That is known for `longest_step_s`. Signals are null where a message contradicts another one.

    Args:
        telemetry: rows of `telemetry` in order of vehicle and event time.
        limits: what makes a trip.
    """
    signals = ["speed", "engine_rpm", "odometer", "gps_lat", "gps_lon", "fuel_level"]
    known = telemetry.select(
        "vehicle_id",
        "driver_id",
        "conflict",
        pl.col("event_time").dt.epoch("us").alias("at_us"),
        *(_unless_conflict(pl.col(name).cast(pl.Float64), name) for name in signals),
        _unless_conflict(pl.col("ignition"), "ignition"),
        _unless_conflict(pl.col("private"), "private"),
        named=named(telemetry),
        contradicted=pl.col("conflict").cast(pl.Int64).cum_sum().over("vehicle_id"),
    ).with_columns(_fix("gps_lat"), _fix("gps_lon"))
    rows = known.with_row_index("row").with_columns(
        _there(name, limits) for name in ("odometer", "gps_lat", "gps_lon")
    )
    by_speed = _by_speed(rows, limits)
    by_fix = _by_fix(rows, limits)
    return (
        with_fuel(rows, limits)
        .join(by_speed, on="row", how="left", maintain_order="left")
        .join(by_fix, on="row", how="left", maintain_order="left")
        .drop("contradicted")
    )


def _unless_conflict(value: pl.Expr, name: str) -> pl.Expr:
    return pl.when(~pl.col("conflict")).then(value).alias(name)


def _fix(name: str) -> pl.Expr:
    """Half a position is none, and 0,0 is what receivers without a fix send."""
    lat, lon = pl.col("gps_lat"), pl.col("gps_lon")
    nowhere = (lat == 0) & (lon == 0)
    return pl.when(lat.is_not_null() & lon.is_not_null() & ~nowhere).then(pl.col(name)).alias(name)


def _there(name: str, limits: TripLimits) -> pl.Expr:
    when = pl.when(pl.col(name).is_not_null()).then("at_us").forward_fill().over("vehicle_id")
    fresh = pl.col("at_us") - when <= limits.longest_step_s * 1e6
    value = pl.col(name).forward_fill().over("vehicle_id")
    return pl.when(fresh).then(value).alias(f"{name}_there")


def _by_speed(rows: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    """From each row with a known speed to the next: the trapezium, and idling of the earlier."""
    speed, before = pl.col("speed"), pl.col("speed").shift(1).over("vehicle_id")
    step = pl.col("at_us") - pl.col("at_us").shift(1).over("vehicle_id")
    same = pl.col("contradicted") == pl.col("contradicted").shift(1).over("vehicle_id")
    held = (step <= limits.longest_step_s * 1e6) & same
    um_per_mph_us = M_PER_MILE * _UM / _SECONDS_PER_HOUR / 1e6
    idles = (speed < limits.standing_mph) & (pl.col("engine_rpm") > limits.running_rpm)
    return rows.filter(speed.is_not_null()).select(
        "row",
        speed_um=pl.when(held)
        .then((speed + before) / 2 * step * um_per_mph_us)
        .round()
        .cast(pl.Int64),
        idle_us=pl.when(held & idles.shift(1).over("vehicle_id")).then(step),
    )


def _by_fix(rows: pl.DataFrame, limits: TripLimits) -> pl.DataFrame:
    """From each known position to the next."""
    seconds = (pl.col("at_us") - pl.col("at_us").shift(1).over("vehicle_id")) / 1e6
    lat, lon = pl.col("gps_lat"), pl.col("gps_lon")
    metres = distance_m(lat.shift(1).over("vehicle_id"), lon.shift(1).over("vehicle_id"), lat, lon)
    stands = (pl.col("speed") < limits.moving_mph).fill_null(value=True)
    jumps = (metres >= limits.jump_m) & (
        metres > seconds * limits.jump_mph * M_PER_MILE / _SECONDS_PER_HOUR
    )
    counts = (
        (seconds <= limits.rest_s)
        & (pl.col("contradicted") == pl.col("contradicted").shift(1).over("vehicle_id"))
        & ~jumps
        & ~((metres < limits.still_step_m) & stands)
    )
    return rows.filter(lat.is_not_null()).select(
        "row", gps_um=pl.when(counts).then(metres * _UM).round().cast(pl.Int64)
    )


def distance_m(lat: pl.Expr, lon: pl.Expr, to_lat: pl.Expr, to_lon: pl.Expr) -> pl.Expr:
    """Great-circle distance in metres between positions in degrees (haversine)."""
    half_lat = (to_lat - lat).radians() / 2
    half_lon = (to_lon - lon).radians() / 2
    chord = half_lat.sin() ** 2 + lat.radians().cos() * to_lat.radians().cos() * half_lon.sin() ** 2
    return 2 * EARTH_M * chord.clip(0, 1).sqrt().arcsin()
