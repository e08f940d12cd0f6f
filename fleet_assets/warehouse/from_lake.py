"""One hour from the lake into the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.lake.refresh import app_id
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import LoadedTable, replace_hours

TABLES: Final[tuple[LoadedTable, ...]] = (
    "vehicle_hours",
    "vehicle_outcomes",
    "telemetry_outcomes",
)


@dataclass(frozen=True)
class LoadedHour:
    """Rows per table, and the version of `raw_telemetry` whose messages they include."""

    event_hour: str
    processed_version: int
    rows: dict[str, int]


def load_hour(lake: Lake, postgres_url: str, event_hour: str, run_id: str | None) -> LoadedHour:
    """Replaces the hour in the warehouse by what the lake holds."""
    frames: dict[LoadedTable, pl.DataFrame] = {}
    marks: list[int] = []
    for name in TABLES:
        table = lake.open(name)
        mark = table.committed(app_id(event_hour))
        marks.append(-1 if mark is None else mark)
        frames[name] = table.read(event_hour)
    version = min(marks)
    total = sum(frame.height for frame in frames.values())
    entry = LedgerEntry(
        "warehouse", event_hour, processed_version=version, rows=total, run_id=run_id
    )
    replace_hours(postgres_url, frames, [event_hour], [entry])
    return LoadedHour(event_hour, version, {name: frames[name].height for name in TABLES})
