"""How a backfill is cut into runs, and what it will cost. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fleet_assets.backfill.steps import Step, steps_from
from fleet_assets.errors import FleetError
from partitions.days import day_start, hours_of_day
from partitions.hours import hours_between, is_hour
from partitions.planning import LONGEST_RANGE

MOST_MESSAGES: Final = 20_000_000
"""A run begins no further hour after so many messages, so that it stays abortable."""
START_SECONDS: Final = 5.0
"""What a run costs before it does anything."""


@dataclass(frozen=True)
class Figures:
    """What a step takes, in s, on two cores."""

    per_run: float
    per_key: float
    per_message: float


FIGURES: Final[Mapping[str, Figures]] = {
    # 45 million messages: rebuilt in 192 s, vehicle hours from all rows in 25 s
    "refresh_telemetry": Figures(0.0, 0.3, 192 / 45e6),
    "refresh_vehicle_hours": Figures(0.0, 0.2, 25 / 45e6),
    "load_warehouse": Figures(10.0, 0.2, 0.0),  # with dbt, which takes ten seconds
    "judge_by_rules": Figures(2.0, 0.3, 14.5 / 7.5e6),
    "refresh_feature_windows": Figures(0.0, 0.3, 1 / 1.8e6),
    "summarise_days": Figures(0.0, 1.0, 0.0),
    "make_baselines": Figures(0.0, 1.0, 0.0),
    "judge_by_models": Figures(2.0, 0.3, 50 / 3e6),
}
"""Measured; docs/performance.md and docs/STATE.md say how. They count until runs were measured."""


@dataclass(frozen=True)
class Measured:
    """A run of an earlier backfill: its step, partitions, messages and how long it took."""

    step: str
    keys: int
    messages: int
    took: timedelta


@dataclass(frozen=True)
class Cost:
    """What one step and what follows it will take.

    Attributes:
        keys: hours, or days.
        runs: of Dagster.
        seconds: estimated.
        measured_runs: earlier runs that the estimate rests on; 0: it rests on `FIGURES` alone.
    """

    step: Step
    keys: int
    messages: int
    runs: int
    seconds: float
    measured_runs: int


def chunks(messages: Mapping[str, int]) -> list[list[str]]:
    """Partitions cut into runs, the oldest first.

    Args:
        messages: by hour or day, how many messages it has.
    """
    found: list[list[str]] = []
    room, total = 0, 0
    for key in sorted(messages):
        total += messages[key]
        if not room or total > MOST_MESSAGES:
            found.append([])
            room, total = LONGEST_RANGE, messages[key]
        found[-1].append(key)
        room -= 1
    return found


def cost(step: Step, messages: Mapping[str, int], earlier: Iterable[Measured]) -> Cost:
    """What it will take to make some partitions anew.

    The figures are scaled by how long earlier runs of the same step have taken.

    Args:
        step: where to begin.
        messages: by hour or day, how many messages it has.
        earlier: runs of earlier backfills.
    """
    mine = [run for run in earlier if run.step == step.name]
    expected = sum(_seconds(step, run.keys, run.messages) for run in mine)
    took = sum(run.took.total_seconds() for run in mine)
    scale = took / expected if mine else 1.0
    runs = chunks(messages)
    seconds = sum(_seconds(step, len(keys), sum(messages[key] for key in keys)) for keys in runs)
    total = sum(messages.values())
    return Cost(step, len(messages), total, len(runs), seconds * scale, len(mine))


def hours_wanted(first: str, last: str) -> list[str]:
    """Keys of all hours from the first to the last hour or day, both included.

    Raises:
        FleetError: a text is neither, or the last lies before the first.
    """
    start, end = _hours_of(first)[0], _hours_of(last)[-1]
    if end < start:
        raise FleetError(f"--to {last} lies before --from {first}.")
    return list(hours_between(start, end))


def _hours_of(key: str) -> Sequence[str]:
    if is_hour(key):
        return [key]
    try:
        day_start(key)
    except ValueError:
        text = f"{key!r} is neither an hour such as 2026-01-05T08 nor a day such as 2026-01-05."
        raise FleetError(text) from None
    return hours_of_day(key)


def _seconds(step: Step, keys: int, messages: int) -> float:
    """Of one run, by the figures."""
    of_steps = [FIGURES[other.name] for other in steps_from(step)]
    return START_SECONDS + sum(
        of.per_run + of.per_key * keys + of.per_message * messages for of in of_steps
    )
