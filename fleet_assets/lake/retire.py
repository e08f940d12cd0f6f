"""Rows of hours long past leave the lake: copied to the archive, compared, and only then removed.

Marks stay, so an hour looks as finished as before; how many rows have gone, and to which batch of
the archive, stands in the very commit that removes them. An hour whose telemetry goes is sealed
first (`sealed`). Killed at any point, the next run does what is missing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl
from deltalake.transaction import AddAction

from fleet_assets.contracts.table import Table
from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.archive import Archive, ArchiveError, Source
from fleet_assets.lake.conservation import account
from fleet_assets.lake.expired import expired_rows, expired_rows_id
from fleet_assets.lake.files import filesystem, write_file
from fleet_assets.lake.follow import telemetry_marks
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, by_hour, expired_id
from fleet_assets.lake.retired import archived_batches, archived_id, marks_of_key
from fleet_assets.lake.sealed import hour_after, seal
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot, retrying
from partitions.hours import HOUR, hour_start

RAW: Final = "raw_telemetry"
TELEMETRY: Final = "telemetry"
_FOLLOWERS: Final = ("segments", "trip_segments", "feature_windows")
"""Tables that are made from telemetry and may still need it."""


@dataclass(frozen=True)
class Going:
    """What would go, or went, of one hour of one table.

    Attributes:
        rows: rows that go.
        files: files that they lie in.
        bytes: size of those files.
        staying: rows that stay: of held vehicles, or of what is not over yet.
        kept_because: why nothing goes; None: it does.
    """

    table: str
    key: str
    rows: int
    files: int
    bytes: int
    staying: int = 0
    kept_because: str | None = None


def old_hours(lake: Lake, table: str, cutoff: datetime) -> list[str]:
    """Hours of a table that ended, and whose newest message arrived, before a moment; in order."""
    snapshot = lake.find(table)
    if snapshot is None:
        return []
    hours = set() if snapshot.files.is_empty() else set(snapshot.files["event_hour"])
    if table == TELEMETRY:  # hours of nothing but rejects have no file
        marks = all_marks(snapshot.delta)
        hours |= by_hour(marks, app_id).keys() - by_hour(marks, expired_id).keys()
    over = sorted(hour for hour in hours if hour_start(hour) + HOUR <= cutoff)
    arrivals = _arrivals(lake, table, over)
    return [hour for hour in over if hour not in arrivals or arrivals[hour] <= cutoff]


def look(
    lake: Lake,
    table: str,
    key: str,
    cutoff: datetime,
    held: Collection[str],
    before: Collection[str] = (),
) -> Going:
    """What would go of an hour, or why nothing may.

    Args:
        lake: the lake.
        table: name of the table.
        key: the hour.
        cutoff: what is over since before this moment is old.
        held: vehicles whose rows stay.
        before: tables whose rows of this hour are taken to have gone.
    """
    return _look(lake, lake.open(table), key, cutoff, held, before).told


def retire(
    lake: Lake,
    table: str,
    key: str,
    cutoff: datetime,
    held: Collection[str],
    archive: Archive | None,
) -> Going:
    """Archives what is to go of an hour, verifies the archive and removes the rows.

    Args:
        lake: the lake.
        table: name of the table.
        key: the hour.
        cutoff: what is over since before this moment is old.
        held: vehicles whose rows stay in the lake (the archive gets whole files).
        archive: None: the rows are removed for good.

    Raises:
        ArchiveError: the archive does not hold what was written to it; nothing is removed.
    """
    told = look(lake, table, key, cutoff, held)
    if told.kept_because is not None:
        return told
    if table == TELEMETRY:
        retrying(f"seal of {key}", lambda: seal(lake.open(RAW), key))
        fault_point("retire.sealed")
    snapshot = lake.open(table)
    found = _look(lake, snapshot, key, cutoff, held)
    if found.told.kept_because is not None:
        return found.told
    progress = marks_of_key(all_marks(snapshot.delta), key)
    progress |= {
        expired_id(key): _upto(snapshot, found.files, key),
        expired_rows_id(key): expired_rows(snapshot, key) + found.told.rows,
    }
    if archive is not None and found.files.height:
        progress[archived_id(key)] = _archived(archive, snapshot, key, found.files)
    stay = _written(snapshot, key, found)
    fault_point("retire.before_commit")
    try:
        snapshot.commit_actions(stay, found.files, progress)
    except CommitConflictError:
        return _kept(found.told, "another writer changed its files meanwhile")
    fault_point("retire.committed")
    return found.told


def staying(contract: Table, cutoff: datetime, held: Collection[str]) -> pl.Expr | None:
    """Which rows of an old hour stay; None: none can."""
    names, conditions = set(contract.names), []
    if held and "vehicle_id" in names:
        conditions.append(pl.col("vehicle_id").is_in(sorted(held)))
    if {"state", "ended_at"} <= names:  # what began in the hour may not be over
        conditions.append((pl.col("state") == "open") | (pl.col("ended_at") >= cutoff))
    return pl.any_horizontal(conditions).fill_null(value=False) if conditions else None


@dataclass(frozen=True)
class _Found:
    """Of an hour: what is to be told, the files that change, and which rows stay in those."""

    told: Going
    files: pl.DataFrame
    stays: pl.Expr | None


def _look(
    lake: Lake,
    snapshot: TableSnapshot,
    key: str,
    cutoff: datetime,
    held: Collection[str],
    before: Collection[str] = (),
) -> _Found:
    table = snapshot.contract.name
    files = snapshot.files_of([key])
    stays = staying(snapshot.contract, cutoff, held)
    rows, kept = int(files["num_records"].sum() or 0) if files.height else 0, 0
    if files.height and stays is not None:
        some, kept = _with_leaving(snapshot, files, stays)
        files = some
    told = Going(
        table, key, rows - kept, files.height,
        int(files["size_bytes"].sum() or 0) if files.height else 0, kept,
    )  # fmt: skip
    begun = table == TELEMETRY and snapshot.committed(expired_id(key)) is None
    if not told.rows and not begun:
        told = _kept(told, "all of it is held, or not over yet" if kept else "nothing is there")
    else:
        reason = _not_ready(lake, snapshot, key, held, before)
        told = told if reason is None else _kept(told, reason)
    return _Found(told, files, stays)


def _with_leaving(
    snapshot: TableSnapshot, files: pl.DataFrame, stays: pl.Expr
) -> tuple[pl.DataFrame, int]:
    """Files in which any row goes, and how many rows stay in all."""
    leaving, kept = [], 0
    for number in range(files.height):
        one = files[number]
        remain = int(snapshot.scan(one).select(stays.sum()).collect().item() or 0)
        kept += remain
        if remain < int(one["num_records"].sum()):
            leaving.append(one)
    return pl.concat(leaving) if leaving else files.clear(), kept


def _kept(told: Going, reason: str) -> Going:
    return Going(told.table, told.key, 0, 0, 0, told.staying, reason)


def _not_ready(
    lake: Lake,
    snapshot: TableSnapshot,
    key: str,
    held: Collection[str],
    before: Collection[str],
) -> str | None:
    """Why the rows are still needed."""
    table = snapshot.contract.name
    if table == RAW:
        return _unaccounted(lake, key)
    telemetry = lake.open(TELEMETRY)
    if table == TELEMETRY:
        raw_stays = RAW not in before and _raw_is_there(lake, key, held)
        return "its raw messages are still there" if raw_stays else _needed(lake, telemetry, key)
    gone = TELEMETRY in before or telemetry.committed(expired_id(key)) is not None
    if not gone and telemetry.committed(app_id(key)) is not None:
        return "its telemetry is still there"
    if table == "dlq_published":  # else the rejects would be sent again
        rejects = lake.open("telemetry_rejects").files_of([key])
        there = rejects.height and "telemetry_rejects" not in before
        return "its rejects are still there" if there else None
    return None


def _unaccounted(lake: Lake, key: str) -> str | None:
    (found,) = account(lake, [key])
    if found.pending:
        return f"{found.pending:,} messages are not taken in yet"
    return "; ".join(found.differences) or None


def _raw_is_there(lake: Lake, key: str, held: Collection[str]) -> bool:
    """Raw messages of the hour are there, of vehicles that are not held."""
    raw = lake.open(RAW)
    files = raw.files_of([key])
    if files.is_empty():
        return False
    mine = pl.col("vehicle_id").is_in(sorted(held)).fill_null(value=False)
    return bool(raw.scan(files).select((~mine).sum()).collect().item())


def _needed(lake: Lake, telemetry: TableSnapshot, key: str) -> str | None:
    """Why the telemetry of an hour may still be needed, by it or by the hour after it."""
    for hour in (key, hour_after(key)):
        if reason := _unaccounted(lake, hour):
            return f"{hour}: {reason}"
        if telemetry.committed(app_id(hour)) is None:
            continue
        marks = telemetry_marks(telemetry.committed, hour)
        for name in _FOLLOWERS:
            table = lake.find(name)
            if table is not None and any(table.committed(m) != v for m, v in marks.items()):
                return f"{name} of {hour} is not in line with it yet"
    return None


def _upto(snapshot: TableSnapshot, files: pl.DataFrame, key: str) -> int:
    """For raw the newest landing that goes; else how far the hour had come."""
    if snapshot.contract.name == RAW:
        return int(files["max.landing_version"].max())  # type: ignore[arg-type]
    return max(snapshot.committed(app_id(key)) or 0, 0)


def _archived(archive: Archive, snapshot: TableSnapshot, key: str, files: pl.DataFrame) -> int:
    """Copies the files and reads the copy back; gives the number of the batch."""
    by = snapshot.contract.partition_by
    if by is None:
        raise FleetError(f"{snapshot.contract.name} has no hours or days to archive")
    number = archived_batches(snapshot, key) + 1
    store = filesystem(snapshot.delta)
    sources = [
        Source(lambda path=path: store.open_input_stream(path), rows)  # type: ignore[misc]
        for path, rows in files.select("path", "num_records").iter_rows()
    ]
    archive.put(snapshot.contract.name, by, key, number, sources)
    written = archive.find(snapshot.contract.name, by, key, number)
    if written is None:
        raise ArchiveError(f"{archive.url}: the manifest of {key} is gone; nothing is removed")
    archive.verify(written)
    return number


def _written(snapshot: TableSnapshot, key: str, found: _Found) -> list[AddAction]:
    """New files of the rows that stay."""
    if found.stays is None or found.files.is_empty():
        return []
    rows = snapshot.read_files(found.files, where=found.stays)
    if rows.is_empty():
        return []
    return [write_file(snapshot.delta, snapshot.contract, key, rows)]


def _arrivals(lake: Lake, table: str, hours: list[str]) -> dict[str, datetime]:
    """By hour the newest arrival that is known."""
    if table == RAW:
        files = lake.open(RAW).files_of(hours)
        column = "max.append_time"
        grouped = files.group_by("event_hour").agg(pl.col(column).max()) if files.height else None
        return {} if grouped is None else dict(grouped.iter_rows())
    outcomes = lake.find("vehicle_outcomes")
    if outcomes is None or not hours:
        return {}
    rows = outcomes.scan(outcomes.files_of(hours))
    found = rows.group_by("event_hour").agg(pl.col("newest_append_time").max()).collect()
    return dict(found.iter_rows())
