"""What a training costs: its set and its models, on 30 days of 100 vehicles at 1 Hz.

`python -m bench.training [VEHICLES] [DAYS] [HOURS A DAY]`. Vehicles drive by random walks (see
lake_of_rows), so figures of models mean nothing here; time and memory do. How much is read does
not grow with the fleet: try 200 vehicles.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from deltalake.transaction import AddAction
from rich.console import Console
from rich.table import Table

from bench.lake_of_rows import START, _write, vehicle
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.incidents import FEEDBACK_SCHEMA
from fleet_assets.model_flow.set_files import read_training_set
from fleet_assets.model_flow.training_sets import SetSettings, make_training_set
from fleet_assets.model_store import save_model
from fleet_assets.models.card import model_card
from fleet_assets.models.training import SAME, train
from partitions.hours import hour_key, hour_start

T = TypeVar("T")
FIRST_HOUR = 8
"""Hour (UTC) at which vehicles begin to drive."""


@dataclass
class Clock:
    """Seconds of what was done, wall and CPU."""

    rows: list[tuple[str, float, float]] = field(default_factory=list)

    def of(self, what: str, work: Callable[[], T]) -> T:
        """Times some work."""
        wall, cpu = time.perf_counter(), time.process_time()
        done = work()
        self.rows.append((what, time.perf_counter() - wall, time.process_time() - cpu))
        return done


def main(vehicles: int = 100, days: int = 30, hours: int = 8) -> None:
    """Prints seconds and memory."""
    console, clock = Console(width=120), Clock()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        rows = clock.of("making the lake", lambda: make(lake, Path(folder), vehicles, days, hours))
        kinds = ("truck", "sedan", "van", "suv")
        types = {vehicle(number): kinds[number % 4] for number in range(vehicles)}
        before = _peak()
        set_id = clock.of(
            "training set",
            lambda: make_training_set(
                lake, types, FEEDBACK_SCHEMA.to_frame(), SetSettings(), _told(console)
            ),
        )
        given = clock.of("reading it", lambda: read_training_set(folder, set_id))
        set_peak = _peak()
        model = clock.of(
            "training",
            lambda: train(given.healthy, given.copies, given.types, SAME, progress=_told(console)),
        )
        card = model_card(model, given.healthy, given.copies, SAME)
        clock.of("saving it", lambda: save_model(Artifacts(folder), model, card))
        size = sum(file.stat().st_size for file in (Path(folder) / "artifacts/models").iterdir())
    table = Table("step", "s", "s of CPU", title=f"{vehicles} vehicles, {days} days: {rows:,} rows")
    for what, wall, cpu in clock.rows:
        table.add_row(what, f"{wall:.0f}", f"{cpu:.0f}")
    console.print(table)
    console.print(
        f"{len(given.types)} vehicles in the set, {given.card['driven_hours']} driven hours,"
        f" {given.healthy.height:,} healthy windows, {given.card['faults']:,} faults;"
        f" model {size / 1e6:.0f} MB; peak memory {before:,.0f} MiB before,"
        f" {set_peak:,.0f} MiB with the set, {_peak():,.0f} MiB with the training"
    )


def make(lake: Lake, folder: Path, vehicles: int, days: int, hours: int) -> int:
    """Hours of driving of each day in `telemetry`, and who was driven in `vehicle_hours`."""
    table, seen = lake.open("telemetry"), lake.open("vehicle_hours")
    root = Path(table.delta.table_uri.removeprefix("file://"))
    peer = folder / "peer"
    peer.mkdir()
    for day in range(days):
        keys, actions = [], []
        for hour in range(FIRST_HOUR, FIRST_HOUR + hours):
            key, path, size, statistics = _write(root, peer, vehicles, day * 24 + hour)
            (peer / f"{key}.parquet").unlink()
            keys.append(key)
            actions.append(AddAction(path, size, {"event_hour": key}, 0, True, statistics))
        lake.open("telemetry").commit_actions(
            actions,
            table.files.clear(),
            {mark(key): 1 for key in keys for mark in (app_id, rows_id)},
        )
        lake.open("vehicle_hours").commit_files(
            {key: [_driven(vehicles, key)] for key in keys},
            seen.files.clear(),
            {app_id(keys[0]): 1},
        )
    newest = hour_key(START + timedelta(days=days))  # the day after has begun
    lake.open("vehicle_hours").commit_files(
        {newest: [_driven(1, newest)]}, seen.files.clear(), {app_id(newest): 1}
    )
    return vehicles * days * hours * 3600


def _driven(vehicles: int, key: str) -> pl.DataFrame:
    """Rows of `vehicle_hours` of vehicles that drove all the hour."""
    contract = TABLE_BY_NAME["vehicle_hours"]
    start = hour_start(key)
    given: dict[str, Any] = {
        "event_hour": key, "hour_start": start, "first_event_time": start, "last_event_time": start,
        "messages": 3600, "engine_seconds": 3600.0, "seconds_seen": 3600.0,
    }  # fmt: skip
    columns = [
        pl.lit(given.get(column.name, None if column.nullable else 0), column.dtype).alias(
            column.name
        )
        for column in contract.columns
        if column.name != "vehicle_id"
    ]
    rows = pl.DataFrame({"vehicle_id": [vehicle(number) for number in range(vehicles)]})
    return rows.with_columns(columns).select(contract.names)


def _told(console: Console) -> Callable[[str, float], None]:
    return lambda what, share: console.print(f"{share:4.0%} {what}")


def _peak() -> float:
    """MiB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*(int(value) for value in sys.argv[1:]))
