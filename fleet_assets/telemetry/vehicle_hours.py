"""What each vehicle did in an hour: time, distance, idling, fuel, statistics.

A sample holds until the next one if that comes within the vehicle's largest plausible gap, else
for one usual interval; so an hour of 1 Hz samples counts 3,600 s and silence counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import MISSING_SHARES, VEHICLE_HOURS
from fleet_assets.telemetry.hour_states import FUEL_BLOCK_MS, GAP_MS, LAST, RPM_ORIGIN, exploded
from fleet_assets.telemetry.samples import STEPS
from partitions.hours import hour_window

_USUAL_IF_ALONE: Final = 10  # a vehicle's only sample stands for a second; in GAP_MS, as below
_LONGEST_USUAL: Final = 600
_ALWAYS_HELD: Final = 50
_USUAL_TO_LONGEST: Final = 3
_MS_PER_HOUR: Final = 3_600_000
_REFUEL_PERCENT: Final = 2.0
_FUEL_SPAN: Final = pl.duration(milliseconds=2 * FUEL_BLOCK_MS)

# columns of `_held` by what they weigh: once per sample, and per millisecond of the gap
_WEIGHED: Final[Mapping[str, tuple[str, str]]] = {
    "seen": ("samples", "ms"),
    "speed_known": ("speed_samples", "speed_ms"),
    "speed": ("speed_sum", "speed_sum_ms"),
    "speed_squares": ("speed_squares", "speed_squares_ms"),
    "running": ("running", "running_ms"),
    "rpm": ("rpm_sum", "rpm_sum_ms"),
    "rpm_squares": ("rpm_squares", "rpm_squares_ms"),
    "idle": ("idle", "idle_ms"),
    "moving": ("moving", "moving_ms"),
}


def vehicle_hours(states: pl.DataFrame, tanks: pl.DataFrame, event_hour: str) -> pl.DataFrame:
    """Computes rows of `vehicle_hours`.

    Args:
        states: rows of `vehicle_hour_states` of the hour.
        tanks: columns `vehicle_id`, `tank_gallons` (null: unknown), as of the hour's start.
        event_hour: key of the hour.

    Returns:
        One row per vehicle.
    """
    start, _ = hour_window(event_hour)
    known = states.join(_held(states, event_hour), on="vehicle_id", how="left").join(
        _fuel_used(states), on="vehicle_id", how="left"
    )
    messages, rpm_step, speed_step = pl.col("messages"), STEPS["engine_rpm"], STEPS["speed"]
    has_speed = pl.col("missing_speed") < messages
    has_rpm = pl.col("missing_engine_rpm") < messages
    return (
        known.join(tanks.select("vehicle_id", "tank_gallons"), on="vehicle_id", how="left")
        .with_columns(
            event_hour=pl.lit(event_hour),
            hour_start=pl.lit(start),
            seconds_seen=pl.col("seen") / 1000,
            distance_miles=pl.when(has_speed).then(pl.col("speed") / (speed_step * _MS_PER_HOUR)),
            engine_seconds=pl.when(has_rpm).then(pl.col("running") / 1000),
            idle_seconds=pl.when(pl.col("speed_and_rpm") > 0).then(pl.col("idle") / 1000),
            moving_seconds=pl.when(has_speed).then(pl.col("moving") / 1000),
            fuel_used_gallons=pl.col("fuel_used_percent") / 100 * pl.col("tank_gallons"),
            speed_avg_mph=_mean("speed", "speed_known") / speed_step,
            speed_max_mph=pl.col("speed_max") / speed_step,
            speed_std_mph=_deviation("speed", "speed_squares", "speed_known") / speed_step,
            rpm_avg=(_mean("rpm", "running") + RPM_ORIGIN) / rpm_step,
            rpm_max=pl.col("rpm_max") / rpm_step,
            rpm_std=_deviation("rpm", "rpm_squares", "running") / rpm_step,
            coolant_max_c=pl.col("coolant_max") / STEPS["coolant_temp"],
            **{
                name: pl.col(name) / STEPS[f"gps_{name[-3:]}"]
                for name in ("first_lat", "first_lon", "last_lat", "last_lon")
            },
            odometer_first_mi=pl.col("odometer_first") / STEPS["odometer"],
            odometer_last_mi=pl.col("odometer_last") / STEPS["odometer"],
            **{f"missing_{name}": pl.col(f"missing_{name}") / messages for name in MISSING_SHARES},
        )
        .select(VEHICLE_HOURS.names)
        .cast(VEHICLE_HOURS.polars_schema)
        .sort("vehicle_id")
    )


def _held(states: pl.DataFrame, event_hour: str) -> pl.DataFrame:
    """Sums per vehicle over the time in ms that each sample stands for."""
    _, end = hour_window(event_hour)
    left = int(end.timestamp() * 1000) - pl.col("last_event_time").dt.timestamp("ms")
    gaps = (
        exploded(states, "gaps")
        .join(_usual(states), on="vehicle_id", how="left")
        .join(states.select("vehicle_id", left=left), on="vehicle_id")
        .with_columns(pl.col("usual").fill_null(_USUAL_IF_ALONE))
    )
    longest = (pl.col("usual") * _USUAL_TO_LONGEST).clip(_ALWAYS_HELD, _LONGEST_USUAL)
    is_last = pl.col("gap") == LAST
    held = ~is_last & (pl.col("gap") <= longest)
    usual = pl.col("usual").cast(pl.Int64) * GAP_MS
    stands = pl.when(is_last).then(pl.min_horizontal(usual, "left")).otherwise(usual)
    return gaps.group_by("vehicle_id").agg(
        **{
            name: pl.when(held).then(by_ms).otherwise(pl.col(once) * stands).sum()
            for name, (once, by_ms) in _WEIGHED.items()
        }
    )


def _usual(states: pl.DataFrame) -> pl.DataFrame:
    """The lower median of each vehicle's gaps, as far as it has any."""
    so_far = pl.col("samples").cum_sum().over("vehicle_id")
    half = (pl.col("samples").sum().over("vehicle_id") + 1) // 2
    return (
        exploded(states, "gaps")
        .filter(pl.col("gap") != LAST)
        .filter(so_far >= half)
        .group_by("vehicle_id")
        .agg(usual=pl.col("gap").min().clip(upper_bound=_LONGEST_USUAL))
    )


