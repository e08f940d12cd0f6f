"""`python -m bench.recent`: recent telemetry into PostgreSQL, beside COPY, ADBC and executemany.

An hour of the lake goes into slices with their key, as the platform loads it. The peers write rows
of it into a table without any index.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median

import adbc_driver_postgresql.dbapi
import polars as pl
import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from bench.lake_of_rows import START, make
from bench.services import services
from fleet_assets.lake.marks import rows_id
from fleet_assets.lake.store import Lake
from fleet_assets.recent_flow import run_recent
from fleet_assets.telemetry.recent import Limits, recent_form
from fleet_assets.warehouse.copying import copy_rows
from fleet_assets.warehouse.migrate import upgrade
from partitions.hours import hour_key

CONSOLE = Console(width=110)
REPEATS = 3
PEER_ROWS = 200_000
MANY_ROWS = 10_000
OFF = Limits(timedelta(hours=1), timedelta(hours=1), 0)
ALL = Limits(timedelta(hours=2), timedelta(hours=2), 10**12)


def main() -> None:
    """Prints rows a second, and bytes of a million rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=1000)
    asked = parser.parse_args()
    with services() as running, tempfile.TemporaryDirectory(prefix="fleet-recent-") as folder:
        upgrade(running.postgres_url)
        lake = Lake(str(Path(folder) / "lake"))
        make(lake, Path(folder) / "peer", asked.vehicles, 1)
        _count(lake)
        _measure(lake, running.postgres_url)


def _count(lake: Lake) -> None:
    """Gives the hour's rows a number, as a refresh does."""
    table = lake.open("telemetry")
    table.commit_actions([], table.files.clear(), {rows_id(hour_key(START)): 1})


def _measure(lake: Lake, url: str) -> None:
    table = Table("rows", "rows/s", "times COPY alone")
    now = START + timedelta(hours=1)

    def load(limits: Limits = ALL) -> int:
        done = run_recent(
            lake, url, limits, now, None, time_limit=timedelta(hours=1), say=lambda _: None
        )
        return done.came

    rows = recent_form(lake.open("telemetry").read(hour_key(START)).lazy()).collect()
    sample = rows.sample(PEER_ROWS, seed=1).sort("event_time")
    many = sample.head(MANY_ROWS)
    came = 0
    alone = sample.height / _seconds(lambda: _copied(url, sample))
    found: list[tuple[str, float]] = []
    taken = []
    for _ in range(REPEATS):
        load(OFF)
        begun = time.perf_counter()
        came = load()
        taken.append(time.perf_counter() - begun)
    found.append(("platform, a whole hour, with both levels and keys", came / median(taken)))
    with psycopg.connect(url) as connection:
        sizes = connection.execute(_SIZES).fetchall()
    found.append(("platform, COPY into slices with their key", _keyed(url, sample)))
    found.append(("COPY text alone, no index", alone))
    found.append(("ADBC, no index", sample.height / _seconds(lambda: _adbc(url, sample))))
    found.append(("executemany, no index", many.height / _seconds(lambda: _many(url, many))))
    for name, rate in found:
        table.add_row(name, f"{rate:,.0f}", f"{rate / alone:.2f}")
    CONSOLE.print(table)
    for name, size in sizes:
        CONSOLE.print(
            f"{name}: {size / rows.height * 1e6 / 1e6:,.0f} MB per million rows of the lake"
        )


def _keyed(url: str, rows: pl.DataFrame) -> float:
    def work() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("truncate warehouse.telemetry_full")
            begun = time.perf_counter()
            copy_rows(connection, sql.Identifier("warehouse", "telemetry_full"), rows)
            taken.append(time.perf_counter() - begun)
            connection.rollback()

    taken: list[float] = []
    for _ in range(REPEATS):
        work()
    return rows.height / median(taken)


def _empty(connection: psycopg.Connection) -> None:
    connection.execute("drop table if exists peer")
    connection.execute("create table peer (like warehouse.telemetry_full)")


def _copied(url: str, rows: pl.DataFrame) -> None:
    with psycopg.connect(url) as connection:
        _empty(connection)
        copy_rows(connection, sql.Identifier("peer"), rows)


def _adbc(url: str, rows: pl.DataFrame) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("drop table if exists peer")
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("peer", rows.to_arrow(), mode="create")
        connection.commit()


def _many(url: str, rows: pl.DataFrame) -> None:
    marks = ", ".join(["%s"] * rows.width)
    words = f"insert into peer ({', '.join(rows.columns)}) values ({marks})"
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        _empty(connection)
        cursor.executemany(words.encode(), rows.rows())


def _seconds(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return median(taken)


_SIZES = """
select parent.relname, sum(pg_total_relation_size(slice.inhrelid))::bigint
from pg_inherits as slice
inner join pg_class as parent on slice.inhparent = parent.oid
where parent.relname in ('telemetry_full', 'telemetry_minutes')
group by 1 order by 1
"""


if __name__ == "__main__":
    main()
