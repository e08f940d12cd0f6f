"""Trips and anomalies across lake and warehouse: what is left to do, its order, doing it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.lake.anomalies import collect_anomalies, hours_to_collect
from fleet_assets.lake.by_onset import Stitched, stitch_hours
from fleet_assets.lake.rule_anomalies import FOLLOWS as BY_SEGMENTS
from fleet_assets.lake.rule_anomalies import RULE_ANOMALIES, by_rules
from fleet_assets.lake.rule_history import history_left, stitch_history
from fleet_assets.lake.segments import (
    SegmentsRefreshed,
    hours_judged_otherwise,
    hours_to_judge,
    refresh_segments,
)
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import FOLLOWS as BY_TRAVEL
from fleet_assets.lake.trips import (
    TripsRefreshed,
    by_travel,
    hours_to_tile,
    refresh_trip_segments,
)
from fleet_assets.rules.book import RuleBook
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.anomalies import (
    LoadedAnomalies,
    load_anomalies,
)
from fleet_assets.warehouse.ledger import read_ledger, record_failure
from fleet_assets.warehouse.load_stale import COPIED, hours_to_load, load_copied
from fleet_assets.warehouse.rule_book import note_catalogue

MOST_HOURS: Final = 48
"""Most hours in one run: its events cost time and the run must stay abortable."""
FEW_HOURS: Final = 8
"""More hours than this are a backlog: of a replay, or after a change of the rules."""
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(minutes=10)
MOST_ROWS: Final = 20_000_000
"""A run begins no further hour after so many rows of telemetry."""


@dataclass(frozen=True)
class RuleWork:
    """Hours that the rules have to look at, and hours that wait for their next attempt.

    Attributes:
        hours: due now, the newest first.
        waiting: failed before, and not due yet.
        to_load: nothing is to be judged, but the warehouse lacks what the lake has.
    """

    hours: tuple[str, ...]
    waiting: tuple[str, ...]
    to_load: bool


def rule_work(
    lake: Lake,
    postgres_url: str,
    book: RuleBook,
    *,
    compare_rules: bool = True,
    history_every: timedelta = timedelta(),
    now: datetime | None = None,
) -> RuleWork:
    """Compares telemetry, segments, anomalies and the warehouse.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        book: the rules.
        compare_rules: look at the rules that hours were judged by, too.
        history_every: rules on days and trips need not be looked at more often.
        now: the moment of the decision.
    """
    now = now or datetime.now(UTC)
    stale = _stale_in_lake(lake, history_every, now)
    if compare_rules:
        stale |= set(hours_judged_otherwise(lake, book))
    not_before = {
        entry.event_hour: entry.next_attempt_at
        for entry in read_ledger(postgres_url, "rules", state="failed")
        if entry.next_attempt_at is not None
    }
    waiting = {hour for hour in stale if not_before.get(hour, now) > now}
    return RuleWork(
        tuple(sorted(stale - waiting, reverse=True)),
        tuple(sorted(waiting)),
        bool(hours_to_load(lake, postgres_url)),
    )


def hours_behind(lake: Lake, postgres_url: str, history_every: timedelta = timedelta()) -> set[str]:
    """Hours whose trips and anomalies are not in line with telemetry, in lake or warehouse."""
    now = datetime.now(UTC)
    return _stale_in_lake(lake, history_every, now) | hours_to_load(lake, postgres_url)


def _stale_in_lake(lake: Lake, history_every: timedelta, now: datetime) -> set[str]:
    return {
        *hours_to_judge(lake),
        *hours_to_tile(lake),
        *BY_SEGMENTS.hours_left(lake),
        *BY_TRAVEL.hours_left(lake),
        *history_left(lake, history_every, now),
        *hours_to_collect(lake),
    }


@dataclass(frozen=True)
class HourWorked:
    """What became of one hour."""

    segments: SegmentsRefreshed
    trips: TripsRefreshed

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Of all tables that were written."""
        of_trips = () if self.trips.verdict is None else (self.trips.verdict,)
        return (*self.segments.verdicts, *of_trips)


