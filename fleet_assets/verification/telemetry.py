"""Telemetry of an hour made anew from its raw messages, in a lake of its own that vanishes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.lake.hour_tables import HourTables
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_ranges
from fleet_assets.verification.differences import Difference, difference

_REJECTS: Final = ["event_hour", "reason", "detail", "vehicle_id", "event_time", "append_time",
                   "value"]  # fmt: skip
_COUNTS: Final = ["read", "accepted", "duplicate", "rejected", "pending", "late"]


@dataclass(frozen=True)
class _Scratch(Lake):
    """Writes to a folder of its own; raw messages are those of another lake."""

    raw: str = ""

    def open(self, name: str) -> TableSnapshot:
        """A table of its own, but raw messages."""
        return Lake(self.raw if name == "raw_telemetry" else self.url).open(name)

    def find(self, name: str) -> TableSnapshot | None:
        """The same, if it is there."""
        return Lake(self.raw if name == "raw_telemetry" else self.url).find(name)


def telemetry_differences(
    lake: Lake, event_hour: str, known_vehicles: frozenset[str], late_after: timedelta
) -> list[Difference] | None:
    """Compares the four tables of an hour with a rebuild from its raw messages.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        known_vehicles: ids of all registered vehicles.
        late_after: age at arrival from which on a message counts as late.

    Returns:
        What differs; None: raw messages have expired, or the hour is not in line with them yet.
    """
    tables = HourTables.open(lake)
    waits = tables.lagging(event_hour) or tables.registered([event_hour], known_vehicles)
    if waits or not tables.raw_is_complete(event_hour):
        return None
    with tempfile.TemporaryDirectory(prefix="fleet-verify-") as folder:
        scratch = _Scratch(folder, lake.url)
        made = refresh_hour(
            scratch, event_hour, known_vehicles, late_after, force_rebuild=True, raw=tables.raw
        )
        if made.processed_version != tables.mark(event_hour).version:
            return None
        return [found for found in _compared(tables, scratch, event_hour) if found is not None]


def _compared(tables: HourTables, scratch: Lake, event_hour: str) -> Iterator[Difference | None]:
    stored, made = tables.telemetry, scratch.open("telemetry")
    files = (stored.files_of([event_hour]), made.files_of([event_hour]))
    both = pl.concat([stored.scan(files[0]), made.scan(files[1])])
    for first, last in vehicle_ranges(both, 2 * PART_ROWS):
        part = pl.col("vehicle_id").is_between(pl.lit(first), pl.lit(last))
        rows = (stored.read_files(files[0], where=part), made.read_files(files[1], where=part))
        yield difference("telemetry", event_hour, *rows, by=stored.contract.key)

    def read(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        return tables.table(name).read(event_hour), scratch.open(name).read(event_hour)

    by = tables.vehicle_outcomes.contract.key
    yield difference("vehicle_outcomes", event_hour, *read("vehicle_outcomes"), by=by)
    refused = [rows.select(_REJECTS) for rows in read("telemetry_rejects")]
    yield difference("telemetry_rejects", event_hour, refused[0], refused[1], by=())
    # of equal messages the first to arrive is the accepted one: ranges of offsets may differ
    counts = pl.col(_COUNTS).sum()
    totals = [rows.group_by("event_hour").agg(counts) for rows in read("telemetry_outcomes")]
    yield difference("telemetry_outcomes", event_hour, totals[0], totals[1], by=["event_hour"])
