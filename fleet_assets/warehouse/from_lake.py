"""One hour from the lake into the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl
import psycopg

from fleet_assets.lake.refresh import app_id
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.revisions import cause_of, counts_of, note_revision, shown_counts
from fleet_assets.warehouse.telemetry_replays import note_replays
from partitions.hours import HOUR, hour_start

TABLES: Final[tuple[LoadedTable, ...]] = (
    "vehicle_hours",
    "vehicle_outcomes",
    "telemetry_outcomes",
)
REPLAYS: Final = "telemetry_replays"
"""Not a table of the lake: it is made with the load."""


@dataclass(frozen=True)
class LoadedHour:
    """Rows per table, and the version of `raw_telemetry` whose messages they include."""

    event_hour: str
    processed_version: int
    rows: dict[str, int]


def load_hour(
    lake: Lake,
    postgres_url: str,
    event_hour: str,
    run_id: str | None,
    *,
    late_after: timedelta = timedelta(),
    by_hand: bool = False,
) -> LoadedHour:
    """Replaces the hour in the warehouse by what the lake holds.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        event_hour: key of the hour.
        run_id: the run that loads.
        late_after: until so long after its end an hour still fills; what changes later is noted as
            a revision, in the same transaction.
        by_hand: somebody asked for the hour to be made anew.
    """
    frames: dict[LoadedTable, pl.DataFrame] = {}
    marks: dict[LoadedTable, int] = {}
    for name in TABLES:
        table = lake.open(name)
        mark = table.committed(app_id(event_hour))
        marks[name] = -1 if mark is None else mark
        frames[name] = table.read(event_hour)
    version = min(marks.values())
    total = sum(frame.height for frame in frames.values())
    entry = LedgerEntry(
        "warehouse", event_hour, processed_version=version, rows=total, run_id=run_id
    )

    replays = 0
    counted = int(frames["telemetry_outcomes"]["replayed"].sum())

    def note(connection: psycopg.Connection) -> None:
        nonlocal replays
        replays = note_replays(connection, lake, event_hour, counted, marks["telemetry_outcomes"])
        shown = shown_counts(connection, event_hour)
        if shown is None or datetime.now(UTC) < hour_start(event_hour) + HOUR + late_after:
            return
        loaded = counts_of(
            frames["telemetry_outcomes"],
            frames["vehicle_outcomes"],
            frames["vehicle_hours"].height,
        )
        cause = cause_of(shown, loaded, by_hand=by_hand)
        note_revision(connection, event_hour, shown, loaded, cause, run_id)

    replace_hours(postgres_url, frames, [event_hour], [entry], before=note)
    rows: dict[str, int] = {name: frames[name].height for name in TABLES}
    return LoadedHour(event_hour, version, rows | {REPLAYS: replays})
