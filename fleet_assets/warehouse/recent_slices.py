"""Slices of recent telemetry as partitions of PostgreSQL: made, measured and dropped.

Neither making nor dropping takes a lock that a reader holds or waits for: a slice is attached, and
detached concurrently, under a lock that only other changes of the table want (decision 0041).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from fleet_assets.telemetry.recent import SLICES, Level
from fleet_assets.warehouse.connection import connect_unbound

PATIENCE: Final = timedelta(seconds=2)
"""So long a reader of a slice is waited for; the rest is left to the next round."""
TABLES: Final[Mapping[Level, str]] = {"full": "telemetry_full", "minutes": "telemetry_minutes"}
_NAME_FORMAT: Final = "%Y%m%d_%H%M"


@dataclass(frozen=True)
class Slice:
    """A partition, or what was one.

    Attributes:
        start: its first moment.
        size: bytes, with its index.
        state: attached; pending: no new query sees it, an old one may still; loose: a table alone.
    """

    level: Level
    start: datetime
    size: int
    state: str


def slices(connection: psycopg.Connection) -> list[Slice]:
    """All that there are, also those whose removal was cut off."""
    found = []
    for level, table in TABLES.items():
        pattern = f"^{table}_[0-9]{{8}}_[0-9]{{4}}$"
        rows = connection.execute(_SLICES, {"table": table, "pattern": pattern}).fetchall()
        for name, size, state in rows:
            words = name.removeprefix(f"{table}_")
            start = datetime.strptime(words, _NAME_FORMAT).replace(tzinfo=UTC)
            found.append(Slice(level, start, size, state))
    return found


def make_slices(postgres_url: str, level: Level, starts: Iterable[datetime]) -> None:
    """Makes slices that are missing, each in a transaction of its own.

    Raises:
        WarehouseError: the server cannot be reached.
        psycopg.Error: it refuses.
    """
    with connect_unbound(postgres_url) as connection:
        for start in starts:
            names = {"slice": _name(level, start), "parent": _parent(level)}
            bounds = {"start": sql.Literal(start), "end": sql.Literal(start + SLICES[level])}
            with connection.transaction():
                for statement in (_DROP, _CREATE, _ATTACH):
                    connection.execute(sql.SQL(statement).format(**names, **bounds))


def drop_slices(postgres_url: str, dropped: Iterable[Slice]) -> list[Slice]:
    """Drops slices, as far as no reader holds them.

    Args:
        postgres_url: the warehouse.
        dropped: of `slices`, whatever their state.

    Returns:
        Those that some query still reads. New queries do not see them.
    """
    waiting: list[Slice] = []
    with connect_unbound(postgres_url) as connection:
        limit = sql.Literal(f"{int(PATIENCE.total_seconds() * 1000)}ms")
        connection.execute(sql.SQL("set statement_timeout = {}").format(limit))
        blocked: set[Level] = set()  # PostgreSQL detaches one slice of a table after the other
        for it in sorted(dropped, key=lambda one: (one.state == "attached", one.start)):
            if it.level in blocked and it.state != "loose":
                waiting.append(it)
                continue
            names = {"slice": _name(it.level, it.start), "parent": _parent(it.level)}
            try:
                if it.state != "loose":
                    words = _DETACH if it.state == "attached" else _FINALIZE
                    connection.execute(sql.SQL(words).format(**names))
                connection.execute(sql.SQL(_DROP).format(**names))
            except psycopg.errors.QueryCanceled:
                waiting.append(it)
                blocked.add(it.level)
    return waiting


def _name(level: Level, start: datetime) -> sql.Identifier:
    return sql.Identifier("warehouse", f"{TABLES[level]}_{start:{_NAME_FORMAT}}")


def _parent(level: Level) -> sql.Identifier:
    return sql.Identifier("warehouse", TABLES[level])


_SLICES: Final = """
select
    relation.relname,
    pg_total_relation_size(relation.oid),
    case
        when parent.inhrelid is null then 'loose'
        when parent.inhdetachpending then 'pending'
        else 'attached'
    end
from pg_class as relation
left join pg_inherits as parent
    on relation.oid = parent.inhrelid
    and parent.inhparent = ('warehouse.' || %(table)s)::regclass
where
    relation.relnamespace = 'warehouse'::regnamespace
    and relation.relkind = 'r'
    and relation.relname ~ %(pattern)s
order by 1
"""
# what lives for an hour need not be vacuumed for the rows that come
_CREATE: Final = """
create table {slice} (like {parent} including defaults including constraints)
with (autovacuum_vacuum_insert_threshold = -1)
"""
_ATTACH: Final = (
    "alter table {parent} attach partition {slice} for values from ({start}) to ({end})"
)
_DETACH: Final = "alter table {parent} detach partition {slice} concurrently"
_FINALIZE: Final = "alter table {parent} detach partition {slice} finalize"
_DROP: Final = "drop table if exists {slice}"
