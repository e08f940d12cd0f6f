"""What lies in the lake's folders against what its tables refer to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.fs

from fleet_assets.contracts.tables import TABLES
from fleet_assets.doctor.checks.lake import MOST_FILES, LakeFacts, TableFacts
from fleet_assets.errors import FleetError
from fleet_assets.lake.files import filesystem
from fleet_assets.lake.ledger import (
    RAW,
    damaged_hours,
    lake_ledger,
    ledger_snapshots,
    vanished_hours,
)
from fleet_assets.lake.log import mentioned_files, stored_files
from fleet_assets.lake.store import Lake, TableSnapshot
from partitions.hours import HOUR, hour_start

CLOSED_FOR = timedelta(hours=3)
"""Upkeep has had its turn at hours that have been closed for so long."""


def lake_facts(lake: Lake, orphan_age: timedelta, now: datetime | None = None) -> LakeFacts:
    """Facts of all tables.

    Args:
        lake: the lake.
        orphan_age: younger files may belong to a writer that has not committed yet.
        now: the moment to count from.
    """
    now = now or datetime.now(UTC)
    tables: dict[str, TableFacts] = {}
    for contract in TABLES:
        try:
            snapshot = lake.find(contract.name)
        except FleetError as error:  # its columns are not those of the contract
            tables[contract.name] = TableFacts(unlike=str(error))
            continue
        if snapshot is not None:
            tables[contract.name] = _table_facts(snapshot, orphan_age, now)
    return LakeFacts(tables, orphan_age.total_seconds())


def damaged(lake: Lake) -> Mapping[str, str]:
    """Hours whose raw messages or their files are gone or cut off, in words."""
    tables = ledger_snapshots(lake)
    files = damaged_hours(tables[RAW]) if RAW in tables else {}
    return vanished_hours(lake_ledger(tables)) | files


def orphans(snapshot: TableSnapshot, older_than: datetime) -> pl.DataFrame:
    """Files that no version refers to that the log still knows, written before this moment.

    The folder is listed before the log is read: what a writer commits meanwhile is then named.
    """
    stored = stored_files(snapshot.delta).filter(pl.col("modified_at") < older_than)
    if stored.is_empty():
        return stored
    known = mentioned_files(snapshot.delta)
    return stored.filter(~pl.col("path").is_in(sorted(known)))


def remove_orphans(lake: Lake, older_than: datetime) -> dict[str, int]:
    """Removes orphans, by table; each is looked up anew right before."""
    removed: dict[str, int] = {}
    for contract in TABLES:
        snapshot = lake.find(contract.name)
        if snapshot is None:
            continue
        store = filesystem(snapshot.delta)
        for path in orphans(snapshot, older_than)["path"]:
            if store.get_file_info(path).type == pyarrow.fs.FileType.File:
                store.delete_file(path)
                removed[contract.name] = removed.get(contract.name, 0) + 1
    return removed


def _table_facts(snapshot: TableSnapshot, orphan_age: timedelta, now: datetime) -> TableFacts:
    lost = orphans(snapshot, now - orphan_age)
    return TableFacts(
        orphans=dict(lost.select("path", "size_bytes").iter_rows()),
        missing=_missing(snapshot),
        crowded=_crowded(snapshot, now),
        unlike=_unlike(snapshot),
    )


def _missing(snapshot: TableSnapshot) -> list[str]:
    if snapshot.files.is_empty():
        return []
    stored = stored_files(snapshot.delta).select("path", stored_bytes="size_bytes")
    wrong = (
        snapshot.files.select("path", "size_bytes")
        .join(stored, on="path", how="left")
        .filter(pl.col("stored_bytes").ne_missing(pl.col("size_bytes")))
    )
    return wrong["path"].to_list()


def _crowded(snapshot: TableSnapshot, now: datetime) -> dict[str, int]:
    if snapshot.files.is_empty() or snapshot.contract.partition_by is None:
        return {}
    counts = snapshot.files.group_by("event_hour").len().filter(pl.col("len") > MOST_FILES)
    return {
        hour: files
        for hour, files in counts.iter_rows()
        if hour_start(hour) + HOUR + CLOSED_FOR < now
    }


def _unlike(snapshot: TableSnapshot) -> str | None:
    held = {field.name for field in snapshot.delta.schema().fields}
    wanted = set(snapshot.contract.names)
    words = []
    if missing := sorted(wanted - held):
        words.append(f"lacks {', '.join(missing)}")
    if unknown := sorted(held - wanted):
        words.append(f"has {', '.join(unknown)}, which no contract names")
    return "; ".join(words) or None
