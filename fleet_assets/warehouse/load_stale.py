"""Loading hours that the warehouse has not as the lake has them, by the numbers of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import polars as pl

from fleet_assets.lake.log import all_marks
from fleet_assets.lake.processed import numbers_of
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger
from fleet_assets.warehouse.load import replace_hours

ByNumber = Literal[
    "anomalies", "rule_anomalies", "rule_eligibility", "trips", "vehicle_codes",
    "model_hours", "model_anomalies",
]  # fmt: skip
"""Tables of the lake whose commits give each hour's rows a number; the stage has the same name."""
COPIED: Final[tuple[ByNumber, ...]] = (
    "rule_anomalies",
    "rule_eligibility",
    "trips",
    "vehicle_codes",
)
"""Those that are loaded as they are, with the anomalies."""
SCORED: Final[tuple[ByNumber, ...]] = ("model_hours", "model_anomalies")
"""Those that are loaded as they are, with what models find."""
MOST_HOURS: Final = 500
"""Hours in one transaction."""


def stale_hours(table: TableSnapshot, postgres_url: str, name: ByNumber) -> dict[str, int]:
    """Hours that the warehouse has not as the lake has them, with the lake's number of each."""
    done = {entry.event_hour: entry.processed_version for entry in read_ledger(postgres_url, name)}
    return {
        hour: number
        for hour, number in numbers_of(name, all_marks(table.delta)).items()
        if done.get(hour) != number
    }


def loaded_entries(
    name: ByNumber, marks: Mapping[str, int], rows: pl.DataFrame, run_id: str | None
) -> list[LedgerEntry]:
    """What the ledger is told once the hours of `marks` are loaded with these rows."""
    heights = dict(rows.group_by("event_hour").len().iter_rows())
    return [
        LedgerEntry(name, hour, processed_version=number, rows=heights.get(hour, 0), run_id=run_id)
        for hour, number in marks.items()
    ]


def hours_to_load(
    lake: Lake, postgres_url: str, names: Sequence[ByNumber] = ("anomalies", *COPIED)
) -> set[str]:
    """Hours of any of the tables that the warehouse has not as the lake has them."""
    found: set[str] = set()
    for name in names:
        table = lake.find(name)
        if table is not None:
            found |= set(stale_hours(table, postgres_url, name))
    return found


def load_copied(
    lake: Lake, postgres_url: str, name: ByNumber, run_id: str | None
) -> dict[str, int]:
    """Replaces the hours of one table that differ; gives rows by hour."""
    table = lake.find(name)
    if table is None:
        return {}
    marks = stale_hours(table, postgres_url, name)
    hours = sorted(marks)
    loaded: dict[str, int] = {}
    for start in range(0, len(hours), MOST_HOURS):
        some = hours[start : start + MOST_HOURS]
        rows = table.read_files(table.files_of(some))
        entries = loaded_entries(name, {hour: marks[hour] for hour in some}, rows, run_id)
        replace_hours(postgres_url, {name: rows}, some, entries)
        loaded |= {entry.event_hour: entry.rows or 0 for entry in entries}
    return loaded
