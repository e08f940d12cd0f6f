"""Which version serves: the newest one is compared, tried, and lets go on or refused, by the rules.

Nothing here decides: verdicts are those of `model_choice.decision`, steps those of
`model_choice.rollout`. Each leaves a row in the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, state_of
from fleet_assets.model_flow.candidates import is_new
from fleet_assets.model_flow.chosen import Chosen
from fleet_assets.model_flow.evaluate import evaluate_challenger
from fleet_assets.model_flow.evaluation_data import NothingToCompareError
from fleet_assets.model_flow.promote import unusable
from fleet_assets.model_flow.trials import look_at_trials
from fleet_assets.models.training import Progress, silent
from fleet_assets.warehouse.model_registry import change_audit, read_audit, versions


def choose_models(
    lake: Lake,
    postgres_url: str,
    made_by: str,
    *,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Chosen:
    """Takes every step that is due: the first model serves, the newest is compared, trials go on.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        made_by: who asks.
        now: the moment of the decision.
        progress: is told how far it is.
    """
    now = now or datetime.now(UTC)
    done = Chosen()
    known = versions(postgres_url)
    audit = read_audit(postgres_url)
    groups = sorted({group for each in known for group in each.groups})
    on_trial: list[str] = []
    fresh: dict[str, list[str]] = {}
    for group in groups:
        state = state_of(audit, group)
        newest = next(each for each in known if group in each.groups)
        if state is None:
            row = begin(postgres_url, group, newest.version_id, made_by, now)
            done.add(group, row, "a model serves already")
        elif problem := _problem(Artifacts(lake.url), state.champion, newest.version_id):
            try:
                row = take_place(postgres_url, group, newest.version_id, problem, made_by, now)
            except FleetError as error:  # it was rolled back here before
                done.told[group] = f"{problem}; nothing takes its place: {error}"
            else:
                done.add(group, row, "nothing is to be replaced any more")
        elif state.challenger is not None:
            on_trial.append(group)
        elif is_new(newest, state, audit, group, known):
            fresh.setdefault(newest.version_id, []).append(group)
        else:
            done.told[group] = f"{state.champion} serves; nothing newer is to be compared"
    for challenger, mine in fresh.items():
        _challenge(lake, postgres_url, challenger, mine, made_by, now, done, progress)
    look_at_trials(lake, postgres_url, on_trial, made_by, done, now=now, progress=progress)
    return done


def begin(
    postgres_url: str, group: str, version_id: str, made_by: str, now: datetime
) -> AuditRow | None:
    """The first model of a group serves at once."""
    request = Request(group, now, made_by, "the first model of the group")

    def change(rows: list[AuditRow]) -> AuditRow | None:
        if state_of(rows, group) is not None:
            return None
        return rollout.first(rows, request, version_id)

    return change_audit(postgres_url, change)


def take_place(
    postgres_url: str, group: str, version_id: str, problem: str, made_by: str, now: datetime
) -> AuditRow | None:
    """A version serves in place of a champion that cannot be read any more."""
    request = Request(group, now, made_by, "the champion judges nothing")

    def change(rows: list[AuditRow]) -> AuditRow | None:
        return rollout.replace_unusable(rows, request, version_id, problem)

    return change_audit(postgres_url, change)


def _problem(artifacts: Artifacts, champion: str, newest: str) -> str | None:
    """Why a champion judges nothing, where the newest version would."""
    if newest == champion:
        return None
    problem = unusable(artifacts, champion)
    return problem if problem and unusable(artifacts, newest) is None else None


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
    try:
        found = evaluate_challenger(
            lake, postgres_url, challenger, made_by, groups=groups, now=now, progress=progress
        )
    except NothingToCompareError as error:
        done.told |= dict.fromkeys(groups, str(error))
        return
    done.decisions.append(found.decision)
    done.told |= found.left_out
    for decided in found.decision.groups:
        request = Request(
            decided.group, now, made_by, f"compared on the evaluation set {found.set_name}"
        )
        row = change_audit(
            postgres_url,
            lambda rows, r=request, d=decided: rollout.challenge(rows, r, challenger, d),  # type: ignore[misc]
        )
        done.add(decided.group, row, "nothing was changed")
