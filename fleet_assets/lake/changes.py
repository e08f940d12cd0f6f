"""Which rows of an hour have come, and which have gone, between two versions of a table.

Read from Delta's log: rows live in files that never change, so what a commit has done is the files
that it added and removed. Commits that only arrange rows in another way (compaction) say so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fleet_assets.lake.files import filesystem
from fleet_assets.lake.store import TableSnapshot

MOST_COMMITS: Final = 2_000
"""A longer stretch of the log is not read: that would take longer than the hour itself."""


@dataclass(frozen=True)
class HourChange:
    """Files whose rows came, files whose rows went; a row that stands in both did not change.

    Attributes:
        kept: files of the newer version in which rows of the older one may lie.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def hour_change(table: TableSnapshot, since: int, event_hour: str) -> HourChange | None:
    """What has changed in an hour after version `since` of the table.

    Args:
        table: the newer version.
        since: the older version.
        event_hour: key of the hour.

    Returns:
        None: the log does not tell (any more).
    """
    now = set(_paths(table, event_hour))
    try:
        before = set(_paths(TableSnapshot(table.contract, _version(table, since)), event_hour))
    except DeltaError:
        return None
    if before <= now:
        return HourChange(tuple(sorted(now - before)), (), tuple(sorted(before)))
    if table.version - since > MOST_COMMITS:
        return None
    added_paths, removed_paths = list[str](), list[str]()
    try:
        for version in range(since + 1, table.version + 1):
            for kind, path in _data_changes(table, version, event_hour):
                (added_paths if kind == "add" else removed_paths).append(path)
    except FileNotFoundError:
        return None
    added, removed = set(added_paths), set(removed_paths)
    passing = added & removed  # came and went meanwhile
    added, removed = added - passing, removed - passing
    kept = now if removed else now - added
    return HourChange(tuple(sorted(added)), tuple(sorted(removed)), tuple(sorted(kept)))


def _version(table: TableSnapshot, version: int) -> DeltaTable:
    return DeltaTable(table.delta.table_uri, version=version)


def _paths(table: TableSnapshot, event_hour: str) -> pl.Series:
    return table.files.filter(pl.col("event_hour") == event_hour)["path"]


def _data_changes(table: TableSnapshot, version: int, event_hour: str) -> list[tuple[str, str]]:
    found = []
    with filesystem(table.delta).open_input_stream(f"_delta_log/{version:020}.json") as log:
        lines = log.read().splitlines()
    folder = f"event_hour={event_hour}/"
    for line in lines:
        for kind, action in json.loads(line).items():
            if kind in ("add", "remove") and action.get("dataChange", True):
                path = unquote(action["path"])
                if path.startswith(folder):
                    found.append((kind, path))
    return found
