"""Whether a training is wanted before its weekday, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import days_with_data, driven_days, newest_span
from fleet_assets.model_choice.audit import AuditRow, state_of
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.model_store import read_card
from fleet_assets.warehouse.model_registry import drift_rows, read_audit, versions

LEAST_HOURS: Final = 4
"""Driven vehicle-hours on days for training, without which a first training is not tried."""

REST: Final = timedelta(days=3)
"""Drift asks for no training sooner after the last: what it made is still being compared."""

COUNTS: Final = timedelta(days=7)
"""Older reports tell nothing of now: there is one each day."""


@dataclass(frozen=True)
class Wanted:
    """The answer.

    Attributes:
        is_wanted: train now.
        reason: in words.
    """

    is_wanted: bool
    reason: str


def training_wanted(lake: Lake, postgres_url: str, today: date | None = None) -> Wanted:
    """Looks at versions, the audit and the newest drift reports.

    While no model serves, because what was trained was not good enough or too little was known of
    it, there is a training each day. A champion that cannot be read any more, as after an upgrade,
    is replaced at once if there is nothing newer.

    Reports count that are about who serves now, and not while a challenger is on trial there: it
    was trained on newer days, and another one could not be tried before it. A training that failed
    is asked for again only by the schedule, so that what is broken is not tried all day.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        today: the day (UTC) of the question.
    """
    known = versions(postgres_url)
    audit = read_audit(postgres_url)
    failed = [row for row in audit if row.action == "training_failed"]
    if not known:
        if failed:
            return Wanted(False, "the first training failed; the schedule tries it again")
        hours = _driven_hours(lake, postgres_url)
        told = f"{hours} driven vehicle-hours for training, {LEAST_HOURS} are needed"
        return Wanted(hours >= LEAST_HOURS, f"the first training: {told}")
    today = today or datetime.now(UTC).date()
    if not any(state_of(audit, group) for each in known for group in each.groups):
        if failed and failed[-1].made_at > known[0].trained_at:
            return Wanted(False, "the last training failed; the schedule tries it again")
        tried = known[0].trained_at.date()
        return Wanted(today > tried, f"no model serves; the last training was on {tried}")
    if why := _unusable(lake, known[0].version_id, audit):
        if failed and failed[-1].made_at > known[0].trained_at:
            return Wanted(False, "the last training failed; the schedule tries it again")
        return Wanted(True, f"{why}; it serves and judges nothing, and there is no newer one")
    newest = max([known[0].trained_at, *(row.made_at for row in failed)]).date()
    since = max(newest + REST, today - COUNTS)
    if today < since:
        return Wanted(False, f"the last training was on {newest}; drift counts from {since} on")
    rows = standing(drift_rows(postgres_url, since).filter("alarm"), audit)
    if rows.is_empty():
        return Wanted(False, f"no feature has drifted since {since}")
    day: date = rows["day"].to_list()[0]  # the newest comes first
    types = ", ".join(sorted(rows.filter(day=day)["vehicle_type"].unique()))
    return Wanted(True, f"features of {types} have drifted ({day})")


def standing(rows: pl.DataFrame, audit: Sequence[AuditRow]) -> pl.DataFrame:
    """Drift of champions that serve their group now, without a challenger.

    Args:
        rows: rows of NOTED_DRIFT_SCHEMA.
        audit: all of it.
    """
    states = {group: state_of(audit, group) for group in rows["vehicle_type"].unique()}
    alone = [
        (group, state.champion)
        for group, state in states.items()
        if state is not None and state.challenger is None
    ]
    keys = {name: rows.schema[name] for name in ("vehicle_type", "version_id")}
    whose = pl.DataFrame(alone, schema=keys, orient="row")
    return rows.join(whose, on=list(keys), how="semi", maintain_order="left")


def _unusable(lake: Lake, newest: str, audit: Sequence[AuditRow]) -> str | None:
    """Why the newest version judges nothing although it serves; None: it does not, or all is well.

    An older champion that cannot be read waits for the choice: the newest takes its place.
    """
    states = (state_of(audit, group) for group in {row.group for row in audit})
    if not any(state is not None and state.champion == newest for state in states):
        return None
    try:
        _read(lake.url, newest)
    except FleetError as error:
        return str(error)
    return None


@lru_cache(maxsize=8)
def _read(lake_url: str, version_id: str) -> None:
    """Reads a version once in a process: files by hash do not change. What fails is read anew."""
    if problem := read_card(Artifacts(lake_url), version_id)[1]:
        raise FleetError(problem)


def _driven_hours(lake: Lake, postgres_url: str) -> int:
    span = newest_span(days_with_data(lake), 30)
    if span is None:
        return 0
    driven = driven_days(lake, span, groups_of_register(postgres_url), "train")
    return sum(len(hours) for days in driven.values() for hours in days.values())
