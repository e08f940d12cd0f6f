"""Statistics of partitioned tables as a whole, which PostgreSQL's autovacuum never gathers.

It analyses partitions, not the table that they are of; what joins such a table is then planned by
guesses. See the chapter on routine vacuuming in PostgreSQL's manual.
"""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

from fleet_assets.warehouse.connection import connect_unbound

GROWN: Final = 0.1
"""A table is looked at anew once it has grown, or shrunk, by this share."""
SLICED: Final = ("telemetry_full", "telemetry_minutes")
"""Their partitions come and go every few minutes, and no query joins them by guesses."""
_ONLY_SINCE: Final = 180_000
"""From this release of PostgreSQL on a table can be analysed without its partitions."""


def gather_statistics(postgres_url: str) -> dict[str, int]:
    """Analyses partitioned tables of the warehouse that have changed in size.

    A table that somebody else is working on is left to the next call.

    Returns:
        Rows by table, of those that were analysed.
    """
    done: dict[str, int] = {}
    with connect_unbound(postgres_url) as connection:
        connection.execute("set lock_timeout = '2s'")
        given = {"grown": GROWN, "sliced": list(SLICED)}
        only = "only " if connection.info.server_version >= _ONLY_SINCE else ""
        for schema, table, rows in connection.execute(_DUE, given).fetchall():
            try:
                name = sql.Identifier(schema, table)
                connection.execute(sql.SQL("analyze " + only + "{}").format(name))
            except psycopg.errors.LockNotAvailable:
                continue
            done[f"{schema}.{table}"] = int(rows)
    return done


_DUE: Final = """
select parents.nspname, parents.relname, parents.live
from (
    select
        schemas.nspname,
        parent.relname,
        parent.reltuples,
        (
            select coalesce(sum(stats.n_live_tup), 0)
            from pg_partition_tree(parent.oid) as parts
            inner join pg_stat_all_tables as stats on parts.relid = stats.relid
            where parts.isleaf
        ) as live
    from pg_class as parent
    inner join pg_namespace as schemas on parent.relnamespace = schemas.oid
    where
        parent.relkind = 'p'
        and not parent.relispartition
        and schemas.nspname in ('warehouse', 'marts')
        and parent.relname != all(%(sliced)s)
) as parents
where
    parents.live > 0
    and (
        parents.reltuples < 0
        or abs(parents.live - parents.reltuples) > %(grown)s * parents.reltuples
    )
order by parents.nspname, parents.relname
"""