def _mean(total: str, weight: str) -> pl.Expr:
    return pl.when(pl.col(weight) > 0).then(pl.col(total) / pl.col(weight))


def _deviation(total: str, squares: str, weight: str) -> pl.Expr:
    """In whole numbers about the whole mean first: a constant value deviates by exactly 0."""
    known = pl.when(pl.col(weight) > 0)
    whole = known.then(pl.col(total) // pl.col(weight))
    about = pl.col(total) - whole * pl.col(weight)
    square = pl.col(squares) - 2 * whole * pl.col(total) + whole * whole * pl.col(weight)
    mean, mean_square = about / pl.col(weight), square / pl.col(weight)
    return known.then((mean_square - mean**2).clip(lower_bound=0).sqrt())


def _fuel_used(states: pl.DataFrame) -> pl.DataFrame:
    """Percent of the tank; null below ten minutes of readings and after a refuel."""
    by_block = ["vehicle_id", "block"]
    so_far = pl.col("readings").cum_sum().over(by_block)
    total = pl.col("readings").sum().over(by_block)
    level = pl.col("level")
    medians = (
        exploded(states, "fuel")
        .with_columns(
            low=level.filter(so_far >= (total + 1) // 2).min().over(by_block),
            high=level.filter(so_far >= total // 2 + 1).min().over(by_block),
        )
        .group_by(by_block)
        .agg(median=(pl.col("low").first() + pl.col("high").first()) / 2)
        .sort(by_block)
    )
    used = (pl.col("median").first() - pl.col("median").last()) / STEPS["fuel_level"]
    span = pl.col("fuel_last_time") - pl.col("fuel_first_time")
    return (
        medians.group_by("vehicle_id")
        .agg(used=used)
        .join(states.select("vehicle_id", long_enough=span >= _FUEL_SPAN), on="vehicle_id")
        .select(
            "vehicle_id",
            fuel_used_percent=pl.when(
                pl.col("long_enough") & (pl.col("used") > -_REFUEL_PERCENT)
            ).then(pl.col("used").clip(lower_bound=0)),
        )
    )
