"""The twelve questions on a large, generated warehouse, and what its loads and builds cost.

`python -m bench.questions [VEHICLES] [DAYS]` (1,000 and 30 unless told; 12,500 and 90 are 27
million vehicle hours). dbt builds the marts; each question is asked again and again. `--plans`
prints the plans. At the end a day goes in by the platform's own load, beside COPY of the same rows
and executemany.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from bench.generated_warehouse import fill
from bench.services import services
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.questions import questions
from fleet_assets.warehouse.copying import copy_rows
from fleet_assets.warehouse.dbt_env import (
    dbt_environment,
    marked_environment,
    touched_environment,
)
from fleet_assets.warehouse.dbt_project import PROJECT_DIR, dbt_executable
from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.mart_marks import TOPICS
from fleet_assets.warehouse.mart_revisions import begin_build, finish_build, warehouse_clock
from fleet_assets.warehouse.migrate import upgrade
from fleet_assets.warehouse.vehicle import Vehicle
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key, hour_start

VEHICLES, DAYS, FLEETS, TIMES = 1_000, 30, 20, 20
MANY: Final = 20_000
FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
TYPES: Final = ("truck", "sedan", "van", "suv")
CONSOLE: Final = Console(width=120)


def main(words: list[str]) -> None:
    """Prints the tables."""
    sizes = [int(word) for word in words if word.isdigit()]
    vehicles, days = (*sizes, *(VEHICLES, DAYS)[len(sizes) :])
    with services() as running:
        url = running.postgres_url
        upgrade(url)
        import_vehicles(url, [_vehicle(number) for number in range(vehicles)], "bench")
        started = time.perf_counter()
        fill(url, FIRST, vehicles, days)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        _told("generated", time.perf_counter() - started)
        state = Path(os.environ["FLEET_HOME"]) / "dbt"
        _told("all marts", _dbt(url, state, None))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        newest = FIRST + timedelta(days=days, hours=-1)
        _told(
            "marts of one day", _dbt(url, state, [newest - timedelta(hours=n) for n in range(24)])
        )
        late = [FIRST + timedelta(days=days // 2)]
        _noted(url, late, lambda: 0.0)  # what is followed for the first time is added up whole
        _told("marts of one late hour", _noted(url, late, lambda: _dbt(url, state, late)))
        _ask(url, plans="--plans" in words)
        _load_beside_others(url, vehicles)


def _vehicle(number: int) -> Vehicle:
    return Vehicle(
        id=f"V-{number:05}", vin=f"1FTEETXX2HB{number:06}", make="Volvo", model="FH", year=2020,
        vehicle_type=TYPES[number % 4], fleet_id=f"fleet-{number % FLEETS:02}",
        time_zone=("America/Chicago", "Europe/Berlin", "UTC")[number % 3], tank_gallons=100.0,
    )  # fmt: skip


def _hour(hour: str, vehicles: int, seed: int) -> dict[LoadedTable, pl.DataFrame]:
    random, start = np.random.default_rng(seed), hour_start(hour)
    ids = [f"V-{number:05}" for number in range(vehicles)]
    engine = random.uniform(600, 3600, vehicles)
    last = start + timedelta(minutes=59)
    seen = _rows(
        "vehicle_hours", vehicles, hour, vehicle_id=ids, hour_start=start, messages=3600,
        first_event_time=start, last_event_time=last, seconds_seen=3600.0,
        distance_miles=engine * 0.008, engine_seconds=engine, idle_seconds=engine * 0.2,
        moving_seconds=engine * 0.8, fuel_used_gallons=engine * 0.0008, speed_avg_mph=engine / 100,
        speed_max_mph=70.0, rpm_avg=1500.0, rpm_max=3000.0, coolant_max_c=90.0,
    )  # fmt: skip
    return {"vehicle_hours": seen}


def _rows(table: str, count: int, hour: str, **values: Any) -> pl.DataFrame:
    """Rows of a table; what is not given is null, or nothing where null is not allowed."""
    contract = TABLE_BY_NAME[table]
    assert set(values) <= set(contract.names), set(values) - set(contract.names)
    made = []
    for column in contract.columns:
        value = values.get(column.name, hour if column.name == "event_hour" else None)
        if value is None and not column.nullable:
            value = "" if column.dtype == pl.String else 0
        many = isinstance(value, list | np.ndarray)
        made.append(
            pl.Series(column.name, value, strict=False).cast(column.dtype)
            if many
            else pl.Series(column.name, [value], dtype=column.dtype, strict=False).new_from_index(
                0, count
            )
        )
    return pl.DataFrame(made)


def _dbt(url: str, state: Path, hours: list[datetime] | None) -> float:
    """Seconds of a build with its tests of data, of hours that are touched and marked."""
    touched = None if hours is None else [hour_key(hour) for hour in hours]
    environment = os.environ | dbt_environment(url, state) | touched_environment(touched)
    marked = None if touched is None else dict.fromkeys(TOPICS, touched)
    environment |= marked_environment(marked)
    command = [dbt_executable(), "build", "--exclude-resource-type", "unit_test"]
    command += ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-2000:])
    return time.perf_counter() - started


def _noted(url: str, hours: list[datetime], work: Callable[[], float]) -> float:
    """Seconds of a build, with those that noting figures and revisions takes around it."""
    keys = [hour_key(hour) for hour in hours]
    started = time.perf_counter()
    build = begin_build(
        url, warehouse_clock(url), keys, timedelta(minutes=10),
        marked=dict.fromkeys(TOPICS, keys),
    )  # fmt: skip
    begun = time.perf_counter() - started
    seconds = work()
    started = time.perf_counter()
    finish_build(url, build)
    return begun + seconds + time.perf_counter() - started


def _told(what: str, seconds: float) -> None:
    CONSOLE.print(f"dbt, {what}: {seconds:.1f} s")


def _ask(url: str, *, plans: bool) -> None:
    table = Table("question", "rows", "median ms", "p95 ms", title=f"each {TIMES} times")
    with psycopg.connect(url, autocommit=True) as connection:
        for asked in questions():
            statement = asked.sql.encode()
            rows = len(connection.execute(statement).fetchall())
            taken = []
            for _ in range(TIMES):
                started = time.perf_counter()
                connection.execute(statement).fetchall()
                taken.append((time.perf_counter() - started) * 1000)
            middle, most = np.percentile(taken, [50, 95])
            words = (f"{asked.number} {asked.title}", f"{rows:,}", f"{middle:,.0f}", f"{most:,.0f}")
            table.add_row(*words)
            if plans:
                CONSOLE.print(asked.title, style="bold")
                explained = connection.execute(b"explain (analyze, buffers) " + statement)
                CONSOLE.print("\n".join(line for (line,) in explained.fetchall()), markup=False)
    CONSOLE.print(table)


def _load_beside_others(url: str, vehicles: int) -> None:
    """Rows a second of a window of a day: ours, COPY alone, and executemany."""
    hours = [hour_key(FIRST + timedelta(hours=number)) for number in range(24)]
    frame = pl.concat([_hour(hour, vehicles, 0)["vehicle_hours"] for hour in hours])
    entries = [LedgerEntry("warehouse", hour, 2, rows=vehicles) for hour in hours]
    names, some = ", ".join(frame.columns), frame.head(MANY)

    def ours() -> None:
        replace_hours(url, {"vehicle_hours": frame}, hours, entries)

    def clear() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(b"delete from warehouse.vehicle_hours where " + window.encode())
            connection.execute("vacuum warehouse.vehicle_hours")

    def peer() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop table if exists bench_hours")
            connection.execute("create table bench_hours (like warehouse.vehicle_hours)")

    def text() -> None:
        rows = io.BytesIO()
        frame.write_csv(rows, include_header=False, null_value=r"\N")
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            words = f"copy bench_hours ({names}) from stdin (format csv, null '\\N')"
            with cursor.copy(words.encode()) as stream:
                stream.write(rows.getvalue())

    def binary() -> None:
        with psycopg.connect(url) as connection:
            copy_rows(connection, sql.Identifier("bench_hours"), frame)

    def many() -> None:
        marks = ", ".join(["%s"] * some.width)
        words = f"insert into bench_hours ({names}) values ({marks})"
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.executemany(words.encode(), some.rows())

    first, last = hour_start(hours[0]), hour_start(hours[-1])
    window = f"hour_start >= '{first}' and hour_start <= '{last}'"
    rates = {
        "platform, a day in place of what was there": frame.height / _seconds(ours),
        "platform, a day that was empty": frame.height / _seconds(ours, clear),
        "COPY of text alone, no key": frame.height / _seconds(text, peer),
        "COPY of binary rows alone, no key": frame.height / _seconds(binary, peer),
        "executemany, no key": some.height / _seconds(many, peer),
    }
    alone = rates["COPY of text alone, no key"]
    table = Table("load of a day's hours", "rows/s", "times COPY of text")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / alone:.2f}")
    CONSOLE.print(table)


def _seconds(work: Callable[[], None], before: Callable[[], None] | None = None) -> float:
    """Median of some rounds, without what is done before each."""
    taken = []
    for _ in range(5):
        if before is not None:
            before()
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


if __name__ == "__main__":
    main(sys.argv[1:])
