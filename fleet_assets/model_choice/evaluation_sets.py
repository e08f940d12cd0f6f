"""Evaluation sets change with the quarter, and their uses are counted.

Who compares often enough on one set finds a challenger that is better on this set alone. So a set
serves for a quarter and then for nothing, and within it a number of uses is set. No day is in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from fleet_assets.model_choice.policy import ChallengerKind, EvaluationSets, policy


@dataclass(frozen=True)
class EvaluationSet:
    """Which data a comparison goes by.

    It holds the vehicle-days of a span that never are for training (`injection.draws.split_of`),
    with faults drawn by its name.

    Attributes:
        name: the quarter from which on it is used; also the seed of its faults.
        first_day: first day (UTC) of the span.
        last_day: last day of it.
        until: from this day on another set is used.
    """

    name: str
    first_day: date
    last_day: date
    until: date


@dataclass(frozen=True)
class Use:
    """One look at an evaluation set."""

    set_name: str
    group: str
    challenger: str
    kind: ChallengerKind


@dataclass(frozen=True)
class Wear:
    """What is left of a set.

    Attributes:
        verdict: free; warn: used up, the comparison may go on and says so; refuse: it may not.
        uses: challengers of this kind that were compared on it in the group, without this one.
    """

    verdict: Literal["free", "warn", "refuse"]
    uses: int
    why: str


def evaluation_set(
    day: date, first_data: date, numbers: EvaluationSets | None = None
) -> EvaluationSet | None:
    """The set of a day: data of the quarter before, or the first days of a new installation.

    The first days serve until there is a quarter with enough other days before it.

    Args:
        day: on which models are compared.
        first_data: first day (UTC) with data.
        numbers: days that a set needs; those of `policy.yaml` if None.

    Returns:
        None: there is not enough data yet; nothing can be compared.
    """
    least = timedelta(days=(numbers or policy().evaluation_sets).least_days)
    fresh = first_data + least
    start = _quarter_start(day)
    if span := _quarter_before(start, fresh, least):
        return EvaluationSet(_name(start), *span, until=_next_start(start))
    if day < fresh:
        return None
    until = _next_start(start)
    while _quarter_before(until, fresh, least) is None:
        until = _next_start(until)
    return EvaluationSet(_name(fresh), first_data, fresh - timedelta(days=1), until)


def wear(
    chosen: EvaluationSet,
    uses: Sequence[Use],
    wanted: Use,
    numbers: EvaluationSets | None = None,
) -> Wear:
    """Whether a challenger may still be compared on a set.

    The same challenger again is no further use: it gives the same result. A new recipe is refused
    when the set is used up, because people choose the next recipe by what the last one has shown. A
    refresh is only warned: nobody has chosen it by results, and refusing it would
    hold the champion fast while its data drifts.

    Args:
        chosen: the set.
        uses: all uses so far, also of other sets, groups and kinds.
        wanted: the use that is to come.
        numbers: how many are allowed; those of `policy.yaml` if None.
    """
    asked = numbers or policy().evaluation_sets
    most = asked.most_uses.refresh if wanted.kind == "refresh" else asked.most_uses.recipe
    before = {
        use.challenger
        for use in uses
        if (use.set_name, use.group, use.kind) == (chosen.name, wanted.group, wanted.kind)
    }
    what = "refreshes" if wanted.kind == "refresh" else "new recipes"
    told = f"{len(before)} {what} were compared on {chosen.name} in {wanted.group}, at most {most}"
    if wanted.challenger in before:
        return Wear("free", len(before), f"{wanted.challenger} was compared on it before")
    if len(before) < most:
        return Wear("free", len(before), told)
    until = f"the next set begins {chosen.until}"
    if wanted.kind == "refresh":
        return Wear("warn", len(before), f"{told}: what looks better may be luck; {until}")
    return Wear("refuse", len(before), f"{told}: the next may win by luck; {until}")


def _quarter_before(start: date, fresh: date, least: timedelta) -> tuple[date, date] | None:
    """The quarter that ends before `start`, from `fresh` on; None if that is too short."""
    last = start - timedelta(days=1)
    first = max(_quarter_start(last), fresh)
    return (first, last) if start - first >= least else None


def _quarter(day: date) -> int:
    return (day.month - 1) // 3 + 1


def _quarter_start(day: date) -> date:
    return date(day.year, 3 * _quarter(day) - 2, 1)


def _next_start(start: date) -> date:
    return _quarter_start(start + timedelta(days=100))


def _name(day: date) -> str:
    return f"{day.year}Q{_quarter(day)}"
