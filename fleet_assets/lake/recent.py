"""What has come to an hour of telemetry since it was last read, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.lake.changes import hour_change
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, rows_id
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.telemetry.recent import SLICES, minute, recent_form, without

BATCH_ROWS: Final = 100_000
"""Rows that are held at once when they only pass by."""
MOST_REPLACED: Final = 2_000_000
"""Rows that are compared with what replaces them; of more the hour is read as a whole."""


@dataclass(frozen=True)
class RecentChange:
    """How an hour goes on from what was read before.

    Attributes:
        anew: nothing of before stays: `came` is all of the hour.
        came: rows, in the form of `recent_form`, in pieces. Read once.
        gone: rows that are no more, in the same form; one that changed stands in both.
    """

    anew: bool
    came: Iterator[pl.DataFrame]
    gone: pl.DataFrame


def row_numbers(telemetry: TableSnapshot, first_hour: str) -> dict[str, int]:
    """Number of the rows of each hour from the first on: it grows whenever they change."""
    numbers = by_hour(all_marks(telemetry.delta), rows_id)
    return {hour: number for hour, number in numbers.items() if hour >= first_hour}


def recent_change(
    telemetry: TableSnapshot, since: int | None, event_hour: str, start: datetime
) -> RecentChange:
    """What to do to have the hour as this version of telemetry has it.

    Args:
        telemetry: the version to go to.
        since: the version that is there; None: none is.
        event_hour: key of the hour.
        start: rows of before are left out.
    """
    change = None if since is None else hour_change(telemetry, since, event_hour)
    if change is not None:
        try:
            if not change.removed:
                came = _batches(_rows(telemetry, change.added, start))
                return RecentChange(False, came, _collected(telemetry, (), start))
            if _count(telemetry, (*change.added, *change.removed)) <= MOST_REPLACED:
                new = _collected(telemetry, change.added, start)
                old = _collected(telemetry, change.removed, start)
                return RecentChange(False, iter([without(new, old)]), without(old, new))
        except FileNotFoundError:
            pass  # vacuumed
    rows = _rows(telemetry, _paths(telemetry, event_hour), start)
    return RecentChange(True, _batches(rows), _collected(telemetry, (), start))


def rows_of_minutes(
    telemetry: TableSnapshot, event_hour: str, minutes: pl.DataFrame
) -> pl.DataFrame:
    """All rows of some minutes of vehicles.

    Args:
        telemetry: the version to read.
        event_hour: key of the hour.
        minutes: columns `vehicle_id`, `minute`.
    """
    files = telemetry.files_of([event_hour])
    some = telemetry.scan(files).with_columns(minute())
    found = some.join(minutes.lazy(), on=["vehicle_id", "minute"], how="semi").drop("minute")
    return recent_form(found).collect(engine="streaming")


def rows_by_slice(
    telemetry: TableSnapshot, event_hour: str, start: datetime
) -> dict[datetime, int]:
    """Rows of each full slice of an hour from a moment on."""
    at = pl.col("event_time")
    counted = (
        telemetry.scan(telemetry.files_of([event_hour]))
        .filter(at >= start)
        .group_by(at.dt.truncate(SLICES["full"]))
        .len()
    )
    return dict(counted.collect(engine="streaming").iter_rows())


def newest_event(telemetry: TableSnapshot, event_hours: Sequence[str]) -> datetime | None:
    """Upper bound of the event times of hours, by the log; None: it does not tell."""
    files = telemetry.files_of(event_hours)
    if files.is_empty() or "max.event_time" not in files.columns:
        return None
    newest = files["max.event_time"].max()
    return newest if isinstance(newest, datetime) else None


def _paths(telemetry: TableSnapshot, event_hour: str) -> list[str]:
    return telemetry.files_of([event_hour])["path"].to_list()


def _rows(telemetry: TableSnapshot, paths: Sequence[str], start: datetime) -> pl.LazyFrame:
    hour = pl.lit("").alias("event_hour")  # left out anyway
    files = pl.DataFrame({"path": paths}, schema={"path": pl.String}).with_columns(hour)
    return recent_form(telemetry.scan(files).filter(pl.col("event_time") >= start))


def _collected(telemetry: TableSnapshot, paths: Sequence[str], start: datetime) -> pl.DataFrame:
    return _rows(telemetry, paths, start).collect(engine="streaming")


def _count(telemetry: TableSnapshot, paths: Sequence[str]) -> int:
    files = pl.DataFrame({"path": paths}, schema={"path": pl.String})
    hour = pl.lit("").alias("event_hour")
    rows = telemetry.scan(files.with_columns(hour)).select(pl.len()).collect().item()
    return int(rows)


def _batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    yield from rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=False)
