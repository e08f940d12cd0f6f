"""Forgetting one vehicle or one driver: rows, files that once held them, and what logs say of both.

A vehicle's rows go. Of a driver, messages that name him go with all their bytes; what his vehicle
did stays without his name. Counts stay: how many rows went stands in the commit (`expired_rows`),
and in `vehicle_outcomes` a vehicle becomes "(erased)".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl
from deltalake.transaction import AddAction

from fleet_assets.contracts.tables import TABLE_BY_NAME, TABLES
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.conservation import account
from fleet_assets.lake.expired import expired_rows, expired_rows_id
from fleet_assets.lake.files import filesystem, write_file
from fleet_assets.lake.log import all_marks, mentioned_files
from fleet_assets.lake.marks import app_id, expired_id
from fleet_assets.lake.retire import RAW
from fleet_assets.lake.retired import marks_of_key
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.retention.subject import ERASED, Subject, without_driver

_COUNTED: Final = (RAW, "telemetry", "telemetry_rejects")
"""Tables whose rows the checks count again."""
OUTCOMES: Final = "vehicle_outcomes"
_LOG_NOW: Final = "interval 0 seconds"


@dataclass(frozen=True)
class Erased:
    """What went, or would go, of one hour or day of one table.

    Attributes:
        rows: rows about the subject.
        kept_because: why they stay for now; None: they went.
    """

    table: str
    key: str
    rows: int
    kept_because: str | None = None


def mentions(lake: Lake, subject: Subject) -> Iterator[Erased]:
    """Rows about somebody, by table and hour or day; nothing is changed."""
    for contract in TABLES:
        snapshot = lake.find(contract.name)
        condition = subject.in_rows(contract)
        if snapshot is None or condition is None or snapshot.files.is_empty():
            continue
        by = contract.partition_by
        if by is None:
            continue
        found = snapshot.scan(snapshot.files).filter(condition).group_by(by).len()
        for key, rows in sorted(found.collect(engine="streaming").iter_rows()):
            yield Erased(contract.name, key, rows)


def vehicles_of(lake: Lake, subject: Subject) -> set[str]:
    """Vehicles that a driver is named with; of a vehicle, itself."""
    if subject.kind == "vehicle":
        return {subject.id}
    found: set[str] = set()
    for contract in TABLES:
        snapshot, condition = lake.find(contract.name), subject.in_rows(contract)
        if snapshot is None or condition is None or snapshot.files.is_empty():
            continue
        rows = snapshot.scan(snapshot.files).filter(condition).select("vehicle_id").unique()
        found |= set(rows.collect(engine="streaming")["vehicle_id"].drop_nulls())
    return found


def erase(lake: Lake, subject: Subject, *, counted: bool = True) -> list[Erased]:
    """Removes somebody from all tables; what is kept for now has a reason.

    Args:
        lake: the lake.
        subject: who.
        counted: the tables are those that the checks count; of restored ones they are not.
    """
    done = []
    for it in list(mentions(lake, subject)):
        reason = _busy(lake, it) if counted else None
        if reason is not None:
            done.append(Erased(it.table, it.key, 0, reason))
            continue
        attempt = _attempt(lake, subject, it, counted=counted)
        done.append(retrying(f"erasure from {it.table} {it.key}", attempt))
        fault_point("erase.committed")
    return done


def forget_files(lake: Lake) -> int:
    """Deletes files of replaced rows at once and cuts the logs; gives the number of files.

    Only what a commit has removed goes: a file that somebody is about to commit is in no log yet.
    Bounds of columns stand in the log, so it begins anew with a checkpoint.
    """
    deleted = 0
    for contract in TABLES:
        snapshot = lake.find(contract.name)
        if snapshot is None:
            continue
        store = filesystem(snapshot.delta)
        current = set() if snapshot.files.is_empty() else set(snapshot.files["path"])
        for path in sorted(mentioned_files(snapshot.delta) - current):
            if store.get_file_info(path).is_file:
                store.delete_file(path)
                deleted += 1
        fault_point("erase.files_deleted")
        _cut_log(snapshot)
    return deleted


def _busy(lake: Lake, it: Erased) -> str | None:
    """Why counts would be lost: messages of the hour are not taken in."""
    if it.table not in _COUNTED:
        return None
    (found,) = account(lake, [it.key])
    if found.pending:
        return f"{found.pending:,} messages are not taken in yet"
    return "; ".join(found.differences) or None


def _attempt(lake: Lake, subject: Subject, it: Erased, *, counted: bool) -> Callable[[], Erased]:
    def attempt() -> Erased:
        snapshot = lake.open(it.table)
        contract = snapshot.contract
        condition = subject.in_rows(contract)
        assert condition is not None
        added: list[AddAction] = []
        removed, rows = [], 0
        files = snapshot.files_of([it.key])
        counts = it.table == OUTCOMES
        # counts of several that were erased become one row, whichever files they lie in
        parts = [files] if counts else [files[number] for number in range(files.height)]
        for one in parts:
            before = snapshot.read_files(one)
            mine = before.filter(condition)
            if mine.is_empty():
                continue
            rows += mine.height
            removed.append(one)
            after = pl.concat([before.filter(~condition), *_instead(mine, subject, it.table)])
            if counts:
                after = _one_erased(after)
            if not after.is_empty():
                added.append(write_file(snapshot.delta, contract, it.key, after))
        if not removed:
            return Erased(it.table, it.key, 0)
        progress = marks_of_key(all_marks(snapshot.delta), it.key)
        if counted and it.table in _COUNTED and not _stays(subject, it.table):
            progress[expired_rows_id(it.key)] = expired_rows(snapshot, it.key) + rows
        if counted and it.table == RAW:  # never to be made anew from what is left
            upto = lake.open("telemetry").committed(app_id(it.key))
            progress[expired_id(it.key)] = max(upto or 0, progress.get(expired_id(it.key), 0))
        snapshot.commit_actions(added, pl.concat(removed), progress)
        return Erased(it.table, it.key, rows)

    return attempt


def _instead(mine: pl.DataFrame, subject: Subject, table: str) -> list[pl.DataFrame]:
    """What stays of rows about somebody: counts without a name, a vehicle without its driver."""
    if not _stays(subject, table):
        return []
    if table == OUTCOMES:
        return [mine.with_columns(vehicle_id=pl.lit(ERASED))]
    return [without_driver(mine, subject)]


def _stays(subject: Subject, table: str) -> bool:
    """Rows about somebody lose his name only."""
    named = subject.kind == "driver" and "driver_id" in TABLE_BY_NAME[table].names
    return named or table == OUTCOMES


def _one_erased(rows: pl.DataFrame) -> pl.DataFrame:
    """Counts of several that were erased, in one row."""
    erased = rows.filter(vehicle_id=ERASED)
    if erased.height < 2:
        return rows
    sums = [name for name, kind in rows.schema.items() if kind.is_integer()]
    reasons: dict[str, int] = {}
    for text in erased["rejected_by_reason"]:
        for reason, count in json.loads(text).items():
            reasons[reason] = reasons.get(reason, 0) + count
    one = erased.select(
        pl.first("event_hour", "vehicle_id"),
        *(pl.col(name).sum() for name in sums),
        pl.lit(json.dumps(reasons, sort_keys=True)).alias("rejected_by_reason"),
        pl.max("newest_append_time"),
    ).select(rows.columns)
    return pl.concat([rows.filter(pl.col("vehicle_id") != ERASED), one])


def _cut_log(snapshot: TableSnapshot) -> None:
    """Leaves a checkpoint of what is there, and no log entry from before it."""
    delta = snapshot.delta
    before = delta.metadata().configuration.get("delta.logRetentionDuration")
    delta.alter.set_table_properties({"delta.logRetentionDuration": _LOG_NOW})
    delta.update_incremental()
    delta.create_checkpoint()
    delta.cleanup_metadata()
    delta.alter.set_table_properties({"delta.logRetentionDuration": before or "interval 6 hours"})
