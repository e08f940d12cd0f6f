"""Results of champion and challenger on the same vehicle-days."""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.errors import FleetError

COUNTS: Final = (
    "events", "champion_found", "challenger_found", "champion_alarms", "challenger_alarms",
)  # fmt: skip
PAIRED_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "day": pl.Date(),
        "group": pl.String(),
        **dict.fromkeys(COUNTS, pl.Int64()),
        "hours": pl.Float64(),
    }
)
"""One row per vehicle and day: known events, how many of them either model has found, false alarms
of either, and vehicle-hours in which false alarms could have been raised."""


def by_vehicle(paired: pl.DataFrame) -> pl.DataFrame:
    """Sums by vehicle, in an order that does not depend on that of the rows.

    Args:
        paired: columns of PAIRED_SCHEMA.

    Returns:
        `group`, `vehicle_id`, `days`, and the sums of COUNTS and `hours`.

    Raises:
        FleetError: a column is missing, a value is null or impossible, or a vehicle-day is there
            twice.
    """
    rows = _checked(paired)
    return (
        rows.sort("group", "vehicle_id", "day")
        .group_by("group", "vehicle_id", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("days"), pl.col(*COUNTS, "hours").sum())
    )


def _checked(paired: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in PAIRED_SCHEMA if name not in paired.columns]
    if missing:
        raise FleetError(f"Paired results lack {', '.join(missing)}.")
    rows = paired.select(pl.col(name).cast(kind) for name, kind in PAIRED_SCHEMA.items())
    wrong = {
        "a null": pl.any_horizontal(pl.all().is_null()),
        "a negative count or hours that are no number": pl.any_horizontal(pl.col(*COUNTS) < 0)
        | ~(pl.col("hours") >= 0)
        | pl.col("hours").is_infinite()
        | pl.col("hours").is_nan(),
        "more found than there were events": pl.max_horizontal("champion_found", "challenger_found")
        > pl.col("events"),
        "a vehicle's day that is there twice": pl.struct("vehicle_id", "day").is_duplicated(),
    }
    for what, where in wrong.items():
        found = rows.filter(where)
        if found.height:
            first = found.row(0, named=True)
            raise FleetError(
                f"Paired results have {what}: {found.height} rows, the first of vehicle"
                f" {first['vehicle_id']} on {first['day']}."
            )
    return rows
