"""Retention across lake, archive and warehouse: what is old, in the order in which it may go.

The command and the scheduled asset both ask here, so that they cannot disagree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zlib import crc32

from fleet_assets.errors import FleetError
from fleet_assets.lake.archive import Archive, ArchiveError
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, expired_id
from fleet_assets.lake.retire import Going, look, old_hours, retire
from fleet_assets.lake.retired import counts
from fleet_assets.lake.store import Lake
from fleet_assets.retention.classes import Retention, RetentionClass, read_classes
from fleet_assets.settings import Settings
from fleet_assets.warehouse.legal_holds import held_vehicles
from fleet_assets.warehouse.load import PARTITIONED
from fleet_assets.warehouse.retention_actions import RetentionAction, note_actions
from fleet_assets.warehouse.retire import RowsGone, drop_empty_months, hours_there, retire_rows
from fleet_assets.warehouse.retire_audit import retire_audit
from fleet_assets.warehouse.turns import alone

_DAY: Final = timedelta(days=1)
_PARTS: Final = 720
"""Hours in which all of the archive is read again."""


@dataclass
class RetentionReport:
    """What a round did, or would do.

    Attributes:
        gone: hours of tables of the lake.
        kept: old hours of which nothing went, and why.
        rows: rows of the warehouse.
        failed: what could not be done, in words; the rest was done nevertheless.
        left_over: hours that the round had no time for.
    """

    gone: list[Going] = field(default_factory=list)
    kept: list[Going] = field(default_factory=list)
    rows: list[RowsGone] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_over: int = 0

    def by_table(self) -> dict[str, tuple[int, int, int, int]]:
        """Per table of the lake: hours, rows, files and bytes that went."""
        return {
            table: (
                len(mine), _rows(mine), sum(it.files for it in mine), sum(it.bytes for it in mine)
            )
            for table in dict.fromkeys(it.table for it in self.gone)
            if (mine := [it for it in self.gone if it.table == table])
        }  # fmt: skip

    def kept_by_reason(self) -> dict[tuple[str, str], int]:
        """Per table and reason: hours that are old and stay."""
        found: dict[tuple[str, str], int] = {}
        for it in self.kept:
            key = (it.table, it.kept_because or "")
            found[key] = found.get(key, 0) + 1
        return found

    def lines(self, *, dry_run: bool = False) -> list[str]:
        """In words, table by table."""
        verb = "would go" if dry_run else "went"
        lines = [
            f"{table}: {hours:,} hours, {rows:,} rows, {files:,} files, {size:,} bytes {verb}"
            for table, (hours, rows, files, size) in self.by_table().items()
        ]
        lines += [
            f"warehouse.{it.table}: {it.rows:,} rows from {it.first_hour} to {it.last_hour} {verb}"
            for it in self.rows
        ]
        lines += [
            f"{table}: {hours:,} old hours stay: {why}"
            for (table, why), hours in self.kept_by_reason().items()
        ]
        if self.left_over:
            lines.append(f"{self.left_over:,} hours are left to the next round")
        return lines or ["Nothing is old enough to go."]


def run_retention(
    lake: Lake,
    postgres_url: str,
    archive: Archive,
    retention: Retention,
    now: datetime,
    by: str,
    *,
    dry_run: bool = False,
    time_limit: timedelta | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> RetentionReport:
    """Archives, verifies and removes what is older than its class keeps it.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        archive: where it goes.
        retention: the classes.
        now: the moment that ages are counted from.
        by: who asks, for the record.
        dry_run: say what would be done and change nothing.
        time_limit: begin no new hour after this.
        say: is told each piece of work.
    """
    report = RetentionReport()
    ends = time.monotonic() + (time_limit.total_seconds() if time_limit else float("inf"))
    with nullcontext() if dry_run else alone(postgres_url):
        _round(lake, postgres_url, archive, retention, now, report, ends, say, dry_run=dry_run)
    if not dry_run:
        note_actions(postgres_url, _actions(report), by)
    return report


def _round(
    lake: Lake,
    postgres_url: str,
    archive: Archive,
    retention: Retention,
    now: datetime,
    report: RetentionReport,
    ends: float,
    say: Callable[[str], None],
    *,
    dry_run: bool,
) -> None:
    held = held_vehicles(postgres_url)
    going: dict[str, set[str]] = {}
    for it in retention.classes.values():
        cutoff = whole_days(it, now)
        for table in it.lake:
            going[table] = set()
            for hour in old_hours(lake, table, cutoff):
                if not dry_run and time.monotonic() > ends:
                    report.left_over += 1
                    continue
                before = {name for name, hours in going.items() if hour in hours}
                told = _of_hour(
                    lake, archive if it.archive else None, table, hour, cutoff, held, before,
                    report, dry_run=dry_run,
                )  # fmt: skip
                if told is None:
                    say(report.failed[-1])
                elif told.kept_because is None:
                    going[table].add(hour)
                    say(f"{table} {hour}: {told.rows:,} rows in {told.files} files")
        for table, column in it.warehouse.items():
            if column is None:
                gone = going.get(table, set()) if dry_run else set()
                report.rows += _of_warehouse(
                    lake, postgres_url, table, cutoff, held, gone, report, dry_run=dry_run
                )
                if not dry_run:
                    _drop_months(postgres_url, table, cutoff, say)
            else:
                report.rows += _of_audit(
                    postgres_url, archive if it.archive else None, table, column, cutoff, report,
                    dry_run=dry_run,
                )  # fmt: skip


def retention_of(settings: Settings) -> Retention:
    """The classes that an installation goes by."""
    return read_classes(settings.retention_file).with_raw_kept(settings.raw_retention)


def archive_damages(lake: Lake, archive: Archive, now: datetime) -> tuple[int, list[str]]:
    """Reads a part of the archive again, another one each hour: all of it once in 30 days.

    Returns:
        Number of batches that were read, and each damage in words.
    """
    looked_at, damages = 0, []
    part = int(now.timestamp()) // 3600 % _PARTS
    for table in archive.tables():
        for path in archive.manifests(table):
            if crc32(path.encode()) % _PARTS != part:
                continue
            batch = archive.read_manifest(path)
            if batch is None or not counts(lake, batch):
                continue
            looked_at += 1
            try:
                archive.verify(batch)
            except ArchiveError as error:
                damages.append(str(error))
    return looked_at, damages


def whole_days(it: RetentionClass, now: datetime) -> datetime:
    """The moment before which what is over is old: a midnight (UTC), if days are kept at all.

    So a day's marts lose all hours of a UTC day at a time.
    """
    cutoff = it.cutoff(now)
    if it.keep < _DAY:
        return cutoff
    return cutoff.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _of_hour(
    lake: Lake,
    archive: Archive | None,
    table: str,
    hour: str,
    cutoff: datetime,
    held: Collection[str],
    before: Collection[str],
    report: RetentionReport,
    *,
    dry_run: bool,
) -> Going | None:
    try:
        if dry_run:
            told = look(lake, table, hour, cutoff, held, before)
        else:
            told = retire(lake, table, hour, cutoff, held, archive)
    except Exception as error:
        report.failed.append(f"{table} {hour}: {_in_words(error)}")
        return None
    (report.gone if told.kept_because is None else report.kept).append(told)
    return told


def _of_warehouse(
    lake: Lake,
    postgres_url: str,
    table: str,
    cutoff: datetime,
    held: Collection[str],
    going: Collection[str],
    report: RetentionReport,
    *,
    dry_run: bool,
) -> list[RowsGone]:
    """Rows of hours of which the lake's own rows have gone, in this round or in one before."""
    source = lake.find(table)
    if source is None:
        return []
    gone = {*by_hour(all_marks(source.delta), expired_id), *going}
    hours = [hour for hour in hours_there(postgres_url, table, cutoff) if hour in gone]
    try:
        found = retire_rows(postgres_url, table, hours, cutoff, held, dry_run=dry_run)
    except FleetError as error:
        report.failed.append(f"warehouse.{table}: {_in_words(error)}")
        return []
    return [it for it in found if it.rows]


