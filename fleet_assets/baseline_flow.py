"""Summaries and baselines of days across lake and warehouse: what is due, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fleet_assets.lake.feature_days import days_to_summarise
from fleet_assets.lake.feature_windows import FEATURE_WINDOWS, hours_without_windows
from fleet_assets.lake.landed import landed_hours
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_baselines import days_to_compare
from fleet_assets.warehouse.anomaly_feedback import all_said
from fleet_assets.warehouse.day_ledger import failed_days
from fleet_assets.warehouse.ledger import Stage, read_ledger
from partitions.days import day_of, hours_of_day

GIVEN_UP_AFTER: Final = 3
"""What has failed so often in a row is no longer waited for: one bad hour or day must not leave a
whole month without baselines. When it succeeds, what is made later counts it."""
MOST_DAYS: Final = 31
MOST_WINDOWS: Final = 20_000_000
"""A run begins no further day after so many windows."""
_BEFORE: Final[tuple[Stage, ...]] = ("telemetry", "rules", "features")


@dataclass(frozen=True)
class DayWork:
    """Days that are due, in order.

    Attributes:
        summaries: days to summarise.
        baselines: days that baselines can be made for from the summaries that are there.
    """

    summaries: tuple[str, ...]
    baselines: tuple[str, ...]


def day_work(lake: Lake, postgres_url: str, now: datetime, *, by_incidents: bool = True) -> DayWork:
    """Compares windows, summaries and baselines.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        now: the moment of the decision.
        by_incidents: summarise also days of which only the incidents may have changed.
    """
    waiting = {day_of(hour) for hour in _hours_left(lake, postgres_url)}
    said = all_said(postgres_url)
    stale = set(days_to_summarise(lake, said, waiting, by_incidents=by_incidents))
    failed = failed_days(postgres_url, "feature_days")
    later = {day.event_day for day in failed if day.next_attempt_at > now}
    given_up = {day.event_day for day in failed if day.attempts >= GIVEN_UP_AFTER}
    rests = {
        day.event_day
        for day in failed_days(postgres_url, "vehicle_baselines")
        if day.next_attempt_at > now
    }
    baselines = set(days_to_compare(lake, waiting | (stale - given_up))) - rests
    return DayWork(tuple(sorted(stale - later)), tuple(sorted(baselines)))


def some_days(lake: Lake, days: Iterable[str]) -> list[str]:
    """The first days that one run can do.

    Args:
        lake: the lake.
        days: in the order in which they are wanted.
    """
    windows = lake.find(FEATURE_WINDOWS)
    chosen: list[str] = []
    total = 0
    for day in days:
        files = None if windows is None else windows.files_of(hours_of_day(day))
        if files is not None and not files.is_empty():
            total += int(files["num_records"].sum())
        if chosen and (total > MOST_WINDOWS or len(chosen) >= MOST_DAYS):
            break
        chosen.append(day)
    return chosen


def _hours_left(lake: Lake, postgres_url: str) -> set[str]:
    """Hours with messages that are in no window yet, without those that fail again and again."""
    raw, telemetry = lake.find("raw_telemetry"), lake.find("telemetry")
    taken_in = {} if telemetry is None else all_marks(telemetry.delta)
    landed = [] if raw is None else landed_hours(raw)
    pending = {
        hour.event_hour
        for hour in landed
        if taken_in.get(app_id(hour.event_hour), -1) < hour.newest_version
    }
    failed = {
        entry.event_hour
        for stage in _BEFORE
        for entry in read_ledger(postgres_url, stage, state="failed")
        if entry.attempts >= GIVEN_UP_AFTER
    }
    return (pending | hours_without_windows(lake)) - failed
