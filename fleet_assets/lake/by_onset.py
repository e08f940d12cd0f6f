"""Tables of what spans hours, kept under the hour in which it begins: anomalies, trips.

What an hour's pieces mean for things that began in other hours is worked out when its pieces have
changed; only the hours of onset in which something differs are written, all in one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.chains import Chains, Gathered, gather
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, rows_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.validation import Verdict, validate_hours
from partitions.hours import HOUR, hour_key, hour_start

_ANY: Final = "stitch"
"""Raised by every commit, so that no two can have been worked out side by side."""
_HOUR: Final = "%Y-%m-%dT%H"


def found_id(event_hour: str) -> str:
    """Raised with each change of an hour's pieces: tells who follows that they have changed."""
    return f"found/{event_hour}"


def seen_id(event_hour: str) -> str:
    """Newest event of the hour that its pieces were made from, in µs."""
    return f"seen/{event_hour}"


def stitched_id(pieces: str, event_hour: str) -> str:
    """Number of the hour's pieces (of this table) whose meaning has been worked out."""
    return f"stitched/{pieces}/{event_hour}"


Gather = Callable[[TableSnapshot, str, str, pl.DataFrame], Gathered]
"""From a snapshot of the pieces, the first and the last of some hours that have changed, and the
groups that have something in them now (with the `first` and `last` hour that it spans), to all
pieces that matter to what these hours take part in."""


def by_chains(chains: Callable[[TableSnapshot], Chains]) -> Gather:
    """Pieces that are joined with each other, from hour to hour."""
    return lambda pieces, first, last, seeds: gather(chains(pieces), first, last, seeds)


@dataclass(frozen=True)
class Following:
    """A table of what spans hours, and one of those that it follows from.

    Attributes:
        table: its name.
        pieces: name of the table with the pieces by hour.
        numbers: by hour what changes whenever its pieces do, or what else decides their meaning.
    """

    table: str
    pieces: str
    numbers: Callable[[Lake], Mapping[str, int]]

    @staticmethod
    def of_found(table: str, pieces: str) -> Following:
        """Of pieces that are numbered whenever they are found anew."""

        def numbers(lake: Lake) -> dict[str, int]:
            found = lake.find(pieces)
            return {} if found is None else by_hour(all_marks(found.delta), found_id)

        return Following(table, pieces, numbers)

    def hours_left(self, lake: Lake) -> list[str]:
        """Hours whose pieces have changed since their meaning was worked out, in order."""
        table = lake.find(self.table)
        done = {} if table is None else all_marks(table.delta)
        return sorted(
            hour
            for hour, number in self.numbers(lake).items()
            if done.get(stitched_id(self.pieces, hour)) != number
        )


@dataclass(frozen=True)
class ByOnset:
    """A table of what spans hours.

    Attributes:
        follows: the table, and its pieces.
        clock: name of the table whose hours tell the newest event.
        key: column that names a row.
        group: columns of a group: what belongs to different ones has nothing to do with each other.
        gather: finds the pieces that belong together.
        make: from all pieces of some groups and the newest event to rows.
        silent_after: of a row, the event time after which silence has ended it.
        longest: what spans hours is no longer, its silence included.
        mine: rows of the table that are made in this way; others are left alone.
        together: changed hours that are no further apart are looked at as one stretch.
    """

    follows: Following
    clock: str
    key: str
    group: Sequence[str]
    gather: Gather
    make: Callable[[pl.DataFrame, datetime], pl.DataFrame]
    silent_after: pl.Expr
    longest: timedelta
    mine: pl.Expr = field(default_factory=lambda: pl.lit(value=True))
    together: timedelta = HOUR

    @property
    def table(self) -> str:
        """Name of the table."""
        return self.follows.table


@dataclass(frozen=True)
class Stitched:
    """What became of some hours of pieces.

    Attributes:
        rows: rows of each hour of onset that was written.
        verdicts: of the hours that were written.
    """

    rows: Mapping[str, int]
    verdicts: Mapping[str, Verdict]

    def after(self, other: Stitched | None) -> Stitched:
        """What two have written one after the other."""
        if other is None:
            return self
        return Stitched({**other.rows, **self.rows}, {**other.verdicts, **self.verdicts})


