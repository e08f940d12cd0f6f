"""Recent telemetry for tools that speak only SQL: how much of it is kept, and in which form.

Two levels: every row of the last hour in slices of five minutes, and one row per vehicle and minute
of the last day in slices of an hour. Both are bounded by age, and together by bytes.

What belongs here: times, counts and frames. What does not: the lake, and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import polars as pl

from fleet_assets.contracts.table import Column
from fleet_assets.contracts.tables import TELEMETRY

Level = Literal["full", "minutes"]
SLICES: Final[Mapping[Level, timedelta]] = {
    "full": timedelta(minutes=5),
    "minutes": timedelta(hours=1),
}
"""Length of a slice, which is dropped as a whole."""
NEVER_CUT: Final[Mapping[Level, int]] = {"full": 2, "minutes": 1}
"""So many of the newest slices stay, however many bytes they hold."""
KEY: Final = ("vehicle_id", "event_time")
_MINUTE: Final = "1m"
_LEFT_OUT: Final = ("event_hour", "inexact_values")
COLUMNS: Final[tuple[Column, ...]] = tuple(
    column for column in TELEMETRY.columns if column.name not in _LEFT_OUT
)
"""Columns of telemetry that recent telemetry has, too."""


@dataclass(frozen=True)
class Limits:
    """How much is kept.

    Attributes:
        full: age up to which every row stays.
        minutes: age up to which one row per vehicle and minute stays.
        most_bytes: of all slices together; 0: nothing is kept.
    """

    full: timedelta
    minutes: timedelta
    most_bytes: int

    @property
    def is_off(self) -> bool:
        """Nothing is kept."""
        return self.most_bytes == 0


@dataclass(frozen=True)
class Extent:
    """From when on each level is complete; both at the beginning of a slice, UTC."""

    full_from: datetime
    minutes_from: datetime


def wanted_extent(now: datetime, limits: Limits) -> Extent:
    """What the ages ask for: whole slices, so a little more than the age."""
    oldest = max(limits.full, limits.minutes)
    return Extent(slice_start(now - limits.full, "full"), slice_start(now - oldest, "minutes"))


def narrowed(extent: Extent, other: Extent | None) -> Extent:
    """What both hold: what has been dropped does not come back."""
    if other is None:
        return extent
    return Extent(
        max(extent.full_from, other.full_from), max(extent.minutes_from, other.minutes_from)
    )


def slice_start(moment: datetime, level: Level) -> datetime:
    """First moment of the slice that a moment lies in."""
    epoch = datetime.fromtimestamp(0, UTC)
    return moment - (moment - epoch) % SLICES[level]


def missing_slices(
    there: Iterable[datetime], start: datetime, last: datetime, level: Level
) -> list[datetime]:
    """Beginnings of slices that have to be made, so that rows from `start` to `last` fit in."""
    known, found = set(there), []
    moment = slice_start(start, level)
    while moment <= last:
        if moment not in known:
            found.append(moment)
        moment += SLICES[level]
    return found


def cut_to_size(
    sizes: Mapping[Level, Mapping[datetime, int]], extent: Extent, most_bytes: int
) -> Extent:
    """The extent that fits into the bytes: the oldest full rows go first, then the oldest minutes.

    Args:
        sizes: bytes of each slice by its beginning, by level.
        extent: what is kept so far; what is older counts for nothing.
        most_bytes: of all slices together.

    Returns:
        At most as much as `extent`. The newest slices (`NEVER_CUT`) stay in any case.
    """
    begins: dict[Level, datetime] = {"full": extent.full_from, "minutes": extent.minutes_from}
    kept = {
        level: sorted(start for start in sizes.get(level, {}) if start >= begins[level])
        for level in SLICES
    }
    total = sum(sizes[level][start] for level, starts in kept.items() for start in starts)
    for level, starts in kept.items():
        for start in starts[: max(len(starts) - NEVER_CUT[level], 0)]:
            if total <= most_bytes:
                break
            total -= sizes[level][start]
            begins[level] = start + SLICES[level]
    return Extent(begins["full"], begins["minutes"])


def fitting_from(
    rows: Mapping[datetime, int], full_from: datetime, bytes_per_row: float, room: float
) -> datetime:
    """From when on the full rows of an hour fit, before they are loaded.

    Args:
        rows: rows of each full slice, by its beginning.
        full_from: what is wanted.
        bytes_per_row: in PostgreSQL, with its index.
        room: bytes that are left.
    """
    newest_first = sorted((start for start in rows if start >= full_from), reverse=True)
    for number, start in enumerate(newest_first):
        room -= rows[start] * bytes_per_row
        if room < 0 and number >= NEVER_CUT["full"]:
            return start + SLICES["full"]
    return full_from


def recent_form(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of telemetry as PostgreSQL takes them.

    Decimals become floats, and lists the text of an array; so all columns are plain values.
    """
    return rows.select(
        pl.col(column.name).cast(pl.Float64) if column.dtype.is_decimal()
        else _array(column.name) if column.dtype == pl.List(pl.String)
        else pl.col(column.name)
        for column in COLUMNS
    )  # fmt: skip


def first_of_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """The first row of each vehicle and minute, whole as it is."""
    return (
        rows.sort(KEY)
        .with_columns(minute())
        .unique(["vehicle_id", "minute"], keep="first", maintain_order=True)
        .drop("minute")
    )


def minute() -> pl.Expr:
    """Column `minute`: the beginning of the minute of the event."""
    return pl.col("event_time").dt.truncate(_MINUTE).alias("minute")


def without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Rows that do not stand among the others with the same values."""
    return rows.join(others, on=rows.columns, how="anti", nulls_equal=True)


def _array(name: str) -> pl.Expr:
    items = pl.col(name).list.eval(
        pl.lit('"') + pl.element().str.replace_all(r'(["\\])', r"\$1") + pl.lit('"')
    )
    return (pl.lit("{") + items.list.join(",") + pl.lit("}")).alias(name)
