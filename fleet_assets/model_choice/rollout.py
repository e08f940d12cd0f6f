"""How a challenger comes to serve: shadow → a share of the vehicles → all; and the ways back.

Each function takes the audit and gives the row that a change adds to it. Nothing else is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.audit import (
    Action,
    AuditRow,
    Request,
    Serving,
    added,
    rows_of,
    state_of,
)
from fleet_assets.model_choice.decision import GroupDecision
from fleet_assets.model_choice.policy import RolloutSteps, policy

Audit = Sequence[AuditRow]


def first(rows: Audit, request: Request, model: str) -> AuditRow:
    """The first model of a group serves at once: there is none to compare it with.

    Raises:
        FleetError: a model serves the group already.
    """
    state = state_of(rows, request.group)
    if state is not None:
        raise FleetError(f"{state.champion} serves {request.group} already: challenge it.")
    return added(rows, request, "first", Serving(model))


def refuse_first(rows: Audit, request: Request, model: str, reason: str) -> AuditRow:
    """A version that is not good enough to serve where nothing is to be compared with it.

    Args:
        rows: the audit.
        request: who asks; version and reason are added to its own.
        model: the version.
        reason: why it may not serve.
    """
    why = f"stays unserved because {reason}"
    told = replace(request, why="; ".join((request.why, model, why)))
    return added(rows, told, "refuse", state_of(rows, request.group))


def replace_unusable(rows: Audit, request: Request, model: str, problem: str) -> AuditRow:
    """A version serves in place of a champion that nothing can be judged by any more.

    There is nothing to compare it with, as with a first one; who is on trial goes, too.

    Args:
        rows: the audit.
        request: who asks; the problem is added to its reason.
        model: the version.
        problem: why the champion cannot be used.

    Raises:
        FleetError: no model serves, this one is the champion, or it was rolled back before.
    """
    state = _state(rows, request.group)
    if model == state.champion:
        raise FleetError(f"{model} serves {request.group} already.")
    if model in rolled_back(rows, request.group):
        raise FleetError(f"{model} was rolled back in {request.group}: train another version.")
    told = replace(request, why="; ".join((request.why, problem)))
    return added(rows, told, "replace", Serving(model))


def challenge(rows: Audit, request: Request, challenger: str, decided: GroupDecision) -> AuditRow:
    """Puts a model into the shadow, unless the verdict is that the champion stays.

    Args:
        rows: the audit.
        request: who asks; reasons of the verdict are added to its own.
        challenger: whom the verdict is about.
        decided: the verdict on the evaluation set. What is shown there or may still be shown goes
            into the shadow first; the rest is refused, which is a row, too.

    Raises:
        FleetError: the verdict is another group's, the model serves already, another one is on
            trial, or it was rolled back before.
    """
    state = _state(rows, request.group)
    if challenger == state.champion:
        raise FleetError(f"{challenger} serves {request.group} already.")
    if state.challenger is not None:
        raise FleetError(
            f"{state.challenger} is on trial in {request.group}: wait for it or roll it back."
        )
    if challenger in rolled_back(rows, request.group):
        raise FleetError(f"{challenger} was rolled back in {request.group}: train another version.")
    if decided.group != request.group:
        raise FleetError(f"The verdict is about {decided.group}, not {request.group}.")
    told = replace(request, why="; ".join((request.why, challenger, *decided.reasons)))
    if decided.verdict == "stay":
        return added(rows, told, "refuse", state)
    return added(rows, told, "challenge", Serving(state.champion, challenger, "shadow"))


def step(
    rows: Audit,
    request: Request,
    challenger: str,
    decided: GroupDecision,
    steps: RolloutSteps | None = None,
) -> AuditRow | None:
    """The next step of the challenger on trial, if there is one to take now.

    It goes back as soon as it is worse beyond doubt (`is_worse`). It goes on when one of the days
    has come on which its step is looked at, and the verdict lets it serve. Else it waits for the
    next look, because few days tell little either way; after the last one it goes.

    Args:
        rows: the audit.
        request: who asks; reasons of the verdict are added to its own.
        challenger: whom the verdict is about.
        decided: the verdict on all that was paired so far, by `Policy.comparison_on_trial`.
        steps: days and share; those of `policy.yaml` if None.

    Returns:
        None: no look is due, and nothing is against the challenger.

    Raises:
        FleetError: the challenger is not on trial in the group, the verdict is another group's, or
            not as sure as several looks ask for.
    """
    asked = steps or policy().rollout
    state = _state(rows, request.group)
    if state.challenger != challenger or decided.group != request.group:
        raise FleetError(
            f"The verdict is about {challenger} in {decided.group}; on trial in {request.group} is"
            f" {state.challenger or 'none'}."
        )
    looks = asked.looks(state.stage)
    _refuse_unless_sure(decided, len(looks))
    told = replace(request, why="; ".join((request.why, *decided.reasons)))
    if decided.is_worse:
        return _back(rows, told, state)
    since, looked = so_far(rows, request.group)
    if looked < len(looks) and request.made_at - since < timedelta(days=looks[looked]):
        return None
    if decided.verdict == "serve":
        return _onward(rows, told, state, asked)
    if looked + 1 < len(looks):
        return added(rows, told, "wait", state)
    return _back(rows, replace(told, why=f"not proven in {looks[-1]} days; {told.why}"), state)


def roll_back(rows: Audit, request: Request) -> AuditRow:
    """Takes the challenger away, or, if none is on trial, the champion in favour of the one before.

    Raises:
        FleetError: there is nothing to go back to.
    """
    state = _state(rows, request.group)
    if state.challenger is not None:
        return added(rows, request, "roll_back", Serving(state.champion))
    champions = _champions(rows, request.group)
    if len(champions) < 2:
        raise FleetError(f"No model has served {request.group} before {state.champion}.")
    return added(rows, request, "roll_back", Serving(champions[-2]))


def training_failed(rows: Audit, request: Request) -> AuditRow:
    """What serves goes on to serve; the audit says that there was to be another."""
    return added(rows, request, "training_failed", state_of(rows, request.group))


def _state(rows: Audit, group: str) -> Serving:
    state = state_of(rows, group)
    if state is None:
        raise FleetError(f"No model serves {group} yet.")
    return state


def _refuse_unless_sure(decided: GroupDecision, looks: int) -> None:
    least = policy().comparison.for_looks(looks).confidence
    if decided.confidence < least - 1e-9:
        raise FleetError(
            f"The verdict is {decided.confidence:.1%} sure; {looks} looks need {least:.1%}: decide"
            " by `Policy.comparison_on_trial`."
        )


def so_far(rows: Audit, group: str) -> tuple[datetime, int]:
    """Event time from which on the state of a group has been as it is, and looks since then."""
    own = rows_of(rows, group)
    since, looked = own[-1].valid_from, 0
    for row in reversed(own):
        if row.after != own[-1].after:
            break
        since = row.valid_from
        looked += row.action == "wait"
    return since, looked


def _onward(rows: Audit, request: Request, state: Serving, asked: RolloutSteps) -> AuditRow:
    assert state.challenger
    if state.stage == "part":
        return added(rows, request, "to_all", Serving(state.challenger))
    part = replace(state, stage="part", share=asked.share)
    return added(rows, request, "to_part", part)


def _back(rows: Audit, request: Request, state: Serving) -> AuditRow:
    action: Action = "roll_back" if state.stage == "part" else "drop"
    return added(rows, request, action, Serving(state.champion))


def _champions(rows: Audit, group: str) -> list[str]:
    """Champions that one can go back to, and the present one; those rolled back are gone."""
    champions: list[str] = []
    for row in rows_of(rows, group):
        if row.after is None or (champions and row.after.champion == champions[-1]):
            continue
        if row.action == "roll_back":
            champions.pop()
        else:
            champions.append(row.after.champion)
    return champions


def rolled_back(rows: Audit, group: str) -> set[str]:
    """Versions that were taken back in a group: they do not come again."""
    return {
        row.before.challenger or row.before.champion
        for row in rows_of(rows, group)
        if row.action == "roll_back" and row.before is not None
    }
