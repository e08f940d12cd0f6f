"""Numbers of rules for a fleet, a model or a vehicle: set, rolled back, never forgotten.

A change counts from an event time on, so that recomputing the past uses what was in force then.
Every change is a row that says who, when, why, and what was there before; what is in force is a
view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl
import psycopg

from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.resolve import OVERRIDE_SCHEMA
from fleet_assets.warehouse.connection import transact

Scope = Literal["fleet", "model", "vehicle"]


@dataclass(frozen=True)
class Override:
    """A number in place of the catalogue's.

    Attributes:
        scope_value: id of the fleet or vehicle, or name of the model.
        valid_from: event time from which it counts.
    """

    rule_id: str
    parameter: str
    scope: Scope
    scope_value: str
    valid_from: datetime
    value: float


@dataclass(frozen=True)
class Change:
    """One change; a value that is None: the catalogue's number."""

    change_id: int
    made_at: datetime
    made_by: str
    why: str
    rule_id: str
    parameter: str
    scope: Scope
    scope_value: str
    valid_from: datetime
    old_value: float | None
    new_value: float | None
    rolls_back: int | None


def set_override(
    postgres_url: str, catalogue: Catalogue, wanted: Override, why: str, made_by: str
) -> Change:
    """Puts a number in place of the catalogue's.

    Raises:
        FleetError: there is no such number, or it is in force already.
    """
    rule = catalogue.rule(wanted.rule_id)
    refusal = rule.refuses_override(wanted.parameter, wanted.value)
    if refusal is not None:
        raise FleetError(refusal)
    if not math.isfinite(wanted.value):
        raise FleetError(f"{wanted.value} is no number that a sample can be compared with.")

    def work(connection: psycopg.Connection) -> Change:
        connection.execute(_LOCK)
        known = connection.execute(_IN_FORCE, vars(wanted)).fetchone()
        old = known[0] if known else None
        if old == wanted.value:
            raise FleetError(f"{rule.id}.{wanted.parameter} is {old:g} there already.")
        given = vars(wanted) | {"old": old, "why": why, "made_by": made_by, "rolls_back": None}
        return Change(*_one(connection, _INSERT, given))

    return transact(postgres_url, work)


def roll_back(postgres_url: str, change_id: int, why: str, made_by: str) -> Change:
    """Undoes a change by another one.

    Raises:
        FleetError: there is no such change, or a later one has changed the same number.
    """

    def work(connection: psycopg.Connection) -> Change:
        connection.execute(_LOCK)
        found = connection.execute(_CHANGE, {"change_id": change_id}).fetchone()
        if found is None:
            raise FleetError(f"There is no change {change_id}; `fleet rules history` lists them.")
        undone = Change(*found)
        newest = connection.execute(_NEWEST, vars(undone)).fetchone()
        if newest and newest[0] != change_id:
            raise FleetError(
                f"Change {newest[0]} has changed the same number since: roll that back first."
            )
        given = vars(undone) | {
            "old": undone.new_value, "value": undone.old_value, "why": why, "made_by": made_by,
            "rolls_back": change_id,
        }  # fmt: skip
        return Change(*_one(connection, _INSERT, given))

    return transact(postgres_url, work)


def changes(postgres_url: str, rule_id: str | None = None) -> list[Change]:
    """All changes, newest first, of one rule if so asked."""
    found = transact(postgres_url, lambda c: c.execute(_CHANGES, {"rule_id": rule_id}).fetchall())
    return [Change(*row) for row in found]


def overrides_in_force(postgres_url: str) -> pl.DataFrame:
    """Rows of OVERRIDE_SCHEMA."""
    found = transact(postgres_url, lambda c: c.execute(_OVERRIDES).fetchall())
    return pl.DataFrame(found, schema=OVERRIDE_SCHEMA, orient="row")


def _one(
    connection: psycopg.Connection, statement: str, given: Mapping[str, Any]
) -> tuple[Any, ...]:
    row = connection.execute(statement, given).fetchone()
    assert row is not None
    return row


_COLUMNS = (
    "change_id, made_at, made_by, why, rule_id, parameter, scope, scope_value, valid_from,"
    " old_value, new_value, rolls_back"
)
_KEY = """
rule_id = %(rule_id)s and parameter = %(parameter)s and scope = %(scope)s
and scope_value = %(scope_value)s and valid_from = %(valid_from)s
"""
_LOCK = "lock table warehouse.rule_changes in share row exclusive mode"
_IN_FORCE = f"select value from warehouse.rule_overrides where {_KEY}"
_NEWEST = f"select max(change_id) from warehouse.rule_changes where {_KEY}"
_CHANGE = f"select {_COLUMNS} from warehouse.rule_changes where change_id = %(change_id)s"
_CHANGES = f"""
select {_COLUMNS} from warehouse.rule_changes
where %(rule_id)s::text is null or rule_id = %(rule_id)s
order by change_id desc
"""
_INSERT = f"""
insert into warehouse.rule_changes (
    made_by, why, rule_id, parameter, scope, scope_value, valid_from, old_value, new_value,
    rolls_back
)
values (
    %(made_by)s, %(why)s, %(rule_id)s, %(parameter)s, %(scope)s, %(scope_value)s,
    %(valid_from)s, %(old)s, %(value)s, %(rolls_back)s
)
returning {_COLUMNS}
"""
_OVERRIDES = """
select rule_id, parameter, scope, scope_value, valid_from, value from warehouse.rule_overrides
order by rule_id, parameter, scope, scope_value, valid_from
"""
