"""Vehicle-days summed up to one number per vehicle and feature: only vehicles are independent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError

YEAR: Final = timedelta(days=364)
"""Whole weeks, so that weekdays stay what they are."""
KEYS: Final = ("vehicle_type", "vehicle_id")
NO_TYPE: Final = "(no type)"


def vehicle_means(days: pl.DataFrame, features: Sequence[str], least_days: int) -> pl.DataFrame:
    """Means over the days of each vehicle.

    Means, not medians: counts and shares are 0 on most days. A day that is off makes one vehicle
    off, which ranks over vehicles bear.

    Args:
        days: `vehicle_id`, `vehicle_type`, `day` and features; a row per vehicle and day.
        features: which of them.
        least_days: a feature that a vehicle has on fewer days is null.

    Returns:
        `vehicle_type`, `vehicle_id` and features; a row per vehicle, under its newest type.

    Raises:
        FleetError: a column is missing, or a vehicle-day is there twice.
    """
    missing = [name for name in ("day", *KEYS, *features) if name not in days.columns]
    if missing:
        raise FleetError(f"Vehicle-days lack {', '.join(missing)}.")
    if days.select(pl.struct("vehicle_id", "day").is_duplicated().any()).item():
        raise FleetError(
            "Vehicle-days have a vehicle's day twice: give one row per vehicle and day."
        )
    numbers = [pl.col(name).cast(pl.Float64) for name in features]
    known = days.sort("vehicle_id", "day").select(
        "vehicle_id",
        pl.col("vehicle_type").fill_null(NO_TYPE),
        *(pl.when(each.is_finite()).then(each) for each in numbers),
    )
    return known.group_by("vehicle_id", maintain_order=True).agg(
        pl.col("vehicle_type").last(),
        *(
            pl.when(pl.col(name).count() >= least_days).then(pl.col(name).mean()).alias(name)
            for name in features
        ),
    ).select(*KEYS, *features)  # fmt: skip


def changes(before: pl.DataFrame, after: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Means after less means before, of vehicles that are in both, under their type after."""
    both = after.join(before.drop("vehicle_type"), on="vehicle_id", suffix="_before")
    return both.select(*KEYS, *(pl.col(name) - pl.col(f"{name}_before") for name in features))


def span_of(days: pl.DataFrame) -> tuple[date, date]:
    """First and last day."""
    first, last = days.select(pl.col("day").min(), last=pl.col("day").max()).row(0)
    return first, last


def a_year_before(history: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Days of the history that lie a year before the span of some days."""
    first, last = span_of(days)
    return history.filter(pl.col("day").is_between(first - YEAR, last - YEAR))