def work_hour(
    lake: Lake, event_hour: str, book: RuleBook, *, anew: bool = False, repin: bool = False
) -> HourWorked:
    """Segments of rules and of trips of one hour.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        book: the rules.
        anew: make them even if nothing has changed.
        repin: find usual intervals anew.
    """
    return HourWorked(
        refresh_segments(lake, event_hour, book, force=anew, repin=repin),
        refresh_trip_segments(lake, event_hour, force=anew),
    )


@dataclass(frozen=True)
class Settled:
    """What followed from segments that had changed.

    Attributes:
        written: per table of the lake the hours that were written.
        loaded: hours of anomalies in the warehouse.
        copied: rows by table and hour that were loaded as they are.
    """

    written: Mapping[str, Stitched]
    loaded: LoadedAnomalies
    copied: Mapping[str, Mapping[str, int]]


def settle(
    lake: Lake,
    postgres_url: str,
    book: RuleBook,
    run_id: str | None,
    rules_changed: Collection[str] = (),
    history_every: timedelta = timedelta(),
) -> Settled:
    """From segments to the warehouse, also what a run that was cut off has left.

    A failure is noted for the hours that it holds up, so that they are tried again later.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        book: the rules.
        run_id: the Dagster run.
        rules_changed: hours that were judged by other rules than before.
        history_every: rules on days and trips need not be looked at more often.
    """
    written: dict[str, Stitched] = {}
    waiting: list[str] = []
    now = datetime.now(UTC)
    try:
        for what in (by_rules(book), by_travel()):
            waiting = what.follows.hours_left(lake)
            done = stitch_hours(lake, waiting, what)
            written[what.table] = done.after(written.get(what.table))
        waiting = sorted(history_left(lake, history_every, now))
        for done in stitch_history(lake, book, history_every, now):
            written[RULE_ANOMALIES] = done.after(written.get(RULE_ANOMALIES))
        waiting = hours_to_collect(lake)
        written["anomalies"] = collect_anomalies(lake, waiting)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"[:2000]
        record_failure(postgres_url, "rules", waiting, told, run_id)
        raise
    note_catalogue(postgres_url, book)
    copied: dict[str, Mapping[str, int]] = {
        name: load_copied(lake, postgres_url, name, run_id) for name in COPIED
    }
    return Settled(written, load_anomalies(lake, postgres_url, run_id, rules_changed), copied)


def changed_by_rules(worked: Iterable[HourWorked]) -> set[str]:
    """Hours that were judged by other rules than before."""
    return {hour.segments.event_hour for hour in worked if hour.segments.by_rules}


def some_hours(hours: Iterable[str], rows: Mapping[str, int]) -> list[str]:
    """The first hours that one run can do.

    Args:
        hours: in the order in which they are wanted.
        rows: rows of telemetry by hour.
    """
    chosen: list[str] = []
    total = 0
    for hour in hours:
        total += rows.get(hour, 0)
        if chosen and (total > MOST_ROWS or len(chosen) >= MOST_HOURS):
            break
        chosen.append(hour)
    return chosen


def rows_by_hour(lake: Lake) -> dict[str, int]:
    """Rows of telemetry by hour."""
    telemetry = lake.find("telemetry")
    if telemetry is None or telemetry.files.is_empty():
        return {}
    counted = telemetry.files.group_by("event_hour").agg(pl.col("num_records").sum())
    return dict(counted.iter_rows())


def may_rest(hours: int, *, busy: bool) -> bool:
    """Whether the rules leave room for others: not while there is a backlog and nobody else works.

    Args:
        hours: how many hours are due.
        busy: messages are being refreshed.
    """
    return busy or hours <= FEW_HOURS


def tries_again_at(ended_at: datetime, failures: int) -> datetime:
    """When to try again after runs that failed as a whole, each time later.

    Args:
        ended_at: end of the last run.
        failures: how many have failed in a row.
    """
    if not failures:
        return ended_at
    wait = FIRST_WAIT * int(2 ** min(failures - 1, 20))
    return ended_at + min(wait, LONGEST_WAIT)


def rests_until(ended_at: datetime, took: timedelta, share: float) -> datetime:
    """When the next run may begin, so that the rules take at most a share of the time.

    Args:
        ended_at: end of the last run.
        took: how long it took.
        share: between 0 and 1.
    """
    return ended_at + took * (1 / share - 1)
