"""A warehouse whose marts are built after loads, as the platform does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from dbt_runs import run_dbt
from warehouse_data import contract_rows, outcomes, query, vehicle_hours

from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.load_stale import ByNumber
from fleet_assets.warehouse.mart_marks import hours_with_marks, remove_marks, take_marks
from fleet_assets.warehouse.mart_revisions import begin_build, finish_build, warehouse_clock
from fleet_assets.warehouse.revisions import cause_of, counts_of, note_revision, shown_counts
from fleet_assets.warehouse.staleness import mark_marts, pending_marts

STILL_FILLS = timedelta(minutes=10)
REVISIONS = """
select date_day, fleet_id, measure, value_before, value_after, value_change, cause, hours
from marts.mart_revisions where mart = %s order by date_day, fleet_id, measure
"""


@dataclass
class ShownMarts:
    """A warehouse and its marts."""

    url: str
    state: Path
    versions: int = 0

    def load(self, hour: str, messages: int, number: int = 1) -> None:
        """An hour of one vehicle."""
        self.versions += 1
        who = f"T-{number}"
        frames: dict[LoadedTable, pl.DataFrame] = outcomes(hour, {who: {"accepted": messages}})
        frames["vehicle_hours"] = vehicle_hours(
            {"event_hour": hour, "vehicle_id": who, "messages": messages, "distance_miles": 2.0}
        )
        entry = LedgerEntry("warehouse", hour, self.versions, rows=1)
        with psycopg.connect(self.url) as connection:  # as load_hour notes it
            shown = shown_counts(connection, hour)
            loaded = counts_of(frames["telemetry_outcomes"], frames["vehicle_outcomes"], 1)
            if shown is not None:
                cause = cause_of(shown, loaded, by_hand=False)
                note_revision(connection, hour, shown, loaded, cause, None)
        replace_hours(self.url, frames, [hour], [entry])

    def judge(self, table: ByNumber, hour: str, rows: Sequence[dict[str, Any]]) -> None:
        """Trips, anomalies, or what rules could judge of an hour."""
        self.versions += 1
        frame = contract_rows(table, *({"event_hour": hour} | row for row in rows))
        replace_hours(self.url, {table: frame}, [hour], [LedgerEntry(table, hour, self.versions)])

    def build(self, *, everything: bool = False) -> int:
        """A run of dbt; gives how many figures of history it changed."""
        as_of = warehouse_clock(self.url)
        pending = pending_marts(self.url) or hours_with_marks(self.url)
        marks = take_marks(self.url)
        wanted = None if everything else pending
        loaded = read_ledger(self.url, "warehouse", wanted)
        build = begin_build(self.url, as_of, wanted, STILL_FILLS, marked=marks.hours)
        marked = None if everything else marks.hours
        run_dbt(self.url, self.state, "run", touched=wanted, marked=marked)
        changed = finish_build(self.url, build)
        mark_marts(self.url, loaded)
        remove_marks(self.url, marks)
        return changed

    def revisions(self, mart: str) -> list[tuple[object, ...]]:
        """What was told of a mart."""
        return query(self.url, REVISIONS, mart)

    def forget(self) -> None:
        """Forgets what was told."""
        with psycopg.connect(self.url) as connection:
            connection.execute("truncate warehouse.mart_revisions")
