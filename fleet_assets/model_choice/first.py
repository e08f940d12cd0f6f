"""Whether the first model of a group may serve: there is none to compare it with, so bounds decide.

The same is asked of what comes in place of a champion that cannot be read any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fleet_assets.model_choice.policy import FirstModel, policy


@dataclass(frozen=True)
class HeldOut:
    """What a version reached on days that no training saw.

    Attributes:
        hours: healthy vehicle-hours that were heard.
        false_alarms: on these.
        clear_faults: injected into the same days, as large as has to be found.
        clear_found: how many of them were.
    """

    hours: float
    false_alarms: int
    clear_faults: int
    clear_found: int

    @property
    def told(self) -> dict[str, float]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class FirstVerdict:
    """Whether a version may serve.

    Attributes:
        may_serve: it may.
        reason: its figures beside what is asked, or what it lacks, in words.
    """

    may_serve: bool
    reason: str


def held_out_of(figures: Mapping[str, Any]) -> dict[str, HeldOut]:
    """By group, of the figures of a version; none if it was not measured.

    Args:
        figures: of `ModelVersion`; those `by_group` count.
    """
    names = [field.name for field in fields(HeldOut)]
    found: Mapping[str, Mapping[str, Any]] = figures.get("by_group", {})
    return {group: HeldOut(**{name: of[name] for name in names}) for group, of in found.items()}


def first_verdict(
    group: str, measured: Mapping[str, HeldOut], numbers: FirstModel | None = None
) -> FirstVerdict:
    """Whether a version may be the first to serve a group.

    A group with too little data of its own goes by all groups together: they share detectors. If
    these are too few, too, nothing is known of the version, and it may not.

    Args:
        group: that is to be served.
        measured: what the version reached, by group.
        numbers: what is asked; those of `policy.yaml` if None.
    """
    asked = numbers or policy().first_model
    own = measured.get(group, HeldOut(0.0, 0, 0, 0))
    lacking = _lacking(own, asked)
    if not lacking:
        return _judged(own, "days that no training saw", asked)
    if own.false_alarms > asked.most_false_alarms * asked.least_hours:
        loud = f"{own.false_alarms} false alarms in {own.hours:.1f} vehicle-hours of {group}"
        return FirstVerdict(
            False, f"{loud}, too many even if {asked.least_hours:g} hours had been heard"
        )
    whole = _sum(measured.values())
    if not _lacking(whole, asked):
        whose = f"days of all groups that no training saw ({group} alone has {lacking})"
        return _judged(whole, whose, asked)
    return FirstVerdict(
        False,
        f"there is too little data of days that no training saw to judge it by: {lacking} of"
        f" {group}, {_lacking(whole, asked)} of all groups; a training on more days tells",
    )


def _judged(found: HeldOut, days: str, asked: FirstModel) -> FirstVerdict:
    alarms, recall = found.false_alarms / found.hours, found.clear_found / found.clear_faults
    told = (
        f"{alarms:.3f} false alarms per healthy vehicle-hour in {found.hours:.1f} hours (at most"
        f" {asked.most_false_alarms:g})",
        f"{recall:.0%} of {found.clear_faults} clear faults found (at least"
        f" {asked.least_recall:.0%})",
    )
    is_good = (alarms <= asked.most_false_alarms, recall >= asked.least_recall)
    wrong = [each for each, good in zip(told, is_good, strict=True) if not good]
    return FirstVerdict(not wrong, f"{' and '.join(wrong or told)}, on {days}")


def _lacking(found: HeldOut, asked: FirstModel) -> str:
    """What there is too little of; empty if there is enough."""
    told = []
    if found.hours < asked.least_hours:
        told.append(f"{found.hours:.1f} of {asked.least_hours:g} vehicle-hours")
    if found.clear_faults < asked.least_faults:
        told.append(f"{found.clear_faults} of {asked.least_faults} clear faults")
    return " and ".join(told)


def _sum(found: Iterable[HeldOut]) -> HeldOut:
    each = list(found)
    return HeldOut(
        sum(of.hours for of in each),
        sum(of.false_alarms for of in each),
        sum(of.clear_faults for of in each),
        sum(of.clear_found for of in each),
    )
