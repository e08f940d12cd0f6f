"""Drift: features of the last days against the days that the champion was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span
from fleet_assets.lake.vehicle_day_means import feature_names, vehicle_day_means
from fleet_assets.model_choice.audit import state_of
from fleet_assets.model_choice.drift import DriftReport, drift
from fleet_assets.model_choice.vehicle_means import YEAR
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.warehouse.model_registry import note_drift, read_audit, version

DAYS: Final = 7
"""So many days are compared, so that each weekday is there once."""


class NothingToReportError(FleetError):
    """Drift cannot be told: the message says what is missing."""


@dataclass(frozen=True)
class Drifted:
    """A report on the groups of one champion.

    Attributes:
        champion: version whose training it was compared with.
        trained: days of its training set.
        now: days that were compared.
        report: tests and verdicts.
    """

    champion: str
    trained: Span
    now: Span
    report: DriftReport


@dataclass(frozen=True)
class DriftOfDay:
    """What was reported of a day.

    Attributes:
        found: reports, one for each champion that could be looked at.
        untold: champion → why there is no report on it.
    """

    found: Sequence[Drifted]
    untold: Mapping[str, str]


def drift_reports(lake: Lake, postgres_url: str, day: date) -> DriftOfDay:
    """Compares the days up to one with the training of each champion, and notes what was found.

    Args:
        lake: holds `feature_windows`.
        postgres_url: the warehouse.
        day: the last day (UTC), which is over.

    Raises:
        NothingToReportError: no model serves, or nothing can be told of any champion.
    """
    audit = read_audit(postgres_url)
    champions: dict[str, list[str]] = {}
    for group in sorted({row.group for row in audit}):
        if (state := state_of(audit, group)) is not None:
            champions.setdefault(state.champion, []).append(group)
    if not champions:
        raise NothingToReportError("No model serves yet: there is nothing to compare with.")
    register = groups_of_register(postgres_url)
    found: list[Drifted] = []
    untold: dict[str, str] = {}
    for champion, groups in champions.items():
        types = {who: group for who, group in register.items() if group in groups}
        of = version(postgres_url, champion)
        trained = Span(of.first_event_time.date(), of.last_event_time.date())
        try:
            made = drift_report(lake, types, trained, day)
        except NothingToReportError as error:  # the other champions are looked at all the same
            untold[champion] = str(error)
            continue
        note_drift(postgres_url, day, champion, made.rows)
        found.append(Drifted(champion, trained, _now(day), made))
    if not found:
        raise NothingToReportError(" ".join(dict.fromkeys(untold.values())))
    return DriftOfDay(found, untold)


def drift_report(lake: Lake, types: dict[str, str], trained: Span, day: date) -> DriftReport:
    """Features of vehicle-days up to a day against those of a training.

    Args:
        lake: holds `feature_windows`.
        types: group by vehicle; only these are looked at.
        trained: days of the training set.
        day: the last day.

    Raises:
        NothingToReportError: a span has no features; which, and how to get them.
    """
    reference, current = (vehicle_days(lake, types, span) for span in (trained, _now(day)))
    for span, rows in ((trained, reference), (_now(day), current)):
        if rows.is_empty():
            raise NothingToReportError(
                f"There are no feature_windows from {span.first_day} to {span.last_day}: the job"
                " `features` makes them."
            )
    history = pl.concat(
        [
            vehicle_days(lake, types, Span(span.first_day - YEAR, span.last_day - YEAR))
            for span in (trained, _now(day))
        ]
    ).unique(["vehicle_id", "day"], maintain_order=True)
    return drift(reference, current, feature_names(), None if history.is_empty() else history)


def _now(day: date) -> Span:
    return Span(day - timedelta(days=DAYS - 1), day)


def vehicle_days(lake: Lake, types: dict[str, str], span: Span) -> pl.DataFrame:
    """Means of features by vehicle-day.

    Args:
        lake: holds `feature_windows`.
        types: group by vehicle; only these.
        span: the days.

    Returns:
        `vehicle_id`, `vehicle_type`, `day` and features.
    """
    names = {"vehicle_id": pl.String, "vehicle_type": pl.String}
    groups = pl.DataFrame(list(types.items()), schema=names, orient="row")
    found = vehicle_day_means(lake, span).join(
        groups, on="vehicle_id", how="inner", maintain_order="left"
    )
    return found.select("vehicle_id", "vehicle_type", "day", *feature_names())
