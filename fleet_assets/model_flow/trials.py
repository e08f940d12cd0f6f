"""Challengers on trial: looked at on the days since their stage began, by the rules of rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, days_with_data
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, rows_of, state_of
from fleet_assets.model_choice.decision import Decision, decide
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_flow.chosen import Chosen
from fleet_assets.model_flow.evaluate import compared, kind_of
from fleet_assets.model_flow.evaluation_data import NothingToCompareError
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
    *,
    now: datetime,
    progress: Progress = silent,
) -> None:
    """Looks at the challengers on trial, each on the days since its stage began.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        groups: those with a challenger on trial.
        made_by: who asks.
        done: what was done is noted there.
        now: the moment of the decision.
        progress: is told how far it is.
    """
    audit = read_audit(postgres_url)
    trials: dict[tuple[str, str, datetime], dict[str, str]] = {}
    for group in groups:
        state = state_of(audit, group)
        assert state is not None
        assert state.challenger is not None
        since = since_of(audit, group)
        champions = trials.setdefault((state.challenger, state.stage, since), {})
        champions[group] = state.champion
    for (challenger, stage, since), champions in trials.items():
        days = [day for day in days_with_data(lake)[:-1] if day > since.date() - timedelta(days=1)]
        if not days:
            done.told |= dict.fromkeys(
                champions, f"{challenger} is on trial since {since:%Y-%m-%d}; no day is over yet"
            )
            continue
        try:
            paired = compared(
                lake, postgres_url, challenger, champions, Span(days[0], days[-1]),
                f"trial of {challenger} {stage}", progress=progress,
            )  # fmt: skip
        except NothingToCompareError as error:
            done.told |= dict.fromkeys(champions, str(error))
            continue
        kind = kind_of(postgres_url, challenger, champions.values())
        decision = decide(paired, kind, policy().comparison_on_trial(stage))
        _step(postgres_url, challenger, stage, champions, decision, made_by, now, done)


def _step(
    postgres_url: str,
    challenger: str,
    stage: str,
    champions: Mapping[str, str],
    decision: Decision,
    made_by: str,
    now: datetime,
    done: Chosen,
) -> None:
    """A verdict is noted when a step rests on it; one that changes nothing is only told."""
    for decided in decision.groups:
        request = Request(decided.group, now, made_by, f"{challenger} in its trial ({stage})")
        audit = read_audit(postgres_url)
        if rollout.step(audit, request, challenger, decided) is None:
            why = decided.reasons[0] if decided.reasons else "no reason"
            done.told[decided.group] = (
                f"{challenger} is on trial ({stage}); no look is due; so far: {why}"
            )
            continue
        mine = Decision(decision.kind, (decided,))
        about = Compared(
            challenger, champions, decided_at=now, decided_by=made_by,
            trial_stage="part" if stage == "part" else "shadow",
        )  # fmt: skip
        note_decision(postgres_url, mine, about)
        done.decisions.append(mine)
        row = change_audit(
            postgres_url,
            lambda rows, r=request, d=decided: rollout.step(rows, r, challenger, d),  # type: ignore[misc]
        )
        done.add(decided.group, row, "no look is due")


def since_of(audit: Sequence[AuditRow], group: str) -> datetime:
    """Event time from which on a group's state has been as it is."""
    own = rows_of(audit, group)
    since = own[-1].valid_from
    for row in reversed(own):
        if row.after != own[-1].after:
            break
        since = row.valid_from
    return since
