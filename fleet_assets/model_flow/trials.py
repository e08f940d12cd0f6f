"""Challengers on trial: looked at on the days since their stage began, by the rules of rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, days_with_data
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, Serving, state_of
from fleet_assets.model_choice.decision import Decision, GroupDecision, decide
from fleet_assets.model_choice.policy import ChallengerKind, policy
from fleet_assets.model_flow.chosen import Chosen
from fleet_assets.model_flow.evaluate import compared, kind_of
from fleet_assets.models.training import Progress, silent
from fleet_assets.warehouse.model_registry import (
    Compared,
    change_audit,
    note_decision,
    read_audit,
)


def look_at_trials(
    lake: Lake,
    postgres_url: str,
    groups: Sequence[str],
    made_by: str,
    done: Chosen,
    problem: Callable[[str], str | None],
    *,
    now: datetime,
    progress: Progress = silent,
) -> None:
    """Looks at the challengers on trial, each on the days since its stage began.

    One that cannot be read any more goes back: what it judged in part of the vehicles is unjudged.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        groups: those with a challenger on trial.
        made_by: who asks.
        done: what was done is noted there.
        problem: from a version to why it judges nothing; None: it does.
        now: the moment of the decision.
        progress: is told how far it is.
    """
    audit = read_audit(postgres_url)
    trials: dict[tuple[str, str, datetime], dict[str, str]] = {}
    for group in groups:
        state = state_of(audit, group)
        assert state is not None
        assert state.challenger is not None
        since, _ = rollout.so_far(audit, group)
        if why := problem(state.challenger):
            _take_back(postgres_url, Request(group, now, made_by, why), state, done)
            continue
        champions = trials.setdefault((state.challenger, state.stage, since), {})
        champions[group] = state.champion
    for (challenger, stage, since), champions in trials.items():
        days = [day for day in days_with_data(lake)[:-1] if day > since.date() - timedelta(days=1)]
        if not days:
            done.told |= dict.fromkeys(
                champions, f"{challenger} is on trial since {since:%Y-%m-%d}; no day is over yet"
            )
            continue
        name = f"trial of {challenger} {stage}"
        with done.alone(champions):
            found = compared(
                lake, postgres_url, challenger, champions, Span(days[0], days[-1]), name,
                progress=progress,
            )  # fmt: skip
            done.told |= found.left_out
            kind = kind_of(postgres_url, challenger, champions.values())
            decision = decide(found.paired, kind, policy().comparison_on_trial(stage))
            for decided in decision.groups:
                with done.alone([decided.group]):
                    _step(postgres_url, challenger, stage, champions, kind, decided, made_by,
                          now, done)  # fmt: skip


def _take_back(postgres_url: str, request: Request, state: Serving, done: Chosen) -> None:
    def change(rows: list[AuditRow]) -> AuditRow | None:
        is_same = state_of(rows, request.group) == state
        return rollout.roll_back(rows, request) if is_same else None

    with done.alone([request.group]):
        done.add(request.group, change_audit(postgres_url, change), "somebody was quicker")


def _step(
    postgres_url: str,
    challenger: str,
    stage: str,
    champions: Mapping[str, str],
    kind: ChallengerKind,
    decided: GroupDecision,
    made_by: str,
    now: datetime,
    done: Chosen,
) -> None:
    """A verdict is noted when a step rests on it; one that changes nothing is only told."""
    request = Request(decided.group, now, made_by, f"{challenger} in its trial ({stage})")
    if rollout.step(read_audit(postgres_url), request, challenger, decided) is None:
        why = decided.reasons[0] if decided.reasons else "no reason"
        done.told[decided.group] = (
            f"{challenger} is on trial ({stage}); no look is due; so far: {why}"
        )
        return
    mine = Decision(kind, (decided,))
    about = Compared(
        challenger, champions, decided_at=now, decided_by=made_by,
        trial_stage="part" if stage == "part" else "shadow",
    )  # fmt: skip
    note_decision(postgres_url, mine, about)
    done.decisions.append(mine)
    row = change_audit(postgres_url, lambda rows: rollout.step(rows, request, challenger, decided))
    done.add(decided.group, row, "no look is due")
