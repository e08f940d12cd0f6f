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
from fleet_assets.lake.chains import Chains, gather
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, rows_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.validation import Verdict, validate_hours
from partitions.hours import contiguous_ranges, hour_key, hour_start

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


@dataclass(frozen=True)
class ByOnset:
    """A table of what spans hours.

    Attributes:
        table: its name.
        pieces: name of the table with the pieces by hour.
        key: column that names a row.
        chains: how pieces belong together, from a snapshot of theirs.
        make: from all pieces of some groups and the newest event to rows.
        silent_after: of a row, the event time after which silence has ended it.
        longest: what spans hours is no longer, its silence included.
        mine: rows of the table that are made in this way; others are left alone.
    """

    table: str
    pieces: str
    key: str
    chains: Callable[[TableSnapshot], Chains]
    make: Callable[[pl.DataFrame, datetime], pl.DataFrame]
    silent_after: pl.Expr
    longest: timedelta
    mine: pl.Expr = field(default_factory=lambda: pl.lit(value=True))


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


def hours_left(lake: Lake, table_name: str, pieces_name: str) -> list[str]:
    """Hours whose pieces have changed since their meaning was worked out, in order."""
    pieces = lake.find(pieces_name)
    if pieces is None:
        return []
    table = lake.find(table_name)
    done = {} if table is None else all_marks(table.delta)
    return sorted(
        hour
        for hour, number in by_hour(all_marks(pieces.delta), found_id).items()
        if done.get(stitched_id(pieces_name, hour)) != number
    )


def stitch_hours(lake: Lake, event_hours: Sequence[str], what: ByOnset) -> Stitched:
    """Brings a table in line with the pieces of some hours.

    Args:
        lake: the lake.
        event_hours: keys of the hours whose pieces have changed.
        what: the table.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    if not event_hours:
        return Stitched({}, {})

    def attempt() -> Stitched:
        table = lake.open(what.table)  # first: the pieces are then at least as new
        pieces = lake.open(what.pieces)
        marks = all_marks(pieces.delta)
        changed = _changed(table, pieces, sorted(set(event_hours)), what, _horizon(marks))
        verdicts = validate_hours(what.table, changed)
        progress = {
            stitched_id(what.pieces, hour): marks.get(found_id(hour), 0) for hour in event_hours
        }
        progress |= {rows_id(h): (table.committed(rows_id(h)) or 0) + 1 for h in changed}
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
    chains = what.chains(pieces)
    made, covered = [table.contract.polars_schema.to_frame()], []
    for first, last in contiguous_ranges(event_hours, len(event_hours)):
        gathered = gather(chains, first, last, _seeds(table, first, last, what, chains.group))
        covered.append(gathered.covered)
        made.append(what.make(gathered.rows, horizon))
    rows = pl.concat(made).unique(what.key, maintain_order=True)
    cover = pl.concat(covered)
    files = pl.concat([_files_of(table, cover), _files_with_open(table)]).unique("path")
    before = table.read_files(files)
    replaced = (
        before.filter(what.mine)
        .select(what.key, "event_hour", *chains.group)
        .join(cover, on=list(chains.group))
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


def _seeds(
    table: TableSnapshot, first: str, last: str, what: ByOnset, group: Sequence[str]
) -> pl.DataFrame:
    """Groups that have something in these hours now, with the hours that it spans."""
    start = hour_start(first)
    around = pl.DataFrame({"first": [hour_key(start - what.longest)], "last": [last]})
    rows = table.read_files(
        _files_of(table, around), where=what.mine & (what.silent_after >= start)
    )
    return rows.select(
        *group,
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


def _horizon(marks: Mapping[str, int]) -> datetime:
    """Newest event that any hour's pieces were made from."""
    newest = max(by_hour(marks, seen_id).values(), default=0)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
