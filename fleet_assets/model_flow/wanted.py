"""Whether a training is wanted before its weekday, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import days_with_data, driven_days, newest_span
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.warehouse.model_registry import drift_rows, read_audit, versions

LEAST_HOURS: Final = 4
"""Driven vehicle-hours on days for training, without which a first training is not tried."""

REST: Final = timedelta(days=3)
"""Drift asks for no training sooner after the last: what it made is still being compared."""


@dataclass(frozen=True)
class Wanted:
    """The answer.

    Attributes:
        is_wanted: train now.
        reason: in words.
    """

    is_wanted: bool
    reason: str


def training_wanted(lake: Lake, postgres_url: str) -> Wanted:
    """Looks at versions, the audit and the newest drift report.

    A training that failed is asked for again only by the schedule, so that what is broken is not
    tried all day.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
    """
    known = versions(postgres_url)
    failed = [row for row in read_audit(postgres_url) if row.action == "training_failed"]
    if not known:
        if failed:
            return Wanted(False, "the first training failed; the schedule tries it again")
        hours = _driven_hours(lake, postgres_url)
        told = f"{hours} driven vehicle-hours for training, {LEAST_HOURS} are needed"
        return Wanted(hours >= LEAST_HOURS, f"the first training: {told}")
    rows = drift_rows(postgres_url).filter("alarm")
    if rows.is_empty():
        return Wanted(False, "no feature has drifted")
    day: date = rows["day"].to_list()[0]  # the newest comes first
    newest = max([known[0].trained_at, *(row.made_at for row in failed)])
    if day < newest.date() + REST:
        return Wanted(False, f"the last training was less than {REST.days} days before {day}")
    types = ", ".join(sorted(rows.filter(day=day)["vehicle_type"].unique()))
    return Wanted(True, f"features of {types} have drifted ({day})")


def _driven_hours(lake: Lake, postgres_url: str) -> int:
    span = newest_span(days_with_data(lake), 30)
    if span is None:
        return 0
    driven = driven_days(lake, span, groups_of_register(postgres_url), "train")
    return sum(len(hours) for days in driven.values() for hours in days.values())
