"""Trips and anomalies of an hour of a large fleet: from its telemetry to the lake.

`python -m bench.judging [VEHICLES] [MINUTES]`: how long a run of `trips_and_anomalies` works on an
hour that holds so much of 12,500 vehicles at 1 Hz, and what it holds in memory.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.fleet_hour import FleetHour
from bench.measure import Measured, alone, measured
from fleet_assets.lake.anomalies import collect_anomalies, hours_to_collect
from fleet_assets.lake.by_onset import stitch_hours
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.rule_anomalies import by_rules
from fleet_assets.lake.segments import refresh_segments
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import by_travel, refresh_trip_segments
from fleet_assets.rules.book import RuleBook, releases
from fleet_assets.rules.resolve import VEHICLE_SCHEMA

KEY: Final = "2026-11-01T05"
TYPES: Final = ("sedan", "suv", "van", "truck")


def main(vehicles: int = 12_500, minutes: int = 60) -> None:
    """Prints a table."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        root = str(Path(folder) / "lake")
        rows = alone(_fill, root, vehicles, minutes)
        table = Table(
            "work", "s", "CPU s", "rows/s of CPU", "most memory", "rows made",
            title=f"an hour of {rows:,} rows, {vehicles:,} vehicles",
        )  # fmt: skip
        for name, work, made in (
            ("segments by rules", _segments, "segments"),
            ("segments of trips", _trip_segments, "trip_segments"),
            ("joined over hours, both", _stitch, "rule_anomalies"),
            ("what counts", _collect, "anomalies"),
        ):
            wall, cpu, memory = alone(work, root, vehicles)
            height = Lake(root).open(made).read().height
            table.add_row(
                name, f"{wall:,.1f}", f"{cpu:,.1f}", f"{rows / cpu:,.0f}",
                f"{memory / 2**30:.2f} GiB", f"{height:,}",
            )  # fmt: skip
        Console(width=120).print(table)


def _fill(root: str, vehicles: int, minutes: int) -> int:
    table = Lake(root).open("telemetry")
    total = 0
    for number, rows in enumerate(FleetHour(KEY, vehicles).batches(minutes * 60)):
        marks = {app_id(KEY): number, rows_id(KEY): number + 1}
        table.commit_files({KEY: [rows]}, table.files.clear(), marks)
        table = Lake(root).open("telemetry")
        total += rows.height
    return total


def _book(vehicles: int) -> RuleBook:
    register = pl.DataFrame({"vehicle_id": [f"veh-{n:06}" for n in range(vehicles)]})
    plain = {name: pl.lit(None, dtype=kind) for name, kind in VEHICLE_SCHEMA.items()} | {
        "vehicle_id": pl.col("vehicle_id"),
        "valid_from": pl.lit(datetime(2026, 1, 1, tzinfo=UTC)),
        "vehicle_type": pl.Series(TYPES).gather([n % 4 for n in range(vehicles)]),
        "status": pl.lit("active"),
    }
    return RuleBook(
        releases(),
        register.select(e.alias(n).cast(VEHICLE_SCHEMA[n]) if isinstance(e, pl.Expr) else e.alias(n)
                        for n, e in plain.items()),
    )  # fmt: skip


def _segments(root: str, vehicles: int) -> Measured:
    book = _book(vehicles)
    return measured(lambda: refresh_segments(Lake(root), KEY, book))


def _trip_segments(root: str, vehicles: int) -> Measured:
    return measured(lambda: refresh_trip_segments(Lake(root), KEY))


def _stitch(root: str, vehicles: int) -> Measured:
    book, lake = _book(vehicles), Lake(root)

    def work() -> None:
        for what in (by_rules(book), by_travel()):
            stitch_hours(lake, what.follows.hours_left(lake), what)

    return measured(work)


def _collect(root: str, vehicles: int) -> Measured:
    lake = Lake(root)
    return measured(lambda: collect_anomalies(lake, hours_to_collect(lake)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