def stitch_hours(
    lake: Lake,
    event_hours: Sequence[str],
    what: ByOnset,
    marks: Mapping[str, int] | None = None,
) -> Stitched:
    """Brings a table in line with the pieces of some hours.

    Args:
        lake: the lake.
        event_hours: keys of the hours whose pieces have changed.
        what: the table.
        marks: further ones for the same commit.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    if not event_hours:
        return Stitched({}, {})

    def attempt() -> Stitched:
        table = lake.open(what.table)  # first: the pieces are then at least as new
        numbers = what.follows.numbers(lake)
        pieces = lake.open(what.follows.pieces)
        horizon = newest_event(lake, what.clock)
        changed = _changed(table, pieces, sorted(set(event_hours)), what, horizon)
        verdicts = validate_hours(what.table, changed)
        progress = {
            stitched_id(what.follows.pieces, hour): numbers.get(hour, 0) for hour in event_hours
        }
        progress |= {rows_id(h): (table.committed(rows_id(h)) or 0) + 1 for h in changed}
        progress |= marks or {}
        progress[_ANY] = (table.committed(_ANY) or 0) + 1
        fault_point(f"{what.table}.before_write")
        table.commit_files(
            {hour: [rows] for hour, rows in changed.items()},
            table.files_of(list(changed)),
            progress,
        )
        fault_point(f"{what.table}.committed")
        return Stitched({hour: rows.height for hour, rows in changed.items()}, verdicts)

    return retrying(what.table, attempt)


def _changed(
    table: TableSnapshot,
    pieces: TableSnapshot,
    event_hours: Sequence[str],
    what: ByOnset,
    horizon: datetime,
) -> dict[str, pl.DataFrame]:
    """Rows of the hours of onset that differ from what is there."""
    made, covered = [table.contract.polars_schema.to_frame()], []
    for first, last in stretches(event_hours, what.together):
        gathered = what.gather(pieces, first, last, _seeds(table, first, last, what))
        covered.append(gathered.covered)
        made.append(what.make(gathered.rows, horizon))
    rows = pl.concat(made).unique(what.key, maintain_order=True)
    cover = pl.concat(covered)
    begun = table.files_of(rows["event_hour"].unique())  # a fault may begin before its first piece
    files = pl.concat([_files_of(table, cover), _files_with_open(table), begun]).unique("path")
    before = table.read_files(files)
    replaced = (
        before.filter(what.mine)
        .select(what.key, "event_hour", *what.group)
        .join(cover, on=list(what.group))
        .filter(pl.col("event_hour").is_between("first", "last"))
    )
    silenced = (pl.col("state") == "open") & (what.silent_after < horizon)
    kept = before.join(replaced, on=what.key, how="anti").with_columns(
        state=pl.when(silenced).then(pl.lit("closed")).otherwise("state")
    )
    after = pl.concat([kept, rows]).unique(what.key, keep="last")
    names = before.columns
    hours = set(before.join(after, on=names, how="anti", nulls_equal=True)["event_hour"])
    hours |= set(after.join(before, on=names, how="anti", nulls_equal=True)["event_hour"])
    return {
        hour: after.filter(pl.col("event_hour") == hour).sort("vehicle_id", "started_at", what.key)
        for hour in sorted(hours)
    }


def stretches(event_hours: Sequence[str], together: timedelta) -> list[tuple[str, str]]:
    """First and last hours of stretches whose hours follow each other within a time.

    Args:
        event_hours: keys of hours in order.
        together: the longest time from one hour to the next.
    """
    found: list[tuple[str, str]] = []
    for hour in event_hours:
        if found and hour_start(hour) - hour_start(found[-1][1]) <= together:
            found[-1] = (found[-1][0], hour)
        else:
            found.append((hour, hour))
    return found


def _seeds(table: TableSnapshot, first: str, last: str, what: ByOnset) -> pl.DataFrame:
    """Groups that have something in these hours now, with the hours that it spans."""
    start = hour_start(first)
    around = pl.DataFrame({"first": [hour_key(start - what.longest)], "last": [last]})
    rows = table.read_files(
        _files_of(table, around), where=what.mine & (what.silent_after >= start)
    )
    return rows.select(
        *what.group,
        first=pl.col("started_at").dt.strftime(_HOUR),
        last=pl.col("ended_at").dt.strftime(_HOUR),
    )


def _files_of(table: TableSnapshot, cover: pl.DataFrame) -> pl.DataFrame:
    """Files of the hours that any group covers: whole hours, so that they can be written."""
    if table.files.is_empty():
        return table.files
    inside = (
        table.files.select("event_hour")
        .unique()
        .join_where(
            cover.select("first", "last").unique(),
            pl.col("event_hour") >= pl.col("first"),
            pl.col("event_hour") <= pl.col("last"),
        )
    )
    return table.files_of(inside["event_hour"].unique())


def _files_with_open(table: TableSnapshot) -> pl.DataFrame:
    """Files of the hours in which something is open."""
    if table.files.is_empty():
        return table.files
    maybe = table.files.filter((pl.col("max.state") >= "open").fill_null(value=True))
    return table.files_of(maybe["event_hour"].unique())


def newest_event(lake: Lake, table_name: str) -> datetime:
    """Newest event that the rows of any hour of a table were made from; the epoch without any."""
    table = lake.find(table_name)
    seen = {} if table is None else by_hour(all_marks(table.delta), seen_id)
    newest = max(seen.values(), default=0)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
