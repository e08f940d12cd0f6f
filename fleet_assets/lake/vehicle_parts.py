"""An hour's rows in bounded parts, each with all rows of its vehicles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.lake.store import TableSnapshot
from partitions.hours import HOUR, hour_key, hour_start

PART_ROWS: Final = 1_000_000
_ALWAYS: Final = ["vehicle_id", "event_time", "conflict", "null_signals", "invalid_values"]


def vehicle_parts(
    telemetry: TableSnapshot,
    event_hour: str,
    signals: Sequence[str],
    *,
    as_they_are: Sequence[str] = (),
    context: timedelta = timedelta(),
    most_rows: int = PART_ROWS,
) -> Iterator[pl.DataFrame]:
    """Rows in order of vehicle and time, part by part.

    Args:
        telemetry: the table.
        event_hour: key of the hour.
        signals: numbers and flags that are wanted, as Float64.
        as_they_are: further columns that are wanted, in their own type.
        context: how much of the time before the hour is wanted, at most an hour.
        most_rows: about how many rows of the hour at a time; a vehicle is not divided.
    """
    start = hour_start(event_hour)
    files = telemetry.files_of([hour_key(start - HOUR), event_hour])
    if files.is_empty():
        return
    files = files.filter((pl.col("max.event_time") >= start - context).fill_null(True))
    rows = telemetry.scan(files)
    wanted = rows.filter(pl.col("event_time") >= start - context).select(
        *_ALWAYS, *as_they_are, *(pl.col(name).cast(pl.Float64) for name in signals)
    )
    for first, last in vehicle_ranges(rows.filter(pl.col("event_hour") == event_hour), most_rows):
        mine = pl.col("vehicle_id").is_between(pl.lit(first), pl.lit(last))
        yield wanted.filter(mine).sort("vehicle_id", "event_time").collect(engine="streaming")


def vehicle_ranges(rows: pl.LazyFrame, most_rows: int) -> list[tuple[str, str]]:
    """Ranges of vehicles (first, last) of about so many rows each."""
    counted = rows.group_by("vehicle_id").agg(rows=pl.len()).collect(engine="streaming")
    part = (pl.col("rows").cum_sum() - pl.col("rows")) // most_rows
    ranges = (
        counted.sort("vehicle_id")
        .group_by(part=part, maintain_order=True)
        .agg(first=pl.col("vehicle_id").first(), last=pl.col("vehicle_id").last())
    )
    return list(ranges.select("first", "last").iter_rows())
