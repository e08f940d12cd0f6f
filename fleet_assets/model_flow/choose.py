"""Which version serves: the newest one is compared, tried, and lets go on or refused, by the rules.

Nothing here decides: verdicts are those of `model_choice`, steps those of `model_choice.rollout`.
Each leaves a row in the audit. What cannot be read costs its own group, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, state_of
from fleet_assets.model_flow.candidates import is_judged, is_new, uncompared, verdict_on
from fleet_assets.model_flow.chosen import Chosen
from fleet_assets.model_flow.evaluate import evaluate_challenger
from fleet_assets.model_flow.promote import unusable
from fleet_assets.model_flow.trials import look_at_trials
from fleet_assets.models.training import Progress, silent
from fleet_assets.warehouse.model_registry import (
    ModelVersion,
    change_audit,
    read_audit,
    versions,
)


def choose_models(
    lake: Lake,
    postgres_url: str,
    made_by: str,
    *,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Chosen:
    """Takes every step that is due: a first model serves, the newest is compared, trials go on.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        made_by: who asks.
        now: the moment of the decision.
        progress: is told how far it is.
    """
    now = now or datetime.now(UTC)
    done = Chosen()
    known, audit = versions(postgres_url), read_audit(postgres_url)
    problem = cache(partial(unusable, Artifacts(lake.url)))  # each is read once
    on_trial: list[str] = []
    fresh: dict[str, list[str]] = {}
    for group in sorted({group for each in known for group in each.groups}):
        state = state_of(audit, group)
        newest = next(each for each in known if group in each.groups)
        asks = partial(Request, group, now, made_by)
        with done.alone([group]):
            if state is None:
                if why := problem(newest.version_id):
                    done.told[group] = f"stays unserved because {why}"
                    continue
                request = asks("the first model of the group")
                _serve_uncompared(postgres_url, newest, request, None, done)
            elif (
                newest.version_id != state.champion
                and (gone := problem(state.champion))
                and problem(newest.version_id) is None
            ):
                request = asks("the champion judges nothing")
                _serve_uncompared(postgres_url, newest, request, gone, done)
            elif state.challenger is not None:
                on_trial.append(group)
            elif not is_new(newest, state, audit, group, known):
                done.told[group] = f"{state.champion} serves; nothing newer is to be compared"
            elif why := problem(newest.version_id) or problem(state.champion):
                done.told[group] = f"{newest.version_id} is not compared: {why}"
            else:
                fresh.setdefault(newest.version_id, []).append(group)
    for challenger, mine in fresh.items():
        with done.alone(mine):
            _challenge(lake, postgres_url, challenger, mine, made_by, now, done, progress)
    look_at_trials(lake, postgres_url, on_trial, made_by, done, problem, now=now, progress=progress)
    return done


def _serve_uncompared(
    postgres_url: str, newest: ModelVersion, request: Request, gone: str | None, done: Chosen
) -> None:
    """A first model serves, or one in place of a champion that is gone, if it is good enough."""
    group, verdict = request.group, verdict_on(newest, request.group)

    def change(rows: list[AuditRow]) -> AuditRow | None:
        if (state_of(rows, group) is None) != (gone is None):
            return None  # somebody was quicker
        row = uncompared(rows, request, newest, gone)
        was_refused = row.action == "refuse" and is_judged(rows, group, newest.version_id)
        return None if was_refused else row

    otherwise = f"stays unserved by {newest.version_id} because {verdict.reason}"
    done.add(
        group,
        change_audit(postgres_url, change),
        "a model serves already" if verdict.may_serve else otherwise,
    )


def _challenge(
    lake: Lake,
    postgres_url: str,
    challenger: str,
    groups: Sequence[str],
    made_by: str,
    now: datetime,
    done: Chosen,
    progress: Progress,
) -> None:
    found = evaluate_challenger(
        lake, postgres_url, challenger, made_by, groups=groups, now=now, progress=progress
    )
    done.decisions.append(found.decision)
    done.told |= found.left_out
    for decided in found.decision.groups:
        why = f"compared on the evaluation set {found.set_name}"
        request = Request(decided.group, now, made_by, why)
        with done.alone([decided.group]):
            row = change_audit(
                postgres_url,
                lambda rows, r=request, d=decided: rollout.challenge(rows, r, challenger, d),  # type: ignore[misc]
            )
            done.add(decided.group, row, "nothing was changed")
