"""The numbers of a comparison as sentences for people."""

from __future__ import annotations

from typing import Final

from fleet_assets.model_choice.measured import Measured
from fleet_assets.model_choice.policy import ChallengerKind, Comparison

_NAMES: Final = {"refresh": "a refresh", "recipe": "a new recipe"}
_MOST_TIMES: Final = 50
"""More data than so many times as much is no advice."""


def recall_in_words(found: Measured, kind: ChallengerKind, asked: Comparison) -> str:
    """What was measured of recall, beside what is asked."""
    if found.gain is None or found.champion_recall is None or found.challenger_recall is None:
        return "recall: no known events"
    least = asked.needs(kind).least_gain
    told = (
        f"recall {found.champion_recall:.1%} → {found.challenger_recall:.1%} of {found.events:,}"
        f" events: {_points(found.gain.estimate)} points, {100 * asked.confidence:.3g}% sure of"
        f" {_points(found.gain.low)} or more; {_NAMES[kind]} needs {_points(least)}"
    )
    spare = found.gain.estimate - least
    return told + _more_data(spare, found.gain.estimate - found.gain.low)


def alarms_in_words(found: Measured, kind: ChallengerKind, asked: Comparison) -> str:
    """What was measured of false alarms, beside what is allowed."""
    if found.over is None or found.champion_alarms is None or found.challenger_alarms is None:
        return "false alarms: no hours in which there could have been any"
    growth = asked.needs(kind).most_alarm_growth
    allowed = found.champion_alarms * (1 + growth)
    told = (
        f"false alarms per vehicle-hour {found.champion_alarms:.4f} → {found.challenger_alarms:.4f}"
        f" in {found.hours:,.0f} hours, {100 * asked.confidence:.3g}% sure of"
        f" {max(0.0, allowed + found.over.high):.4f} or fewer; {_NAMES[kind]} may raise"
        f" {allowed:.4f} ({growth:.0%} more)"
    )
    return told + _more_data(-found.over.estimate, found.over.high - found.over.estimate)


def scarce_in_words(found: Measured, asked: Comparison) -> tuple[str, ...]:
    """What there is too little of; empty if there is enough."""
    counted = (
        (found.vehicles_with_events, asked.least_vehicles, "vehicles with events"),
        (found.events, asked.least_events, "events"),
        (found.hours, asked.least_hours, "vehicle-hours"),
    )
    return tuple(
        f"too little data: {have:,.0f} {what}, at least {least:,.0f}"
        for have, least, what in counted
        if have < least
    )


def bars_in_words(
    found: Measured, loses: bool, is_loud: bool, asked: Comparison
) -> tuple[str, ...]:
    """Why a group bars the challenger from all groups."""
    told = []
    if loses and found.gain:
        told.append(
            f"recall {_points(found.gain.estimate)} points, at worst"
            f" {_points(-asked.bar.most_loss)}"
        )
    if is_loud and found.more:
        told.append(
            f"false alarms per vehicle-hour {found.more.estimate:+.4f}, at worst"
            f" {asked.bar.most_more_alarms:+.4f}"
        )
    return tuple(told)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _more_data(spare: float, doubt: float) -> str:
    """How much data would tell, if things stay as they are: doubt falls with its square root."""
    if spare < 0:
        return ": not reached"
    if doubt <= spare:
        return ""
    times = (doubt / spare) ** 2 if spare else _MOST_TIMES
    if times >= _MOST_TIMES:
        return ": too close to tell"
    return f": not proven, {max(times, 1.1):.1f} times as much data may tell"
