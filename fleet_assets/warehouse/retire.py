"""Rows of hours long past leave the warehouse, once the lake's own have gone to the archive.

The tables that copy one of the lake's need no archive of their own. What the marts are made of is
marked, so that dbt rebuilds those windows with its next run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg import sql

from fleet_assets.fault_points import fault_point
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.ledger import load_again
from fleet_assets.warehouse.load import hours_predicate
from partitions.hours import HOUR, hour_start

ALONG: Final = {"vehicle_outcomes": ("telemetry_outcomes",)}
"""What goes with a table: totals that marts compare with it. The lake keeps its own."""
_ENDED: Final = frozenset({"trips", "anomalies", "rule_anomalies", "model_anomalies"})
"""Tables under the hour of onset: a row stays until it is over for long enough."""
_WITHOUT_VEHICLES: Final = frozenset({"model_hours", "telemetry_outcomes"})
_IN_MARTS: Final = frozenset({"vehicle_hours", "vehicle_outcomes"})
"""What marts follow by the hours that are loaded; other tables mark them (migration 0029)."""
_MOST_HOURS: Final = 200
"""Hours in one transaction."""


@dataclass(frozen=True)
class RowsGone:
    """What went, or would go, of one table."""

    table: str
    rows: int
    first_hour: str | None = None
    last_hour: str | None = None


def hours_there(postgres_url: str, table: str, cutoff: datetime) -> list[str]:
    """Hours that ended before a moment and of which the table holds rows, in order."""
    statement = sql.SQL(
        "select distinct event_hour from {} where hour_start < {} order by event_hour"
    ).format(_name(table), sql.Literal(cutoff))
    found = transact(postgres_url, lambda c: c.execute(statement).fetchall())
    return [hour for (hour,) in found if hour_start(hour) + HOUR <= cutoff]


def retire_rows(
    postgres_url: str,
    table: str,
    hours: Sequence[str],
    cutoff: datetime,
    held: Collection[str],
    *,
    dry_run: bool = False,
) -> list[RowsGone]:
    """Removes what is old of these hours; rows of held vehicles stay.

    Args:
        postgres_url: the warehouse.
        table: a table that copies one of the lake's.
        hours: keys of hours of which the lake's rows have gone.
        cutoff: what is over since before this moment is old.
        held: vehicles whose rows stay.
        dry_run: only count.
    """
    gone = dict.fromkeys((table, *ALONG.get(table, ())), 0)
    seen: list[str] = []
    for start in range(0, len(hours), _MOST_HOURS):
        some = hours[start : start + _MOST_HOURS]

        def work(connection: psycopg.Connection, some: Sequence[str] = some) -> dict[str, int]:
            found = {
                name: _take(connection, name, some, cutoff, held, dry_run=dry_run) for name in gone
            }
            if not dry_run and found[table] and table in _IN_MARTS:
                load_again(connection, some)
            fault_point("retire.rows_deleted")
            return found

        found = transact(postgres_url, work, tries=1)
        if any(found.values()):
            seen += some
        for name, rows in found.items():
            gone[name] += rows
    first, last = (seen[0], seen[-1]) if seen else (None, None)
    return [RowsGone(name, rows, first, last) for name, rows in gone.items()]


def drop_empty_months(postgres_url: str, parent: str, cutoff: datetime) -> list[str]:
    """Drops partitions of months that ended before a moment and hold no row; gives their names.

    Args:
        postgres_url: the warehouse.
        parent: a table that is partitioned by month, with its schema.
        cutoff: the moment.
    """

    def work(connection: psycopg.Connection) -> list[str]:
        dropped = []
        connection.execute("set local lock_timeout = '2s'")  # queries of the marts go first
        for (child,) in connection.execute(
            _MONTHS, {"parent": parent, "cutoff": cutoff}
        ).fetchall():
            name = sql.SQL(child)  # quoted by PostgreSQL
            connection.execute(sql.SQL("lock table {} in access exclusive mode").format(name))
            if connection.execute(sql.SQL("select 1 from {} limit 1").format(name)).fetchone():
                continue
            connection.execute(sql.SQL("drop table {}").format(name))
            dropped.append(str(child))
        return dropped

    return transact(postgres_url, work)


def _take(
    connection: psycopg.Connection,
    table: str,
    hours: Sequence[str],
    cutoff: datetime,
    held: Collection[str],
    *,
    dry_run: bool,
) -> int:
    condition = sql.SQL("({})").format(hours_predicate(hours))
    if held and table not in _WITHOUT_VEHICLES:
        condition += sql.SQL(" and vehicle_id <> all({})").format(sql.Literal(sorted(held)))
    if table in _ENDED:
        condition += sql.SQL(" and state <> 'open' and ended_at < {}").format(sql.Literal(cutoff))
    if dry_run:
        statement = sql.SQL("select count(*) from {} where {}").format(_name(table), condition)
        return int((connection.execute(statement).fetchone() or (0,))[0])
    statement = sql.SQL("delete from {} where {}").format(_name(table), condition)
    return connection.execute(statement).rowcount


def _name(table: str) -> sql.Identifier:
    return sql.Identifier("warehouse", table)


# The upper bound of a month stands in its partition's bounds: FOR VALUES FROM ('…') TO ('…').
_MONTHS: Final = r"""
select child.oid::regclass::text
from pg_inherits
inner join pg_class as child on pg_inherits.inhrelid = child.oid
where
    pg_inherits.inhparent = %(parent)s::regclass
    and substring(
        pg_get_expr(child.relpartbound, child.oid) from $re$TO \('([^']+)'\)$re$
    )::timestamptz <= %(cutoff)s
order by 1
"""
