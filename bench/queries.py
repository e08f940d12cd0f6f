"""Questions to a lake of 50 million rows: through the public way, beside plain Parquet files.

The lake lies as upkeep leaves closed hours; the peers read the same rows from files written with
the defaults in order of arrival, which is what a consumer without a lake would keep.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from bench.lake_of_rows import make, vehicle
from fleet_assets.lake.store import Lake
from fleet_assets.notebook import connect

VEHICLES = 580
HOURS = 24
"""580 vehicles, a row a second, for a day: 50,112,000 rows."""
POINTS = 500
ROUNDS = 5
WARM_UP = 3
"""Questions of each round that are asked once more beforehand."""
PEER_EVERY = 10
"""Peers, which take long, are asked one question of so many."""
REPEATS = 10
_FIRST, _LAST = "2026-03-02 04:00:00Z", "2026-03-02 10:00:00Z"
_SIX_HOURS = (
    "SELECT event_time, speed, engine_rpm FROM telemetry WHERE vehicle_id = '{0}'"
    f" AND event_time >= '{_FIRST}' AND event_time < '{_LAST}'"
)
_WHOLE_FLEET = {
    "avg speed, max rpm of each vehicle": "vehicle_id",
    "avg speed, max rpm of each hour": "event_hour",
}
Ask = Callable[[str], pl.DataFrame]


def main(vehicles: int = VEHICLES, hours: int = HOURS) -> None:
    """Makes the lake and the peer's files, asks, and prints one table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lake, peer = Lake(str(root / "lake")), root / "peer"
        started = time.perf_counter()
        rows = make(lake, peer, vehicles, hours)
        Console().print(f"{rows:,} rows made in {time.perf_counter() - started:.0f} s")
        sizes = [sum(f.stat().st_size for f in p.rglob("*.parquet")) for p in (root / "lake", peer)]
        with connect(lake.url) as db, duckdb.connect() as plain:
            plain.execute("SET TimeZone = 'UTC'")
            plain.execute(f"CREATE VIEW telemetry AS FROM '{peer}/*.parquet'")
            asks: dict[str, Ask] = {
                "fleet": lambda query: db.sql(query).pl(),
                "DuckDB, plain Parquet": lambda query: plain.sql(query).pl(),
            }
            _report(asks, peer, vehicles, rows, sizes)


def _report(asks: dict[str, Ask], peer: Path, vehicles: int, rows: int, sizes: list[int]) -> None:
    table = Table(
        "question", "by", "median ms", "p99 ms", "CPU ms", "against fleet",
        title=f"{rows:,} rows, warm; fleet {sizes[0] / 1e6:,.0f} MB,"
        f" plain Parquet {sizes[1] / 1e6:,.0f} MB",
    )  # fmt: skip
    ids = [vehicle(number * 37 % vehicles) for number in range(POINTS)]
    points: dict[str, list[Callable[[], pl.DataFrame]]] = {
        name: [lambda ask=ask, i=i: ask(_SIX_HOURS.format(i)) for i in ids]  # type: ignore[misc]
        for name, ask in asks.items()
    }
    points["Polars, plain Parquet"] = [lambda i=i: _polars(peer, i) for i in ids]  # type: ignore[misc]
    _measure(table, "one vehicle, 6 h", points, PEER_EVERY)
    for question, by in _WHOLE_FLEET.items():
        query = f"SELECT {by}, avg(speed), max(engine_rpm) FROM telemetry GROUP BY ALL ORDER BY ALL"
        whole = {name: [lambda a=ask, q=query: a(q)] * REPEATS for name, ask in asks.items()}  # type: ignore[misc]
        _measure(table, question, whole, 1)
    Console().print(table)


def _measure(
    table: Table, question: str, by: dict[str, list[Callable[[], pl.DataFrame]]], peer_every: int
) -> None:
    """Asks in rounds, so that all meet the same noise, and warm; their answers must be the same.

    Within a round one asks after the other: a peer that reads all files leaves no cache as it was.
    """
    walls: dict[str, list[float]] = {name: [] for name in by}
    cpus: dict[str, list[float]] = {name: [] for name in by}
    heights: dict[int, int] = {}
    for round_ in range(ROUNDS):
        for name, asks in by.items():
            mine = list(enumerate(asks))[round_::ROUNDS][:: 1 if name == "fleet" else peer_every]
            for _, ask in mine[:WARM_UP]:
                ask()
            for number, ask in mine:
                wall, cpu = time.perf_counter(), time.process_time()
                answer = ask()
                walls[name].append((time.perf_counter() - wall) * 1000)
                cpus[name].append((time.process_time() - cpu) * 1000)
                if heights.setdefault(number, answer.height) != answer.height:
                    raise AssertionError(f"{question}: answers differ")
    ours = statistics.median(walls["fleet"])
    for name in by:
        median = statistics.median(walls[name])
        table.add_row(
            question, name, f"{median:,.1f}", f"{np.percentile(walls[name], 99):,.1f}",
            f"{statistics.median(cpus[name]):,.1f}", f"{median / ours:.1f} ×",
        )  # fmt: skip


def _polars(peer: Path, vehicle_id: str) -> pl.DataFrame:
    first, last = (datetime.fromisoformat(moment) for moment in (_FIRST, _LAST))
    time_of = pl.col("event_time")
    return (
        pl.scan_parquet(peer / "*.parquet")
        .filter(pl.col("vehicle_id") == vehicle_id, time_of >= first, time_of < last)
        .select("event_time", "speed", "engine_rpm")
        .collect()
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
