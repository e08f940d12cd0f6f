"""An hour made anew from all of its raw messages, slice by slice so that it fits in memory."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import polars as pl
from deltalake.transaction import AddAction

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.files import write_file
from fleet_assets.lake.hour_step import Checked, Made, added_up, check
from fleet_assets.lake.hour_tables import HourTables, Write
from fleet_assets.lake.messages import Span, messages, newest_raw_versions
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.telemetry.hour import HourStep, step
from fleet_assets.telemetry.outcomes import (
    outcomes_after,
    outcomes_rebuilt,
    vehicle_outcomes_after,
)

_ROWS: Final = ("telemetry", "telemetry_rejects")
_SECOND: Final = "1s"


def rebuild_hour(
    tables: HourTables,
    event_hour: str,
    known_vehicles: frozenset[str],
    late_after: timedelta,
    slice_messages: int,
) -> tuple[Made, int]:
    """Replaces the hour in all tables by what its raw messages give.

    Args:
        tables: snapshots; no raw message of the hour has expired.
        event_hour: key of the hour.
        known_vehicles: ids of all registered vehicles.
        late_after: age at arrival from which on a message counts as late.
        slice_messages: about how many messages are worked on at a time.

    Returns:
        What was made, and the version of `raw_telemetry` that it includes.
    """
    upto = newest_raw_versions(tables.raw).get(event_hour, -1)
    span = {event_hour: Span(-1, upto)}
    tally = _Tally(tables, event_hour, late_after)
    for where in _slices(tables.raw, event_hour, slice_messages):
        new = messages(tables.raw, span, where)
        tally.add(step(new, known_vehicles), new.height)
        fault_point("rebuild.slice_written")
    return tally.commit(upto), upto


class _Tally:
    """Rows that are written already, and counts, of the slices so far."""

    def __init__(self, tables: HourTables, event_hour: str, late_after: timedelta) -> None:
        self._tables, self._hour, self._late_after = tables, event_hour, late_after
        self._before = tables.telemetry_outcomes.read(event_hour)
        self._outcomes = self._before.clear()
        self._vehicles = tables.vehicle_outcomes.contract.polars_schema.to_frame()
        self._written: dict[str, list[AddAction]] = {name: [] for name in _ROWS}
        self._checked: Checked = {}
        self._read = 0

    def add(self, change: HourStep, messages_read: int) -> None:
        """Checks and writes the rows of a slice; nobody sees them yet."""
        frames = {"telemetry": change.telemetry_added, "telemetry_rejects": change.rejects_added}
        self._checked = added_up(self._checked, check(**frames))
        self._outcomes = outcomes_after(self._outcomes, change.verdicts, self._late_after)
        self._vehicles = vehicle_outcomes_after(self._vehicles, change.verdicts, self._late_after)
        self._read += messages_read
        for name, rows in frames.items():
            if not rows.is_empty():
                table = self._tables.table(name)
                action = write_file(table.delta, table.contract, self._hour, rows)
                self._written[name].append(action)

    def commit(self, upto: int) -> Made:
        """Replaces the hour."""
        tables, hours = self._tables, [self._hour]
        # slices cut a range of offsets in several parts: only the whole says what was revised
        outcomes = outcomes_rebuilt(self._before, self._outcomes.with_columns(revisions=pl.lit(0)))
        counts = {"telemetry_outcomes": outcomes, "vehicle_outcomes": self._vehicles}
        checked = self._checked | check(**counts)
        writes = {
            name: Write([], tables.table(name).files_of(hours), self._written[name])
            for name in _ROWS
        } | {
            name: Write([rows], tables.table(name).files_of(hours)) for name, rows in counts.items()
        }
        tables.commit(writes, {self._hour: upto})
        return Made({self._hour: self._read}, checked, outcomes)


def _slices(raw: TableSnapshot, event_hour: str, most: int) -> list[pl.Expr | None]:
    """Conditions that part the messages of an hour; duplicates of each other stay together."""
    files = raw.files_of([event_hour])
    if files.is_empty() or files["num_records"].sum() <= most:
        return [None]
    accepted = pl.col("reject_reason").is_null()
    moment = pl.when(accepted).then("event_time").otherwise("append_time")
    seconds = (
        raw.scan(files)
        .group_by(moment.dt.truncate(_SECOND).alias("second"))
        .len()
        .sort("second")
        .collect(engine="streaming")
        .with_columns(part=(pl.col("len").cum_sum() - pl.col("len")) // most)
    )
    starts = seconds.group_by("part", maintain_order=True).agg(pl.col("second").min())["second"]
    bounds = [None, *starts.to_list()[1:], None]
    return [
        (accepted & _between(pl.col("event_time"), low, high))
        | (~accepted & _between(pl.col("append_time"), low, high))
        for low, high in pairwise(bounds)
    ]


def _between(moment: pl.Expr, low: datetime | None, high: datetime | None) -> pl.Expr:
    from_low = pl.lit(True) if low is None else moment >= low
    return from_low if high is None else from_low & (moment < high)
