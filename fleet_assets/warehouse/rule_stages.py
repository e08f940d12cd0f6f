"""Stages of rules in place of the catalogue's: off, on trial in the shadow, live.

A change counts from an event time on, and is a row that says who, when, why and what was there
before. A rule goes live only by a backtest that has judged it as it is now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import polars as pl
import psycopg

from fleet_assets.errors import FleetError
from fleet_assets.rules.book import STAGE_SCHEMA
from fleet_assets.rules.catalogue import Catalogue, Stage
from fleet_assets.warehouse.backtests import refuse_unless_it_covers
from fleet_assets.warehouse.connection import transact


@dataclass(frozen=True)
class WantedStage:
    """A stage in place of the catalogue's.

    Attributes:
        valid_from: event time from which it counts.
        backtest_id: what a promotion to live rests on.
    """

    rule_id: str
    stage: str
    valid_from: datetime
    backtest_id: str | None = None


@dataclass(frozen=True)
class StageChange:
    """One change; a stage that is None: none of its own from that time on."""

    change_id: int
    made_at: datetime
    made_by: str
    why: str
    rule_id: str
    valid_from: datetime
    old_stage: str | None
    new_stage: str | None
    backtest_id: str | None
    rolls_back: int | None


def set_stage(
    postgres_url: str, catalogue: Catalogue, wanted: WantedStage, why: str, made_by: str
) -> StageChange:
    """Puts a stage in place of the catalogue's.

    Raises:
        FleetError: there is no such rule or stage, it has it already, or it would go live without
            a backtest that covers it.
    """
    rule = catalogue.rule(wanted.rule_id)
    if wanted.stage not in get_args(Stage):
        raise FleetError(
            f"{wanted.stage!r} is no stage of a rule; there are {', '.join(get_args(Stage))}."
        )

    def work(connection: psycopg.Connection) -> StageChange:
        connection.execute(_LOCK)
        if _at(connection, wanted.valid_from).get(rule.id, rule.stage) == wanted.stage:
            raise FleetError(f"{rule.id} is {wanted.stage} there already.")
        if wanted.stage == "live":
            refuse_unless_it_covers(connection, catalogue, rule, wanted.backtest_id)
        known = connection.execute(_IN_FORCE, vars(wanted)).fetchone()
        given = vars(wanted) | {
            "old": known[0] if known else None, "why": why, "made_by": made_by, "rolls_back": None
        }  # fmt: skip
        return _made(connection, given)

    return transact(postgres_url, work)


def roll_back_stage(
    postgres_url: str, change_id: int, why: str, made_by: str
) -> StageChange | None:
    """Undoes a change of a stage by another one; None if there is no such change.

    A rule that is live again by it rests on the backtest that it was live by.

    Raises:
        FleetError: a later change has set the stage of the rule from the same time on.
    """

    def work(connection: psycopg.Connection) -> StageChange | None:
        connection.execute(_LOCK)
        found = connection.execute(_CHANGE, {"change_id": change_id}).fetchone()
        if found is None:
            return None
        undone = StageChange(*found)
        newest = connection.execute(_NEWEST, vars(undone)).fetchone()
        if newest and newest[0] != change_id:
            raise FleetError(
                f"Change {newest[0]} has changed the same stage since: roll that back first."
            )
        was_live = undone.old_stage == "live"
        by = connection.execute(_LIVE_BY, vars(undone)).fetchone() if was_live else None
        given = vars(undone) | {
            "old": undone.new_stage, "stage": undone.old_stage, "why": why, "made_by": made_by,
            "rolls_back": change_id, "backtest_id": by[0] if by else None,
        }  # fmt: skip
        return _made(connection, given)

    return transact(postgres_url, work)


def stage_changes(postgres_url: str, rule_id: str | None = None) -> list[StageChange]:
    """All changes, newest first, of one rule if so asked."""
    found = transact(postgres_url, lambda c: c.execute(_CHANGES, {"rule_id": rule_id}).fetchall())
    return [StageChange(*row) for row in found]


def stages_at(postgres_url: str, moment: datetime) -> dict[str, str]:
    """Rule id → stage in force at an event time, where it is not left to the catalogue."""
    return transact(postgres_url, lambda c: _at(c, moment))


def stages_in_force(postgres_url: str) -> pl.DataFrame:
    """Rows of STAGE_SCHEMA: all stages with the event times from which they count."""
    found = transact(postgres_url, lambda c: c.execute(_STAGES).fetchall())
    return pl.DataFrame(found, schema=STAGE_SCHEMA, orient="row")


def _at(connection: psycopg.Connection, moment: datetime) -> dict[str, str]:
    return dict(connection.execute(_STAGES_AT, {"moment": moment}).fetchall())


def _made(connection: psycopg.Connection, given: dict[str, object]) -> StageChange:
    row = connection.execute(_INSERT, given).fetchone()
    assert row is not None
    return StageChange(*row)


_COLUMNS = (
    "change_id, made_at, made_by, why, rule_id, valid_from, old_stage, new_stage, backtest_id,"
    " rolls_back"
)
_KEY = "rule_id = %(rule_id)s and valid_from = %(valid_from)s"
_LOCK = "lock table warehouse.rule_stage_changes in share row exclusive mode"
_IN_FORCE = f"select stage from warehouse.rule_stages where {_KEY}"
_NEWEST = f"select max(change_id) from warehouse.rule_stage_changes where {_KEY}"
_LIVE_BY = f"""
select backtest_id from warehouse.rule_stage_changes
where {_KEY} and new_stage = 'live' and change_id < %(change_id)s
order by change_id desc
limit 1
"""
_CHANGE = f"select {_COLUMNS} from warehouse.rule_stage_changes where change_id = %(change_id)s"
_CHANGES = f"""
select {_COLUMNS} from warehouse.rule_stage_changes
where %(rule_id)s::text is null or rule_id = %(rule_id)s
order by change_id desc
"""
_INSERT = f"""
insert into warehouse.rule_stage_changes (
    made_by, why, rule_id, valid_from, old_stage, new_stage, backtest_id, rolls_back
)
values (
    %(made_by)s, %(why)s, %(rule_id)s, %(valid_from)s, %(old)s, %(stage)s, %(backtest_id)s,
    %(rolls_back)s
)
returning {_COLUMNS}
"""
_STAGES_AT = """
select distinct on (rule_id) rule_id, stage from warehouse.rule_stages
where valid_from <= %(moment)s
order by rule_id, valid_from desc
"""
_STAGES = """
select rule_id, valid_from, stage from warehouse.rule_stages
order by rule_id, valid_from
"""
