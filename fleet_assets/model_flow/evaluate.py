"""Champion against challenger on an evaluation set: the same days, the same faults, a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, days_with_data
from fleet_assets.model_choice.audit import state_of
from fleet_assets.model_choice.decision import Decision, decide
from fleet_assets.model_choice.evaluation_sets import Use, Wear, evaluation_set, wear
from fleet_assets.model_choice.policy import ChallengerKind, policy
from fleet_assets.model_flow.evaluation_data import (
    EvaluationData,
    Found,
    NothingToCompareError,
    evaluation_data,
    found_by,
    paired_rows,
)
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.model_flow.incidents import feedback_of, known_of
from fleet_assets.model_flow.serving import model_for
from fleet_assets.models.training import Progress, silent
from fleet_assets.warehouse.model_registry import (
    Compared,
    note_decision,
    note_use,
    read_audit,
    uses,
    version,
)


@dataclass(frozen=True)
class Pairs:
    """Both models on the same vehicle-days.

    Attributes:
        paired: rows of PAIRED_SCHEMA.
        left_out: group → why nothing could be compared there.
    """

    paired: pl.DataFrame
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Evaluated:
    """What a comparison came to.

    Attributes:
        decision: verdicts by group.
        champions: whom the challenger was compared with, by group.
        set_name: of the evaluation set.
        paired: rows of PAIRED_SCHEMA that it rests on.
        left_out: group → why nothing was compared there.
        wear: group → how worn the set is.
    """

    decision: Decision
    champions: Mapping[str, str]
    set_name: str
    paired: pl.DataFrame
    left_out: Mapping[str, str]
    wear: Mapping[str, Wear]


def evaluate_challenger(
    lake: Lake,
    postgres_url: str,
    challenger_id: str,
    made_by: str,
    *,
    groups: Sequence[str] | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Evaluated:
    """Compares a version with the champion of each group on the evaluation set, and notes it.

    Days of the set never are for training; vehicles are those that either model may know by then.
    Each use is counted; a new recipe is refused where the set is used up.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        challenger_id: `fm-…`.
        made_by: who asks.
        groups: only these; None: all that it was trained for and that have another champion.
        now: the moment of the decision.
        progress: is told how far it is.

    Raises:
        NothingToCompareError: there is not enough data yet, no champion, or every group is refused.
        FleetError: there is no such version.
    """
    now = now or datetime.now(UTC)
    challenger = version(postgres_url, challenger_id)
    audit = read_audit(postgres_url)
    champions = {
        group: state.champion
        for group in challenger.groups
        if (groups is None or group in groups)
        and (state := state_of(audit, group)) is not None
        and state.champion != challenger_id
    }
    if not champions:
        raise NothingToCompareError(
            f"There is nothing to compare {challenger_id} with: no other model serves"
            f" {', '.join(groups or challenger.groups)}."
        )
    chosen = evaluation_set(now.date(), first_data(lake))
    if chosen is None:
        raise NothingToCompareError(_too_early(lake, now.date()))
    kind = kind_of(postgres_url, challenger_id, champions.values())
    before = uses(postgres_url)
    worn = {
        group: wear(chosen, before, Use(chosen.name, group, challenger_id, kind))
        for group in champions
    }
    left_out = {group: found.why for group, found in worn.items() if found.verdict == "refuse"}
    champions = {group: of for group, of in champions.items() if group not in left_out}
    if not champions:
        raise NothingToCompareError("; ".join(left_out.values()))
    for group in champions:
        note_use(postgres_url, Use(chosen.name, group, challenger_id, kind), made_by)
    span = Span(chosen.first_day, chosen.last_day)
    found = compared(
        lake, postgres_url, challenger_id, champions, span, chosen.name, progress=progress
    )
    left_out |= found.left_out
    decision = decide(found.paired, kind)
    missing = set(champions) - {each.group for each in decision.groups} - set(left_out)
    left_out |= {group: f"no vehicle of {group} was driven in the set" for group in missing}
    about = Compared(
        challenger_id, champions, decided_at=now, decided_by=made_by, set_name=chosen.name
    )
    note_decision(postgres_url, decision, about)
    return Evaluated(decision, champions, chosen.name, found.paired, left_out, worn)


def compared(
    lake: Lake,
    postgres_url: str,
    challenger_id: str,
    champions: Mapping[str, str],
    span: Span,
    name: str,
    *,
    progress: Progress = silent,
) -> Pairs:
    """Lets both models judge the same vehicle-days; a champion that cannot costs its groups only.

    Args:
        lake: the lake.
        postgres_url: the warehouse: register and feedback.
        challenger_id: the version that wants to serve.
        champions: the one that serves, by group; only these groups.
        span: the days.
        name: draws days and faults.
        progress: is told how far it is.

    Raises:
        NothingToCompareError: no vehicle was driven on these days, nothing of it was healthy, or no
            champion can be read.
        FleetError: the challenger cannot be read.
    """
    register = groups_of_register(postgres_url)
    types = {who: group for who, group in register.items() if group in champions}
    known = known_of(lake, feedback_of(postgres_url), span)
    data = evaluation_data(
        lake, span, types, known, name,
        progress=lambda what, share: progress(what, 0.5 * share),
    )  # fmt: skip
    artifacts, parts, left_out = Artifacts(lake.url), [], dict[str, str]()
    by_champion: dict[str, list[str]] = {}
    for group, champion in champions.items():
        by_champion.setdefault(champion, []).append(group)
    for number, (champion, groups) in enumerate(sorted(by_champion.items())):
        mine = data.of([who for who, group in types.items() if group in groups])
        if mine.healthy.is_empty():
            continue
        share = 0.5 + 0.5 * number / len(by_champion)
        faults = sum(copy.truth.height for copy in mine.passes)
        progress(
            f"{champion} and {challenger_id} judge {mine.healthy.height:,} windows and"
            f" {faults:,} faults",
            share,
        )
        two = _judged(artifacts, challenger_id, mine)
        try:
            one = _judged(artifacts, champion, mine)
        except FleetError as error:
            left_out |= dict.fromkeys(groups, str(error))
            continue
        parts.append(paired_rows(mine, one, two))
    if not parts:
        raise NothingToCompareError("; ".join(dict.fromkeys(left_out.values())))
    return Pairs(pl.concat(parts), left_out)


def _judged(artifacts: Artifacts, model_id: str, data: EvaluationData) -> Found:
    """By the model as it would judge from now on, with all vehicles that were fitted since."""
    vehicles = set(data.healthy["vehicle_id"].unique())
    return found_by(model_for(artifacts, model_id, date.max, vehicles), data)


def kind_of(postgres_url: str, challenger_id: str, champions: Iterable[str]) -> ChallengerKind:
    """A refresh, if all champions were trained by the same recipe; else a new recipe."""
    recipe = version(postgres_url, challenger_id).recipe_id
    same = all(version(postgres_url, each).recipe_id == recipe for each in champions)
    return "refresh" if same else "recipe"


def first_data(lake: Lake) -> date:
    """First day (UTC) with data.

    Raises:
        NothingToCompareError: there is none.
    """
    days = days_with_data(lake)
    if not days:
        raise NothingToCompareError("There is no data yet: nothing can be compared.")
    return days[0]


def _too_early(lake: Lake, today: date) -> str:
    least, first = policy().evaluation_sets.least_days, first_data(lake)
    return (
        f"The first evaluation set takes {least} days of data; the first day is {first}, so there"
        f" are {max((today - first).days, 0)}. Until then the champion stays."
    )