def _of_audit(
    postgres_url: str,
    archive: Archive | None,
    table: str,
    column: str,
    cutoff: datetime,
    report: RetentionReport,
    *,
    dry_run: bool,
) -> list[RowsGone]:
    """Rows of a table that is in the warehouse only."""
    try:
        return retire_audit(postgres_url, archive, table, column, cutoff, dry_run=dry_run)
    except FleetError as error:
        report.failed.append(f"warehouse.{table}: {_in_words(error)}")
        return []


def _drop_months(
    postgres_url: str, table: str, cutoff: datetime, say: Callable[[str], None]
) -> None:
    """Empty months are only untidy: while somebody reads the table, they are left for later."""
    for parent in PARTITIONED.get(table, ()):
        try:
            for month in drop_empty_months(postgres_url, parent, cutoff):
                say(f"{month} was empty and is dropped")
        except FleetError as error:
            say(f"empty months of {parent} are left for later: {error}")


def _actions(report: RetentionReport) -> list[RetentionAction]:
    found = []
    for table in dict.fromkeys(it.table for it in report.gone):
        mine = sorted((it for it in report.gone if it.table == table), key=lambda it: it.key)
        found.append(
            RetentionAction(
                "retire", "lake", table, _rows(mine), mine[0].key, mine[-1].key,
                sum(it.bytes for it in mine),
            )
        )  # fmt: skip
    return found + [
        RetentionAction("retire", "warehouse", it.table, it.rows, it.first_hour, it.last_hour)
        for it in report.rows
    ]


def _rows(going: Sequence[Going]) -> int:
    return sum(it.rows for it in going)


def _in_words(error: Exception) -> str:
    text = str(error) if isinstance(error, FleetError) else f"{type(error).__name__}: {error}"
    return text[:1000]
