"""`vehicle_hours` of an hour of a large fleet: brought up to date, made anew, beside a plain pass.

`python -m bench.vehicle_hours [VEHICLES]`; the hour of 12,500 vehicles takes 1.5 GB under the
folder for temporary files, which is removed. The plain pass, which needs about 300 bytes a row, is
left out where the memory for it is not free.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

from bench.fleet_hour import FleetHour
from bench.measure import Measured, alone, measured
from fleet_assets.lake.hour_states import states_after
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.telemetry.hour_states import no_states
from fleet_assets.telemetry.samples import NEEDED

HOUR: Final = "2026-11-01T05"
STEPS: Final = 3
VEHICLES: Final = 12_500
PEER_ROW_BYTES: Final = 300
_NO_TANKS: Final = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})


def main(vehicles: int = VEHICLES) -> None:
    """Prints one table."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        root = str(Path(folder) / "lake")
        last = list(alone(_make, root, vehicles))
        runs = {
            f"the last {STEPS} batches of 30 s, one after the other": [
                measured for path in last for measured in [alone(_step, root, path)]
            ],
            "the same hour from all its rows": [alone(_anew, root)],
        }
        rows = int(Lake(root).open("telemetry").files["num_records"].sum())
        if rows * PEER_ROW_BYTES < psutil.virtual_memory().available:
            runs["peer: one Polars pass over the hour"] = [alone(_plain, root)]
    table = Table(
        "work", "median s", "median CPU s", "most memory",
        title=f"vehicle_hours of {rows:,} rows, {vehicles:,} vehicles, 3 % of the rows late",
    )  # fmt: skip
    for name, found in runs.items():
        wall, cpu, memory = (statistics.median(run[i] for run in found) for i in range(3))
        table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}", f"{memory / 2**30:.2f} GiB")
    Console().print(table)


def _make(root: str, vehicles: int) -> list[str]:
    """The hour without its last batches, its states, and the files of those batches."""
    lake, kept = Lake(root), list[pl.DataFrame]()
    batches = list[str]()
    for number, rows in enumerate(FleetHour(HOUR, vehicles).batches(), start=1):
        kept.append(rows)
        if len(kept) > STEPS:
            _append(lake, kept.pop(0), number - STEPS)
    refresh_vehicle_hours(lake, HOUR, _NO_TANKS)
    for number, rows in enumerate(kept):
        batches.append(f"{root}-{number}.parquet")
        rows.write_parquet(batches[-1])
    return batches


def _append(lake: Lake, rows: pl.DataFrame, version: int) -> None:
    telemetry = lake.open("telemetry")
    marks = {app_id(HOUR): version, rows_id(HOUR): telemetry.version + 1}
    telemetry.commit_files({HOUR: [rows]}, telemetry.files.clear(), marks)


def _step(root: str, path: str) -> Measured:
    lake = Lake(root)
    version = lake.open("telemetry").committed(app_id(HOUR)) or 0
    _append(lake, pl.read_parquet(path), version + 1)
    return measured(lambda: refresh_vehicle_hours(lake, HOUR, _NO_TANKS))


def _anew(root: str) -> Measured:
    lake = Lake(root)
    return measured(lambda: states_after(lake.open("telemetry"), None, no_states(), HOUR))


def _plain(root: str) -> Measured:
    return measured(lambda: _plain_pass(Lake(root).open("telemetry").read(HOUR, columns=NEEDED)))


def _plain_pass(telemetry: pl.DataFrame) -> pl.DataFrame:
    """Part of the same figures by windows over all rows, as one would write it first."""
    speed, rpm, hold = pl.col("speed"), pl.col("engine_rpm"), pl.col("hold")
    time_to_next = pl.col("event_time").shift(-1) - pl.col("event_time")
    return (
        telemetry.sort("vehicle_id", "event_time")
        .with_columns(speed.cast(pl.Float64), rpm.cast(pl.Float64))
        .with_columns(gap=(time_to_next.dt.total_microseconds() / 1e6).over("vehicle_id"))
        .with_columns(usual=pl.col("gap").median().over("vehicle_id").fill_null(1.0).clip(0, 60))
        .with_columns(
            hold=pl.when(pl.col("gap") <= (pl.col("usual") * 3).clip(5, 60))
            .then("gap")
            .otherwise("usual")
        )
        .group_by("vehicle_id")
        .agg(
            messages=pl.len(),
            seconds_seen=hold.sum(),
            distance_miles=(speed * hold).sum() / 3600,
            engine_seconds=hold.filter(rpm > 0).sum(),
            idle_seconds=hold.filter((rpm > 0) & (speed < 1)).sum(),
            moving_seconds=hold.filter(speed >= 1).sum(),
            speed_avg_mph=(speed * hold).sum() / hold.sum(),
            speed_max_mph=speed.max(),
            rpm_max=rpm.max(),
            coolant_max_c=pl.col("coolant_temp").max(),
            first_lat=pl.col("gps_lat").drop_nulls().first(),
            last_lat=pl.col("gps_lat").drop_nulls().last(),
            odometer_first_mi=pl.col("odometer").drop_nulls().first(),
            odometer_last_mi=pl.col("odometer").drop_nulls().last(),
        )
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
