"""Which hours to refresh next: the decision of the refresh sensor, as a pure function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from partitions.hours import HOUR, contiguous_ranges, hour_start, hours_between

Lane = Literal["fresh", "retry", "history", "history-2"]
LONGEST_RANGE: Final = 48
"""Most hours in one run: its events cost time and the run must stay abortable."""
LONGEST_BACKOFF: Final = timedelta(hours=1)
"""No failed hour is told to wait for longer; a time further ahead was written by a wrong clock."""


@dataclass(frozen=True)
class HourProgress:
    """How far one hour has come.

    Attributes:
        landed_version: newest version of raw_telemetry that brought messages into it.
        shown_version: version whose messages the marts show; None: none yet.
        shown_at: when the marts were last brought up to date.
        attempts: failed attempts in a row.
        next_attempt_at: not before this moment, after a failure.
        requeued: something other than new messages makes it stale (a vehicle was registered, a
            rebuild was cut off).
        loaded_version: version whose messages the warehouse holds; None: none yet.
        unshown: it was loaded again, by hand perhaps, and the marts do not show that load.
    """

    event_hour: str
    landed_version: int
    shown_version: int | None = None
    shown_at: datetime | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    requeued: bool = False
    loaded_version: int | None = None
    unshown: bool = False

    @property
    def loaded(self) -> bool:
        """Only the marts are missing: the dbt step of any refresh brings them."""
        return self.loaded_version is not None and self.loaded_version >= self.landed_version

    @property
    def stale(self) -> bool:
        """The marts do not show all that has landed."""
        shown = -1 if self.shown_version is None else self.shown_version
        return self.requeued or self.unshown or self.landed_version > shown


@dataclass(frozen=True)
class PlannedRun:
    """A refresh in one lane.

    Attributes:
        first, last: the hours to work on, from the first to the last.
        hours: exactly the hours to work on, where others lie between them; empty: all of them.
    """

    lane: Lane
    first: str
    last: str
    hours: tuple[str, ...] = ()


def plan_refresh(
    hours: Iterable[HourProgress],
    busy_hours: frozenset[str],
    busy_lanes: frozenset[str],
    now: datetime,
    grace: timedelta,
    late_interval: timedelta,
) -> list[PlannedRun]:
    """The runs to request now, at most one per lane.

    Fresh hours go first and in a lane of their own, so that no backlog holds them up. Closed
    hours have two lanes and are refreshed at most every `late_interval`. An hour that has failed
    is tried alone, and not before its time. Closed hours that lie far apart share runs: starting
    one costs seconds, an hour in it a fraction of one.

    Args:
        hours: all hours that hold messages.
        busy_hours: hours that a queued or running refresh will work on.
        busy_lanes: lanes with a queued or running refresh.
        now: the moment of the decision.
        grace: how long after its end an hour still counts as fresh.
        late_interval: least time between refreshes of a closed hour.
    """
    fresh: list[str] = []
    retry: list[str] = []
    history: list[str] = []
    for hour in hours:
        if not hour.stale or hour.event_hour in busy_hours:
            continue
        if hour.loaded and busy_lanes and not hour.requeued:
            continue  # a refresh under way will run dbt for it too
        if hour.attempts > 0:
            if _is_due(hour.next_attempt_at, now):
                retry.append(hour.event_hour)
        elif hour_start(hour.event_hour) + HOUR + grace > now:
            fresh.append(hour.event_hour)
        elif hour.requeued or _has_rested(hour.shown_at, now, late_interval):
            history.append(hour.event_hour)
    waiting: list[tuple[tuple[Lane, ...], list[list[tuple[str, str]]]]] = [
        (("fresh",), [[r] for r in contiguous_ranges(fresh, LONGEST_RANGE)]),
        (("retry",), [[r] for r in contiguous_ranges(retry, longest=1)]),
        (("history", "history-2"), _shared(contiguous_ranges(history, LONGEST_RANGE))),
    ]
    return [
        _run(lane, ranges)
        for lanes, runs in waiting
        for lane, ranges in zip(
            [lane for lane in lanes if lane not in busy_lanes], runs, strict=False
        )
    ]


def _shared(ranges: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Ranges put together, in their order, while they hold no more hours than one run may."""
    runs: list[list[tuple[str, str]]] = []
    room = 0
    for first, last in ranges:
        hours = len(list(hours_between(first, last)))
        if hours > room:
            runs.append([])
            room = LONGEST_RANGE
        runs[-1].append((first, last))
        room -= hours
    return runs


def _run(lane: Lane, ranges: list[tuple[str, str]]) -> PlannedRun:
    first, last = ranges[0][0], ranges[-1][1]
    if len(ranges) == 1:
        return PlannedRun(lane, first, last)
    hours = tuple(hour for bounds in ranges for hour in hours_between(*bounds))
    return PlannedRun(lane, first, last, hours)


def _is_due(next_attempt_at: datetime | None, now: datetime) -> bool:
    return next_attempt_at is None or not now < next_attempt_at <= now + LONGEST_BACKOFF


def _has_rested(shown_at: datetime | None, now: datetime, late_interval: timedelta) -> bool:
    """Either side: a clock that was put back would else hold the hour until it catches up."""
    return shown_at is None or abs(now - shown_at) >= late_interval
