"""Which model serves which group: the audit as rows of the warehouse, which are only ever added.

A change is a pure function of `model_choice.rollout` that is given the audit as it is; a lock holds
others off meanwhile, so two changes at once are two rows in one order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.model_choice.audit import AUDIT_SCHEMA, AuditRow, audit_frame, audit_rows
from fleet_assets.warehouse.connection import transact

Change = Callable[[list[AuditRow]], AuditRow | None]


def read_audit(postgres_url: str) -> list[AuditRow]:
    """All rows, oldest first."""
    return transact(postgres_url, _read)


def change_audit(postgres_url: str, change: Change) -> AuditRow | None:
    """Adds the row that a change makes of the audit as it is.

    Args:
        postgres_url: the warehouse.
        change: such as `lambda rows: rollout.roll_back(rows, request)`; None: nothing to add.

    Returns:
        What was added.

    Raises:
        FleetError: the change refuses; nothing was added.
        WarehouseError: the row names a version that is not known, or lets a model go on for which
            no decision is noted that says so.
    """

    def work(connection: psycopg.Connection) -> AuditRow | None:
        connection.execute(_LOCK)
        row = change(_read(connection))
        if row is not None:
            connection.execute(_INSERT, audit_frame([row]).row(0))
        return row

    return transact(postgres_url, work)


def _read(connection: psycopg.Connection) -> list[AuditRow]:
    found = connection.execute(_ALL).fetchall()
    return audit_rows(pl.DataFrame(found, schema=AUDIT_SCHEMA, orient="row"))


_COLUMNS: Final = sql.SQL(", ").join(
    sql.Identifier("vehicle_group" if name == "group" else name) for name in AUDIT_SCHEMA
)
_LOCK: Final = "lock table warehouse.model_audit in share row exclusive mode"
_ALL: Final = sql.SQL("select {} from warehouse.model_audit order by number").format(_COLUMNS)
_INSERT: Final = sql.SQL("insert into warehouse.model_audit ({}) values ({})").format(
    _COLUMNS, sql.SQL(", ").join([sql.Placeholder()] * len(AUDIT_SCHEMA))
)
