"""Verdicts on challengers, and which evaluation sets were looked at for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.decision import (
    DECISION_SCHEMA,
    Decision,
    GroupDecision,
    group_decisions,
)
from fleet_assets.model_choice.evaluation_sets import Use
from fleet_assets.model_choice.policy import ChallengerKind
from fleet_assets.warehouse.connection import transact

TrialStage = Literal["shadow", "part"]


@dataclass(frozen=True)
class Compared:
    """What a decision is about.

    Attributes:
        challenger: version that wants to serve.
        champions: the version that it was compared with, by group.
        decided_at: UTC.
        decided_by: who has asked.
        set_name: the evaluation set; None: compared on trial.
        trial_stage: stage of the trial; None: compared on an evaluation set.
    """

    challenger: str
    champions: Mapping[str, str]
    decided_at: datetime
    decided_by: str
    set_name: str | None = None
    trial_stage: TrialStage | None = None


@dataclass(frozen=True)
class NotedDecision:
    """The verdict for one group, as it was noted."""

    decision_id: int
    decided_at: datetime
    decided_by: str
    challenger: str
    champion: str
    kind: ChallengerKind
    set_name: str | None
    trial_stage: TrialStage | None
    of: GroupDecision


def note_decision(postgres_url: str, decision: Decision, about: Compared) -> None:
    """Notes the verdicts of a comparison, one row for each group; each comparison is new rows.

    Raises:
        FleetError: a group lacks a champion, or it is said of neither or both of a set and a trial.
    """
    if (about.set_name is None) == (about.trial_stage is None):
        raise FleetError("A decision rests on an evaluation set or on a trial: name one of them.")
    known = vars(about) | {"kind": decision.kind}
    rows = []
    for row in decision.frame().iter_rows(named=True):
        group = row.pop("group")
        if group not in about.champions:
            raise FleetError(f"The decision is about {group}, too, but no champion is named there.")
        whom = {"vehicle_group": group, "champion": about.champions[group]}
        rows.append({name: value for name, value in known.items() if name != "champions"} | whom)
        rows[-1] |= row

    def work(connection: psycopg.Connection) -> None:
        connection.cursor().executemany(_INSERT, rows)

    transact(postgres_url, work)


def decisions(
    postgres_url: str, challenger: str | None = None, group: str | None = None
) -> list[NotedDecision]:
    """Verdicts, newest first: all, of a challenger, of a group."""
    given = {"challenger": challenger, "group": group}

    def work(connection: psycopg.Connection) -> list[NotedDecision]:
        rows = connection.cursor(row_factory=dict_row).execute(_ALL, given).fetchall()
        frame = pl.DataFrame(
            [{name: row[name] for name in DECISION_SCHEMA} for row in rows], schema=DECISION_SCHEMA
        )
        return [
            NotedDecision(**{name: row[name] for name in _KNOWN}, of=of)
            for row, of in zip(rows, group_decisions(frame), strict=True)
        ]

    return transact(postgres_url, work)


def note_use(postgres_url: str, use: Use, used_by: str) -> None:
    """Notes that a challenger was compared on an evaluation set; once more is no further use."""
    given = vars(use) | {"used_by": used_by}
    transact(postgres_url, lambda c: c.execute(_USE, given))


def uses(postgres_url: str) -> list[Use]:
    """All uses of evaluation sets, oldest first: what `evaluation_sets.wear` counts."""
    return [Use(*row) for row in transact(postgres_url, lambda c: c.execute(_USES).fetchall())]


_KNOWN: Final = (
    "decision_id", "decided_at", "decided_by", "challenger", "champion", "kind", "set_name",
    "trial_stage",
)  # fmt: skip
_VERDICT: Final = tuple(name for name in DECISION_SCHEMA if name != "group")
_WRITTEN: Final = (*_KNOWN[1:], "vehicle_group", *_VERDICT)
_INSERT: Final = sql.SQL("insert into warehouse.model_decisions ({}) values ({})").format(
    sql.SQL(", ").join(map(sql.Identifier, _WRITTEN)),
    sql.SQL(", ").join(map(sql.Placeholder, _WRITTEN)),
)
_ALL: Final = sql.SQL(
    """
    select {}, vehicle_group as "group", {} from warehouse.model_decisions
    where (%(challenger)s::text is null or challenger = %(challenger)s)
    and (%(group)s::text is null or vehicle_group = %(group)s)
    order by decision_id desc
    """
).format(
    sql.SQL(", ").join(map(sql.Identifier, _KNOWN)),
    sql.SQL(", ").join(map(sql.Identifier, _VERDICT)),
)
_USE: Final = """
insert into warehouse.model_evaluation_uses (set_name, vehicle_group, challenger, kind, used_by)
values (%(set_name)s, %(group)s, %(challenger)s, %(kind)s, %(used_by)s)
on conflict do nothing
"""
_USES: Final = """
select set_name, vehicle_group, challenger, kind from warehouse.model_evaluation_uses
order by used_at, set_name, vehicle_group, challenger
"""
