"""Loaded tables of the warehouse against the lake's, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.lake.marks import app_id
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.verification.differences import difference
from fleet_assets.verification.lake_steps import Compared
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.from_lake import TABLES
from fleet_assets.warehouse.ledger import read_ledger
from fleet_assets.warehouse.load import GENERATED
from fleet_assets.warehouse.load_stale import ByNumber, stale_hours

_PLAIN: Final = ("text", "bigint", "integer", "double precision", "boolean", "date",
                 "timestamp with time zone")  # fmt: skip
"""Types that come back from PostgreSQL as they went in."""


def load_differences(lake: Lake, postgres_url: str, event_hours: Sequence[str]) -> Compared:
    """Compares what the warehouse holds of some hours with the lake."""
    found = Compared()
    loaded = {e.event_hour: e.processed_version for e in read_ledger(postgres_url, "warehouse")}
    for name in TABLES:
        table = lake.find(name)
        if table is not None:
            late = {h for h in event_hours if loaded.get(h) != table.committed(app_id(h))}
            found = found.and_(_compared(table, postgres_url, name, event_hours, late))
    for number in get_args(ByNumber):
        table = lake.find(number)
        if table is not None:
            late = set(stale_hours(table, postgres_url, number))
            found = found.and_(_compared(table, postgres_url, number, event_hours, late))
    return found


def _compared(
    table: TableSnapshot, postgres_url: str, name: str, event_hours: Sequence[str], late: set[str]
) -> Compared:
    types = transact(postgres_url, lambda c: c.execute(_TYPES, (name,)).fetchall())
    plain = {column for column, kind in types if kind in _PLAIN}
    names = [n for n in table.contract.names if n in plain - set(GENERATED.get(name, []))]
    schema = {column: table.contract.polars_schema[column] for column in names}
    by = [column for column in table.contract.key if column in names]
    found = Compared()
    for hour in event_hours:
        if hour in late:
            found = found.and_(Compared(waiting=((f"warehouse.{name}", hour),)))
            continue
        query = sql.SQL("select {} from warehouse.{} where event_hour = %s").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(name)
        )

        def read(connection: psycopg.Connection, query: sql.Composed, hour: str) -> pl.DataFrame:
            rows = connection.execute(query, (hour,)).fetchall()
            return pl.DataFrame(rows, schema=schema, orient="row")

        stored = transact(postgres_url, lambda c, q=query, h=hour: read(c, q, h))  # type: ignore[misc]
        differs = difference(f"warehouse.{name}", hour, stored, table.read(hour, names), by)
        found = found.and_(Compared(() if differs is None else (differs,), compared=1))
    return found


_TYPES: Final = """
select column_name, data_type from information_schema.columns
where table_schema = 'warehouse' and table_name = %s
"""
