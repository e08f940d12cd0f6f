"""Keeping log and folder of the lake's tables small: checkpoints, expired log entries, dead files.

A file that no version refers to any more stays for a while, because a reader may still hold an
older version, or a writer may have written it and not committed yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from math import ceil
from typing import Final

from deltalake.exceptions import DeltaError

from fleet_assets.contracts.tables import TABLES
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.files import filesystem
from fleet_assets.lake.store import Lake, TableSnapshot

LOG_KEPT: Final = timedelta(hours=6)
"""Log entries older than this and older than a checkpoint go: opening a table lists its log.
That of telemetry stays as long as dead files do: `vehicle_hours` reads there what has come."""
_COMMITS_WITHOUT_CHECKPOINT: Final = 10


def vacuum(lake: Lake, retention: timedelta, *, dry_run: bool = False) -> dict[str, int]:
    """Removes files that no version younger than the retention refers to.

    Args:
        lake: the lake.
        retention: how long a file stays after it has been replaced, or was written without ever
            being committed; in whole hours, rounded up.
        dry_run: only count them.

    Returns:
        Files removed, by table; tables without any are missing.
    """
    fault_point("upkeep.before_vacuum")
    hours = ceil(retention / timedelta(hours=1))
    removed = {}
    for snapshot in _tables(lake):
        dead = _dead(snapshot, hours, dry_run=True)
        if dead:
            removed[snapshot.contract.name] = dead if dry_run else _dead(snapshot, hours)
    return removed


def tidy_logs(lake: Lake, retention: timedelta) -> None:
    """Makes checkpoints where commits have piled up and removes log entries that nobody needs.

    Args:
        lake: the lake.
        retention: as for `vacuum`: so long the log remembers which files were replaced, and when.
    """
    hours = max(ceil(retention / timedelta(hours=1)), 1)
    for snapshot in _tables(lake):
        kept = hours if snapshot.contract.name == "telemetry" else LOG_KEPT // timedelta(hours=1)
        wanted = {
            "delta.logRetentionDuration": f"interval {kept} hours",
            "delta.deletedFileRetentionDuration": f"interval {hours} hours",
        }
        delta = snapshot.delta
        try:
            known = delta.metadata().configuration
            unset = {k: v for k, v in wanted.items() if known.get(k) != v}
            if unset:
                delta.alter.set_table_properties(unset)
                delta.update_incremental()
        except DeltaError:
            continue  # another writer came between: the next run will do it
        if delta.version() - _last_checkpoint(snapshot) >= _COMMITS_WITHOUT_CHECKPOINT:
            delta.create_checkpoint()
            delta.cleanup_metadata()


def _dead(snapshot: TableSnapshot, hours: int, *, dry_run: bool = False) -> int:
    found = snapshot.delta.vacuum(
        retention_hours=hours, dry_run=dry_run, enforce_retention_duration=False, full=True
    )
    return len(found)


def _tables(lake: Lake) -> Iterator[TableSnapshot]:
    for table in TABLES:
        snapshot = lake.find(table.name)
        if snapshot is not None:
            yield snapshot


def _last_checkpoint(snapshot: TableSnapshot) -> int:
    try:
        with filesystem(snapshot.delta).open_input_file("_delta_log/_last_checkpoint") as file:
            return int(json.loads(file.read())["version"])
    except FileNotFoundError:
        return 0
