"""Rules on fuel at the ends of trips: a sudden loss over a stop (R28)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.robust import MAD_TO_SIGMA
from fleet_assets.rules.catalogue import Rule
from fleet_assets.rules.findings import of_rule
from fleet_assets.rules.history.numbers import value

FUEL_TRIP_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "state": pl.String(),
        "fuel_start_percent": pl.Float64(),
        "fuel_end_percent": pl.Float64(),
        "fuel_noise_percent": pl.Float64(),
    }
)
"""A trip, and the fuel at its ends, as `trips` has it."""


def fuel_losses(trips: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Stops over which more fuel went than the sensor's own unrest explains (R28).

    How much the level changes over the vehicle's stops tells its unrest: the median of absolute
    deviations, as a standard deviation, which refuels hardly touch. Stops that
    last longer than what is looked back on are left out.

    Args:
        trips: rows of FUEL_TRIP_SCHEMA, with those of the days that are looked back to.
        rule: has `drop` (%), `noise_factor`, `of_days` and `least_stops`.

    Returns:
        Rows of FINDING_SCHEMA with `limit`; the peak is the fall in percent. From the end of a trip
        to the beginning of the next one.
    """
    days = timedelta(days=value(rule, "of_days"))
    least = int(value(rule, "least_stops"))
    steady = timedelta(seconds=value(rule, "steady_s"))
    level = pl.col("fuel_end_percent").shift(1).over("vehicle_id") - pl.col("fuel_start_percent")
    rows = trips.sort("vehicle_id", "started_at").with_columns(
        drop=level, left_at=pl.col("ended_at").shift(1).over("vehicle_id")
    )

    unrest = (
        rows.drop_nulls("drop")
        .rolling("started_at", period=days, closed="left", group_by="vehicle_id")
        .agg(
            stops=pl.len(),
            spread=MAD_TO_SIGMA * (pl.col("drop") - pl.col("drop").median()).abs().median(),
        )
    )
    own = pl.max_horizontal("spread", "fuel_noise_percent")
    limit = pl.max_horizontal(value(rule, "drop"), value(rule, "noise_factor") * own)
    is_steady = (pl.col("ended_at") - pl.col("started_at") >= steady) | (
        pl.col("state") == "closed"
    )
    made = (
        rows.join(unrest, on=["vehicle_id", "started_at"], how="left")
        .with_columns(limit=pl.when(pl.col("stops") >= least).then(limit))
        .filter(is_steady & (pl.col("drop") >= pl.col("limit")))
        .filter(pl.col("started_at") - pl.col("left_at") <= days)
        .with_columns(
            condition=pl.lit(rule.id),
            started_at=pl.col("left_at"),
            ended_at=pl.col("started_at"),
            detected_at=pl.min_horizontal("ended_at", pl.col("started_at") + steady),
            is_open=pl.lit(value=False),
            samples=pl.lit(1),
            peak=pl.col("drop").round(3),
            peak_at=pl.col("started_at"),
        )
        .sort("vehicle_id", "started_at")
    )
    return of_rule(made, rule).with_columns(made["limit"].round(3))
