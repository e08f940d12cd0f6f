"""Who comes to serve: whole trials of challengers that truly are better, equal or worse.

Each trial takes eight weeks of paired vehicle-days, drawn by seed, through `decide` and `step` day
by day, as the platform would. Run with: python -m bench.model_trials [TRIALS]
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from fleet_assets.model_choice.audit import AuditRow, Request, Serving, state_of
from fleet_assets.model_choice.decision import decide
from fleet_assets.model_choice.paired import PAIRED_SCHEMA
from fleet_assets.model_choice.policy import ChallengerKind, policy
from fleet_assets.model_choice.rollout import added, first, step

START: Final = datetime(2026, 11, 2, tzinfo=UTC)
DAYS, VEHICLES, EVENTS, HOURS = 57, 60, 4, 10.0
UNSHARED = 0.12
"""Share of what a model finds, or calls, that has nothing to do with the other model."""


@dataclass(frozen=True)
class Challenger:
    """What is true of a challenger; the champion finds 80 % and calls 0.05 times an hour."""

    name: str
    kind: ChallengerKind
    gain: float
    alarm_growth: float


CHALLENGERS: Final = (
    Challenger("refresh, equal", "refresh", 0.0, 0.0),
    Challenger("refresh, loses a point", "refresh", -0.01, 0.0),
    Challenger("refresh, 5 % more alarms", "refresh", 0.0, 0.05),
    Challenger("refresh, gains a point, 10 % fewer alarms", "refresh", 0.01, -0.1),
    Challenger("recipe, equal", "recipe", 0.0, 0.0),
    Challenger("recipe, +2 points, 10 % fewer alarms", "recipe", 0.02, -0.1),
    Challenger("recipe, +4 points, 10 % fewer alarms", "recipe", 0.04, -0.1),
)


def main(trials: int) -> None:
    """Prints how often each comes to serve, and after how many days it is decided."""
    table = Table("challenger", "serves all", "gone from shadow", "gone from part", "days, median")
    for challenger in CHALLENGERS:
        ends = [_trial(challenger, seed) for seed in range(trials)]
        counts = Counter(end for end, _ in ends)
        shares = [f"{counts[end] / trials:.0%}" for end in ("all", "shadow", "part")]
        table.add_row(challenger.name, *shares, f"{np.median([day for _, day in ends]):.0f}")
    Console(width=110).print(table)


def _trial(challenger: Challenger, seed: int) -> tuple[str, int]:
    paired = _drawn(challenger, seed)
    rows: list[AuditRow] = [first([], _request(0), "champion")]
    rows.append(added(rows, _request(0), "challenge", Serving("champion", "challenger", "shadow")))
    for day in range(1, DAYS):
        state = state_of(rows, "van")
        assert state
        asked = policy().comparison_on_trial(state.stage)
        quick = asked.model_copy(update={"resamples": 1000})
        known = paired.filter(pl.col("day") < (START + timedelta(days=day)).date())
        verdict = decide(known, challenger.kind, quick).of("van")
        if row := step(rows, _request(day), "challenger", verdict):
            rows.append(row)
            if row.after and row.after.stage == "alone":
                return ("all" if row.action == "to_all" else state.stage), day
    return "on trial", DAYS


def _request(day: int) -> Request:
    return Request("van", START + timedelta(days=day), "bench", "a look")


def _drawn(challenger: Challenger, seed: int) -> pl.DataFrame:
    """Paired vehicle-days; vehicles differ in how easily their events are found."""
    random = np.random.default_rng(seed)
    shape = VEHICLES, DAYS, EVENTS
    found = 0.8 + random.normal(0, 0.05, (VEHICLES, 1, 1))
    luck, own_luck = random.random(shape), random.random(shape)
    shared = random.random(shape) >= UNSHARED
    challenger_luck = np.where(shared, luck, own_luck)
    rates = 0.05 * HOURS * np.array([1, 1 + challenger.alarm_growth])
    common = random.poisson((1 - UNSHARED) * rates.min(), shape[:2])
    alone = [random.poisson(rate - (1 - UNSHARED) * rates.min(), shape[:2]) for rate in rates]
    day = np.tile(np.arange(DAYS), VEHICLES)
    return pl.DataFrame(
        {
            "vehicle_id": np.repeat([f"van{n}" for n in range(VEHICLES)], DAYS),
            "day": [(START + timedelta(days=int(n))).date() for n in day],
            "group": "van",
            "events": EVENTS,
            "champion_found": (luck < found).sum(axis=2).ravel(),
            "challenger_found": (challenger_luck < found + challenger.gain).sum(axis=2).ravel(),
            "champion_alarms": (common + alone[0]).ravel(),
            "challenger_alarms": (common + alone[1]).ravel(),
            "hours": HOURS,
        },
        schema=PAIRED_SCHEMA,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
