"""Which version serves: the newest one is compared, tried, and lets go on or refused, by the rules.

Nothing here decides: verdicts are those of `model_choice.decision`, steps those of
`model_choice.rollout`. Each leaves a row in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, days_with_data
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request, Serving, rows_of, state_of
from fleet_assets.model_choice.decision import Decision, decide
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_flow.evaluate import (
    compared,
    evaluate_challenger,
    kind_of,
)
from fleet_assets.model_flow.evaluation_data import NothingToCompareError
from fleet_assets.model_flow.training_sets import Progress, silent
from fleet_assets.warehouse.model_registry import (
    Compared,
    ModelVersion,
    change_audit,
    note_decision,
    read_audit,
    versions,
)


@dataclass
class Chosen:
    """What was done.

    Attributes:
        rows: that were added to the audit.
        told: group → what was done or why nothing was.
        decisions: verdicts that were reached.
    """

    rows: list[AuditRow] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, group: str, row: AuditRow | None, otherwise: str) -> None:
        """Notes a step, or why there is none."""
        if row is None:
            self.told[group] = otherwise
            return
        self.rows.append(row)
        self.told[group] = f"{row.action}: {row.why}"


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


def is_new(
    newest: ModelVersion,
    state: Serving,
    audit: Sequence[AuditRow],
    group: str,
    known: Sequence[ModelVersion],
) -> bool:
    """Whether a version is to be compared: it is newer than the champion and was never judged."""
    if newest.version_id == state.champion:
        return False
    trained = {each.version_id: each.trained_at for each in known}
    champion_at = trained.get(state.champion)
    if champion_at is not None and newest.trained_at <= champion_at:
        return False
    judged = ("challenge", "refuse")  # why begins with the request, the version comes next
    return not any(
        row.action in judged and newest.version_id in row.why.split("; ")
        for row in rows_of(audit, group)
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
