"""`python -m bench.question_pictures`: the guide's pictures, from 20 days of a simulated fleet.

Vehicles, trips, faults and what rules find of them are the simulator's and the platform's own.
What the simulator's telemetry does not have is drawn by lot: drivers, refused messages, trouble
codes, vehicles that fall silent.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import psycopg

from bench.services import services
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fleet_sim.simulation import HOUR_MS, Options, Simulation
from fleet_assets.fleet_sim.to_lake import START, simulated_lake
from fleet_assets.lake.store import Lake
from fleet_assets.question_plot import save_plot
from fleet_assets.questions import answer, questions
from fleet_assets.rule_flow import settle, work_hour
from fleet_assets.warehouse.dbt_env import dbt_environment, touched_environment
from fleet_assets.warehouse.dbt_project import PROJECT_DIR, dbt_executable
from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.migrate import upgrade
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.vehicle import Vehicle
from fleet_assets.warehouse.vehicles import import_vehicles

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images" / "questions"
VEHICLES, DAYS, INTERVAL_MS, SEED, FAULTS = 15, 20, 1000, 5, 0.3
HOURS_OF_DAY: Final = (8, 15)
FLEETS: Final = ("north", "south", "west")
SILENT_DAYS: Final = (0, 2, 0, 5, 0, 0, 3, 9)
REASONS: Final = ("invalid_json", "unknown_vehicle", "future", "naive_timestamp")


def main() -> None:
    """Draws them all, and says how large they are."""
    with services() as running, tempfile.TemporaryDirectory(prefix="fleet-pictures-") as folder:
        url, lake = running.postgres_url, Lake(str(Path(folder) / "lake"))
        upgrade(url)
        _timed("telemetry", lambda: _simulate(url, lake))
        _timed("rules", lambda: _judge(url, lake))
        _timed("loads", lambda: _load(url, lake))
        _timed("marts", lambda: _build(url, Path(folder) / "dbt"))
        FOLDER.mkdir(parents=True, exist_ok=True)
        for asked in questions():
            rows, path = answer(url, asked), FOLDER / f"{asked.number:02}-{asked.name}.svg"
            save_plot(asked, rows, path)
            print(f"{path.name}: {rows.height} rows, {path.stat().st_size:,} bytes")


def _timed(what: str, work: Callable[[], None]) -> None:
    began = time.perf_counter()
    work()
    print(f"{what}: {time.perf_counter() - began:.0f} s", flush=True)


def _simulate(url: str, lake: Lake) -> None:
    simulated_lake(
        lake, VEHICLES, DAYS, seed=SEED, faults=FAULTS, hours_of_day=HOURS_OF_DAY,
        interval_ms=INTERVAL_MS,
    )  # fmt: skip
    options = Options(
        vehicles=VEHICLES, start_ms=round(START.timestamp() * 1000), span_ms=HOUR_MS, seed=SEED,
        interval_ms=INTERVAL_MS, parked_every=60, faults=FAULTS,
    )  # fmt: skip
    known = [
        Vehicle(**row | {"fleet_id": FLEETS[number % len(FLEETS)]})
        for number, row in enumerate(Simulation(options).fleet.rows)
    ]
    import_vehicles(url, known, "bench")
    with psycopg.connect(url) as connection:  # known since ever, as in a fleet of some age
        connection.execute("update warehouse.vehicles_history set valid_from = '-infinity'")


def _judge(url: str, lake: Lake) -> None:
    book = rule_book(url)
    for hour in sorted(lake.open("telemetry").files["event_hour"].unique()):
        work_hour(lake, hour, book)
    settle(lake, url, book, None)
    with psycopg.connect(url) as connection:
        connection.execute(_DRIVERS)
        connection.execute(_MONTHS)
        connection.execute(_CODES)


def _load(url: str, lake: Lake) -> None:
    random = np.random.default_rng(SEED)
    hours = lake.open("vehicle_hours").read().sort("event_hour", "vehicle_id")
    for vehicle_id, days in zip(hours["vehicle_id"].unique().sort(), SILENT_DAYS, strict=False):
        until = START + timedelta(days=DAYS - days)
        hours = hours.filter((pl.col("vehicle_id") != vehicle_id) | (pl.col("hour_start") < until))
    for day in range(DAYS):
        start = START + timedelta(days=day)
        rows = hours.filter(
            pl.col("hour_start").is_between(start, start + timedelta(days=1), "left")
        )
        keys = rows["event_hour"].unique().to_list()
        frames: dict[LoadedTable, pl.DataFrame] = {
            "vehicle_hours": rows, "vehicle_outcomes": _outcomes(rows, random),
        }  # fmt: skip
        replace_hours(url, frames, keys, [LedgerEntry("warehouse", key, 1) for key in keys])


def _outcomes(rows: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    shares = np.array([0.004, 0.002, 0.001, 0.0005]) * random.uniform(0.3, 1.7, 4)
    refused = random.poisson(rows["messages"].to_numpy()[:, None] * shares)
    names = TABLE_BY_NAME["vehicle_outcomes"]
    made = rows.select(
        "event_hour", "vehicle_id", accepted="messages",
        rejected=pl.Series(refused.sum(axis=1)), duplicate=pl.lit(0), pending=pl.lit(0),
        late=pl.lit(0), replayed=pl.lit(0), newest_append_time="last_event_time",
        rejected_by_reason=pl.Series(
            [json.dumps({r: int(n) for r, n in zip(REASONS, line, strict=True) if n})
             for line in refused]
        ),
    )  # fmt: skip
    return made.with_columns(read=pl.col("accepted") + pl.col("rejected")).select(
        pl.col(column.name).cast(column.dtype) for column in names.columns
    )


def _build(url: str, state: Path) -> None:
    environment = os.environ | dbt_environment(url, state) | touched_environment(None)
    command = [dbt_executable(), "build", "--exclude-resource-type", "unit_test", "test"]
    command += ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-2000:])


_DRIVERS = """
update warehouse.trips
set driver_id = 'driver-' || (11 + abs(hashtext(vehicle_id || started_at::date)) % 20)
"""
# two of three vehicles tell one of four codes, each from a day of its own on; a row without a code
# says that the vehicle told codes in that hour
_CODES = """
insert into warehouse.vehicle_codes (
    event_hour, hour_start, vehicle_id, code, first_seen, last_seen
)
select
    event_hour, hour_start, vehicle_id, code, hour_start, hour_start + interval '59 minutes'
from (select distinct event_hour, hour_start, vehicle_id from warehouse.trips) as hours
cross join lateral unnest(array[
    null, (array['P0171', 'P0300', 'P0420', 'U0100'])[1 + abs(hashtext(vehicle_id)) % 4]
]) as codes (code)
where
    abs(hashtext(vehicle_id)) % 3 < 2
    and hour_start > timestamptz '2026-03-05' + abs(hashtext(vehicle_id)) % 12 * interval '1 day'
on conflict do nothing
"""
_MONTHS = """
select
    warehouse.ensure_month_partitions('warehouse.vehicle_codes', min(hour_start), max(hour_start))
from warehouse.trips
"""


if __name__ == "__main__":
    main()
