"""One round of upkeep over the whole lake: compaction, logs, dead files.

Any number of rounds may run at once, beside landings, refreshes and readers: each piece commits by
itself, and gives way if somebody else was faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from fleet_assets.lake.compaction import SORTED_BY, Compacted, compact
from fleet_assets.lake.expired import expired_hours
from fleet_assets.lake.hour_tables import HourTables
from fleet_assets.lake.landing import heal
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.merge_plan import files_to_merge, keys_with_files
from fleet_assets.lake.refresh import STEP_MESSAGES
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vacuum import tidy_logs, vacuum
from partitions.days import end_of


@dataclass(frozen=True)
class UpkeepPolicy:
    """How the lake is kept.

    Attributes:
        grace: so long after its end an hour still counts as open.
        vacuum_retention: how long a dead file stays.
    """

    grace: timedelta
    vacuum_retention: timedelta


@dataclass
class UpkeepReport:
    """What a round did, or would do.

    Attributes:
        planned: table, hour and files of compactions, for a dry run.
        failed: what could not be done, in words; the rest was done nevertheless.
        left_over: pieces of work that the round had no time for.
    """

    compacted: list[Compacted] = field(default_factory=list)
    planned: list[tuple[str, str | None, int]] = field(default_factory=list)
    vacuumed: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    left_over: int = 0


def keep_up(
    lake: Lake,
    policy: UpkeepPolicy,
    now: datetime,
    *,
    event_hour: str | None = None,
    thorough: bool = False,
    dry_run: bool = False,
    time_limit: timedelta | None = None,
    clean: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> UpkeepReport:
    """Does what there is to do, the most crowded hours first.

    Args:
        lake: the lake.
        policy: how it is kept.
        now: the moment that ages are counted from.
        event_hour: compaction of this hour only.
        thorough: tidy closed hours up even if they got new files just now.
        dry_run: say what would be done and change nothing.
        time_limit: begin no new piece of work after this.
        clean: look after logs and dead files too.
        say: is told each piece of work.
    """
    report = UpkeepReport()
    ends = time.monotonic() + (time_limit.total_seconds() if time_limit else float("inf"))
    for table, hour, paths in _crowded_first(lake, policy, now, event_hour, thorough):
        if dry_run:
            report.planned.append((table, hour, len(paths)))
        elif time.monotonic() > ends:
            report.left_over += 1
        else:
            _compact(lake, table, hour, paths, report, say)
    if clean and event_hour is None:
        _clean(lake, policy, report, dry_run=dry_run, say=say)
    return report


def out_of_line(lake: Lake, event_hours: Iterable[str]) -> set[str]:
    """Hours of these whose tables stand at different marks: a refresh is at work or was cut off.

    What it left may have to be repaired from older versions, so nothing of theirs is touched.
    """
    hours = list(event_hours)
    if not hours or lake.find("telemetry") is None:
        return set()
    tables = HourTables.open(lake)
    return {hour for hour in hours if tables.lagging(hour)}


def _crowded_first(
    lake: Lake, policy: UpkeepPolicy, now: datetime, event_hour: str | None, thorough: bool
) -> Iterator[tuple[str, str | None, list[str]]]:
    work: list[tuple[str, str | None, list[str]]] = []
    for table in SORTED_BY:
        snapshot = lake.find(table)
        if snapshot is None or snapshot.files.is_empty():
            continue
        files = snapshot.files
        for hour in keys_with_files(files, snapshot.contract.partition_by):
            if event_hour is not None and hour != event_hour:
                continue
            theirs = files if hour is None else snapshot.files_of([hour])
            if table == "raw_telemetry" and theirs.height > 1:
                theirs = _taken_in(lake, theirs, hour)
            closed = thorough if hour is None else end_of(hour) + policy.grace <= now
            paths = files_to_merge(table, theirs, now, closed=closed, thorough=thorough)
            if paths:
                work.append((table, hour, paths))
    uneven = out_of_line(lake, {hour for _, hour, _ in work if hour is not None})
    in_line = [piece for piece in work if piece[1] not in uneven]
    yield from sorted(in_line, key=lambda piece: -len(piece[2]))


def _taken_in(lake: Lake, files: pl.DataFrame, event_hour: str | None) -> pl.DataFrame:
    """Raw files without those that a refresh still has to take in, if they are more than a step.

    A refresh goes file by file, so a large file with many landings would fill its memory.
    """
    telemetry = lake.find("telemetry")
    mark = telemetry.committed(app_id(event_hour)) if telemetry and event_hour else None
    is_pending = pl.col("max.landing_version") > (-1 if mark is None else mark)
    if files.filter(is_pending)["num_records"].sum() <= STEP_MESSAGES:
        return files
    return files.filter(~is_pending)


def _compact(
    lake: Lake,
    table: str,
    hour: str | None,
    paths: list[str],
    report: UpkeepReport,
    say: Callable[[str], None],
) -> None:
    place = table if hour is None else f"{table} {hour}"
    try:
        done = compact(lake, table, hour, paths)
    except Exception as error:
        report.failed.append(f"{place}: {type(error).__name__}: {error}"[:1000])
        say(f"{place} cannot be compacted: {error}")
        return
    report.compacted.append(done)
    if done.gave_way:
        say(f"{place}: left to the next round, its files have changed meanwhile")
    else:
        say(
            f"{place}: {done.files_before} files → {done.files_after},"
            f" {done.bytes_before:,} → {done.bytes_after:,} bytes, {done.rows:,} rows"
        )


def _clean(
    lake: Lake,
    policy: UpkeepPolicy,
    report: UpkeepReport,
    *,
    dry_run: bool,
    say: Callable[[str], None],
) -> None:
    """Logs and dead files, unless a crash has left something that still needs old versions."""
    raw = lake.find("raw_telemetry")
    # hours with all their raw messages are rebuilt from those; the others need what was there
    waiting = out_of_line(lake, expired_hours(lake, raw)) if raw else set()
    if waiting:
        say(f"dead files stay until a refresh has repaired {', '.join(sorted(waiting)[:5])}")
        return
    try:
        if not dry_run:
            heal(lake)  # its note stands in the log, which is about to be shortened
            tidy_logs(lake, policy.vacuum_retention)
        report.vacuumed = vacuum(lake, policy.vacuum_retention, dry_run=dry_run)
    except Exception as error:
        report.failed.append(f"clean-up: {type(error).__name__}: {error}"[:1000])
        say(f"clean-up failed: {error}")
        return
    for table, files in report.vacuumed.items():
        say(f"{table}: {files} dead files {'would be ' if dry_run else ''}removed")
