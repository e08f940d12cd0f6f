"""Whether history slows the newest hour down: the same batch into lakes of 1, 4 and 16 hours.

Each hour holds two million rows of 12,500 vehicles; a batch is 30 s of the fleet.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.closed_hour import land_rows
from bench.fleet_hour import FleetHour
from bench.prefill import prefill
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from partitions.hours import HOUR, hour_key, hour_start

HISTORY = (1, 4, 16)
ROWS = 2_000_000
VEHICLES = 12_500
BATCHES = 5
NEWEST = "2026-11-01T16"
_GRACE = timedelta(minutes=5)
_NO_TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})


def main(rows: int = ROWS, vehicles: int = VEHICLES) -> None:
    """Prints a table."""
    table = Table(
        "hours in the lake", "rows in the lake", "landing s", "telemetry s", "vehicle_hours s",
        "CPU s in all",
        title=f"{vehicles * 30:,} messages into the newest hour, medians of {BATCHES} batches",
    )  # fmt: skip
    for hours in HISTORY:
        with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
            lake = Lake(f"{folder}/lake")
            ids = [f"veh-{number:06}" for number in range(vehicles)]
            for back in range(hours):
                start = hour_start(NEWEST) - back * HOUR
                prefill(lake, hour_key(start), ids, rows, start + HOUR / 2)
                refresh_vehicle_hours(lake, hour_key(start), _NO_TANKS)
            steps = _batches(lake, vehicles, frozenset(ids))
            medians = [statistics.median(step) for step in zip(*steps, strict=True)]
            table.add_row(f"{hours}", f"{hours * rows:,}", *(f"{m:.2f}" for m in medians))
    Console(width=110).print(table)


def _batches(lake: Lake, vehicles: int, known: frozenset[str]) -> list[tuple[float, ...]]:
    """Per batch the seconds of each step, and the processor's seconds in all."""
    found = []
    batches = FleetHour(NEWEST, vehicles).batches()
    later = pl.col("event_time") + HOUR / 2
    offset = 0
    for _ in range(BATCHES):
        rows, cpu = next(batches).with_columns(later), time.process_time()
        work: tuple[Callable[[], object], ...] = (
            lambda: land_rows(lake.url, rows, offset),  # noqa: B023
            lambda: refresh_hour(lake, NEWEST, known, _GRACE),
            lambda: refresh_vehicle_hours(lake, NEWEST, _NO_TANKS),
        )
        walls = []
        for step in work:
            started = time.perf_counter()
            step()
            walls.append(time.perf_counter() - started)
        offset += rows.height
        found.append((*walls, time.process_time() - cpu))
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
