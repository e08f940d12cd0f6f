"""Forgetting one vehicle or one driver in the warehouse and in the marts that are tables.

Tables are found by their columns, so one that a later migration adds is not forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from fleet_assets.retention.subject import ERASED, Subject
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.ledger import load_again

SCHEMAS: Final = ("warehouse", "staging", "intermediate", "marts")
_REGISTER: Final = ("vehicles_history", "vehicles")
_PAYLOADS: Final = {"anomaly_changes": "payload ->> 'vehicle_id' = %(id)s"}
"""Tables that name a vehicle within JSON."""
_SCOPES: Final = {"rule_changes": "scope = 'vehicle' and scope_value = %(id)s"}
_RENAMED: Final = ("legal_holds",)
"""The record of lifted holds stays, without the vehicle."""


@dataclass(frozen=True)
class RowsErased:
    """What went, or would go, of one table.

    Attributes:
        rows: rows about the subject.
    """

    schema: str
    table: str
    rows: int


def erase_rows(postgres_url: str, subject: Subject, *, dry_run: bool = False) -> list[RowsErased]:
    """Removes somebody in one transaction; marts of his hours are marked to be made again.

    Args:
        postgres_url: the warehouse.
        subject: who.
        dry_run: undo it and only tell.
    """

    def work(connection: psycopg.Connection) -> list[RowsErased]:
        if subject.kind == "vehicle":
            load_again(connection, _hours(connection, subject.id))
        found = _vehicle(connection, subject) if subject.kind == "vehicle" else []
        found += _columns(connection, subject)
        if dry_run:
            connection.rollback()
        return [it for it in found if it.rows]

    return transact(postgres_url, work, tries=1 if dry_run else 3)


def leftovers(postgres_url: str, subject: Subject) -> dict[str, int]:
    """Columns of any text in which his id still stands as a whole word: column → rows."""

    def work(connection: psycopg.Connection) -> dict[str, int]:
        found: dict[str, int] = {}
        for schema, table, column in connection.execute(_TEXTS, [list(SCHEMAS)]).fetchall():
            statement = sql.SQL("select count(*) from {} where {}::text = %s or {}::text like %s")
            name = sql.Identifier(column)
            query = statement.format(sql.Identifier(schema, table), name, name)
            escaped = subject.id.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
            row = connection.execute(query, [subject.id, f'%"{escaped}"%']).fetchone()
            if row and row[0]:
                found[f"{schema}.{table}.{column}"] = int(row[0])
        return found

    return transact(postgres_url, work)


def _hours(connection: psycopg.Connection, vehicle_id: str) -> Sequence[str]:
    rows = connection.execute(
        "select event_hour from warehouse.vehicle_hours where vehicle_id = %(id)s"
        " union select event_hour from warehouse.vehicle_outcomes where vehicle_id = %(id)s",
        {"id": vehicle_id},
    ).fetchall()
    return [hour for (hour,) in rows]


def _vehicle(connection: psycopg.Connection, subject: Subject) -> list[RowsErased]:
    """Tables that name a vehicle in another way than by `vehicle_id`."""
    given = {"id": subject.id, "erased": ERASED}
    found = []
    for table in _REGISTER:
        done = connection.execute(
            sql.SQL("delete from {} where id = %(id)s").format(_in(table)), given
        )
        found.append(RowsErased("warehouse", table, done.rowcount))
    conditions: Mapping[str, str] = {**_PAYLOADS, **_SCOPES}
    for table, condition in conditions.items():
        statement = sql.SQL("delete from {} where ").format(_in(table)) + sql.SQL(condition)
        done = connection.execute(statement, given)
        found.append(RowsErased("warehouse", table, done.rowcount))
    replays = connection.execute(
        "update warehouse.telemetry_replays set origin_vehicle_id = null"
        " where origin_vehicle_id = %(id)s",
        given,
    )
    found.append(RowsErased("warehouse", "telemetry_replays", replays.rowcount))
    connection.execute(_ADD_OUTCOMES, given)
    return found


def _columns(connection: psycopg.Connection, subject: Subject) -> list[RowsErased]:
    """Tables with the column that names him."""
    found = []
    tables = connection.execute(_TABLES, [list(SCHEMAS), subject.column]).fetchall()
    for schema, table in tables:
        name, column = sql.Identifier(schema, table), sql.Identifier(subject.column)
        if table in _RENAMED:
            action = sql.SQL("update {} set {} = {}").format(name, column, sql.Literal(ERASED))
        elif subject.kind == "driver":
            action = sql.SQL("update {} set {} = null").format(name, column)
        else:
            action = sql.SQL("delete from {}").format(name)
        done = connection.execute(action + sql.SQL(" where {} = %s").format(column), [subject.id])
        found.append(RowsErased(schema, table, done.rowcount))
    return found


def _in(table: str) -> sql.Identifier:
    return sql.Identifier("warehouse", table)


_TABLES: Final = """
select namespace.nspname, relation.relname
from pg_class as relation
inner join pg_namespace as namespace on relation.relnamespace = namespace.oid
inner join pg_attribute as attribute on relation.oid = attribute.attrelid
where
    namespace.nspname = any(%s)
    and relation.relkind in ('r', 'p')
    and not relation.relispartition
    and attribute.attname = %s
    and not attribute.attisdropped
order by 1, 2
"""
_TEXTS: Final = """
select columns.table_schema, columns.table_name, columns.column_name
from information_schema.columns as columns
inner join pg_class as relation
    on (quote_ident(columns.table_schema) || '.' || quote_ident(columns.table_name))::regclass
    = relation.oid
where
    columns.table_schema = any(%s)
    and relation.relkind in ('r', 'p')
    and not relation.relispartition
    and columns.data_type in ('text', 'character varying', 'jsonb', 'json', 'ARRAY')
order by 1, 2, 3
"""
# The counts of the vehicle stay in the totals, under a name that stands for all who were erased.
_ADD_OUTCOMES: Final = """
insert into warehouse.vehicle_outcomes as known (
    event_hour, hour_start, vehicle_id, read, accepted, duplicate, rejected, pending,
    rejected_by_reason, late, replayed, newest_append_time
)
select
    event_hour, hour_start, %(erased)s, read, accepted, duplicate, rejected, pending,
    rejected_by_reason, late, replayed, newest_append_time
from warehouse.vehicle_outcomes
where vehicle_id = %(id)s
on conflict (hour_start, vehicle_id) do update set
    read = known.read + excluded.read,
    accepted = known.accepted + excluded.accepted,
    duplicate = known.duplicate + excluded.duplicate,
    rejected = known.rejected + excluded.rejected,
    pending = known.pending + excluded.pending,
    rejected_by_reason = (
        select coalesce(jsonb_object_agg(reason, messages), '{}')
        from (
            select both_sides.key as reason, sum(both_sides.value::bigint) as messages
            from (
                select * from jsonb_each_text(known.rejected_by_reason)
                union all
                select * from jsonb_each_text(excluded.rejected_by_reason)
            ) as both_sides
            group by both_sides.key
        ) as added_up
    ),
    late = known.late + excluded.late,
    replayed = known.replayed + excluded.replayed,
    newest_append_time = greatest(known.newest_append_time, excluded.newest_append_time)
"""
