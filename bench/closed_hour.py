"""A closed hour of a large fleet: made from all its messages, compacted, corrected by late rows.

`python -m bench.closed_hour [VEHICLES]`: 12,500 vehicles at 1 Hz are 45 million messages, which lie
in `raw_telemetry` as landings of 30 s have left them. Needs 10 GB under the folder for temporary
files, which is removed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.fleet_hour import FleetHour
from bench.measure import Measured, alone, measured
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.upkeep import UpkeepPolicy, keep_up
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.telemetry.placement import TimePolicy, place
from fleet_assets.telemetry.source import Source
from partitions.hours import HOUR, hour_start

KEY: Final = "2026-11-01T05"
VEHICLES: Final = 12_500
LATE: Final = {"1 late row": 1, "10,000 late rows": 10_000, "400,000 late rows": 400_000}
_GRACE: Final = timedelta(minutes=5)
_SOURCE: Final = Source("bench", "bench")
_TIMES: Final = TimePolicy(hour_start("2026-01-01T00"), _GRACE)
_NO_TANKS: Final = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})


def main(vehicles: int = VEHICLES) -> None:
    """Prints a table."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        root = str(Path(folder) / "lake")
        messages = alone(_land_hour, root, vehicles)
        work: dict[str, tuple[Callable[..., Measured], tuple[object, ...]]] = {
            "the hour from all its messages": (_rebuild, (root, vehicles)),
            "vehicle_hours of it": (_vehicle_hours, (root,)),
            "compaction": (_compact, (root,)),
        }
        for number, (name, rows) in enumerate(LATE.items()):
            work[f"{name}: telemetry"] = (_late, (root, vehicles, rows, number))
            work[f"{name}: vehicle_hours"] = (_vehicle_hours, (root,))
        work["full rebuild, beside what is there"] = (_rebuild, (root, vehicles))
        table = Table(
            "work", "s", "CPU s", "most memory", "files of telemetry",
            title=f"a closed hour of {messages:,} messages, {vehicles:,} vehicles",
        )  # fmt: skip
        for name, (do, arguments) in work.items():
            wall, cpu, memory = alone(do, *arguments)
            files = Lake(root).open("telemetry").files.height
            table.add_row(
                name, f"{wall:,.1f}", f"{cpu:,.1f}", f"{memory / 2**30:.2f} GiB", f"{files:,}"
            )
            Console().print(f"{name}: {wall:,.1f} s")
        Console(width=110).print(table)


def _known(vehicles: int) -> frozenset[str]:
    return frozenset(f"veh-{number:06}" for number in range(vehicles))


def _land_hour(root: str, vehicles: int) -> int:
    """Lands all messages of the hour, and returns how many."""
    offset = 0
    for rows in FleetHour(KEY, vehicles).batches():
        offset = land_rows(root, rows, offset)
    return offset


def land_rows(root: str, rows: pl.DataFrame, offset: int) -> int:
    """Lands rows of telemetry as messages from an offset on; returns the next offset."""
    end = offset + rows.height
    arrived = rows.select(
        append_time=pl.col("event_time") + timedelta(seconds=1),
        key=pl.lit(None, dtype=pl.Binary),
        value=_messages(rows),
    )
    placed = place(arrived, _TIMES).with_columns(
        kafka_topic_id=pl.lit(_SOURCE.topic_id),
        kafka_partition=pl.lit(0, dtype=pl.Int32),
        kafka_offset=pl.int_range(offset, end, dtype=pl.Int64),
        offset_start=pl.lit(offset, dtype=pl.Int64),
        offset_end=pl.lit(end, dtype=pl.Int64),
    )
    land(Lake(root), _SOURCE, {0: (offset, end)}, placed)
    return end


def _messages(rows: pl.DataFrame) -> pl.Expr:
    """Rows as the vehicles would have sent them."""

    def number(name: str, key: str) -> pl.Expr:
        return pl.col(name).cast(pl.Float64).alias(key)

    plain = [
        "engine_rpm", "speed", "throttle_position", "coolant_temp", "fuel_level", "odometer",
    ]  # fmt: skip
    message = pl.struct(
        "vehicle_id",
        pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").alias("timestamp"),
        *(number(name, name) for name in plain),
        pl.struct(number("gps_lat", "lat"), number("gps_lon", "lon")).alias("gps"),
        pl.struct(*(number(f"accel_{axis}", axis) for axis in "xyz")).alias("accelerometer"),
    )
    return message.struct.json_encode().cast(pl.Binary)


def _rebuild(root: str, vehicles: int) -> Measured:
    return measured(
        lambda: refresh_hour(Lake(root), KEY, _known(vehicles), _GRACE, force_rebuild=True)
    )


def _vehicle_hours(root: str) -> Measured:
    return measured(lambda: refresh_vehicle_hours(Lake(root), KEY, _NO_TANKS))


def _compact(root: str) -> Measured:
    policy = UpkeepPolicy(_GRACE, vacuum_retention=timedelta(days=1))
    return measured(
        lambda: keep_up(Lake(root), policy, hour_start(KEY) + 2 * HOUR + _GRACE, thorough=True)
    )


def _late(root: str, vehicles: int, most: int, number: int) -> Measured:
    """Rows of anywhere in the hour, which nobody has sent yet, and duplicates of none."""
    batch = next(FleetHour(KEY, vehicles).batches())
    shifted = batch.sample(min(most, batch.height), with_replacement=False, seed=number)
    moved = pl.int_range(pl.len()) * 7919 % 3_500_000
    rows = shifted.with_columns(
        pl.col("event_time") + pl.duration(milliseconds=moved, microseconds=number + 1)
    )
    lake = Lake(root)
    offset = int(lake.open("landings").read()["offset_end"].max() or 0)
    land_rows(root, rows, offset)
    return measured(lambda: refresh_hour(lake, KEY, _known(vehicles), _GRACE))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
