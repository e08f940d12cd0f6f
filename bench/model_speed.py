"""How fast windows are judged, and what a vehicle costs a day."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.model_drives import Drives, frame_of, material
from fleet_assets.models.artifact import to_bytes
from fleet_assets.models.evidence import GROUP
from fleet_assets.models.isolation import isolation_scores
from fleet_assets.models.releases import Release
from fleet_assets.models.settling import settled
from fleet_assets.models.training import Recipe, train
from fleet_assets.models.vehicle import fit_vehicle

VEHICLES: Final = 200
WINDOWS: Final = 360
"""Of each vehicle: an hour."""
REPEATS: Final = 5
FLEET: Final = 12_500
CONSOLE: Final = Console(width=120)


def print_speed(drives: Drives) -> None:
    """Prints windows per second of processor time, and seconds and bytes of a vehicle."""
    frame, given = frame_of(drives.early), material(drives, (2, 0))
    model = train(given.healthy, given.copies, drives.types, Recipe())
    fleet = _fleet(frame)
    group = {GROUP: model.vehicles[GROUP]}
    strangers = replace(model, vehicles=group)
    own = {f"v{n}": model.vehicles["VH-0001"] for n in range(VEHICLES)}
    specific = replace(model, vehicles=own | group)
    mine = frame.filter(pl.col("vehicle_id") == "VH-0001")
    settling = settled(replace(model, vehicles=group), mine, Recipe()).settlings["VH-0001"]
    later = replace(specific, settlings=dict.fromkeys(own, settling))
    table = Table(
        "what", "windows/s per core", title=f"{VEHICLES} vehicles, {WINDOWS} windows each"
    )
    work: dict[str, Callable[[], object]] = {
        "Isolation Forest": lambda: isolation_scores(model.isolations, fleet, model.types),
        "both models, the group's forests": lambda: strangers.judged(fleet),
        "both models, each vehicle's own forests": lambda: specific.judged(fleet),
        "both models, settled vehicles": lambda: later.judged(fleet),
    }
    for name, do in work.items():
        table.add_row(name, f"{fleet.height / _median(do):,.0f}")
    CONSOLE.print(table)
    seconds = _median(lambda: settled(replace(model, vehicles=group), mine, Recipe()))
    size = len(to_bytes(Release({}, {"VH-0001": settling})))
    CONSOLE.print(
        f"settling a vehicle, once and when it is fitted anew: {seconds:.2f} s, a file of"
        f" {size / 1e6:.2f} MB beside its own"
    )
    seconds = _median(lambda: fit_vehicle(mine, 1))
    size = len(to_bytes(fit_vehicle(mine, 1)))
    CONSOLE.print(
        f"fitting a vehicle on {mine.height:,} windows: {seconds:.2f} s;"
        f" {FLEET:,} vehicles: {FLEET * seconds / 3600:.1f} core-hours a day;"
        f" a file of {size / 1e6:.2f} MB each, {FLEET * size / 1e9:.1f} GB"
    )


def _fleet(frame: pl.DataFrame) -> pl.DataFrame:
    hour = frame.filter(pl.col("vehicle_id") == "VH-0001").head(WINDOWS)
    return pl.concat(
        hour.with_columns(vehicle_id=pl.lit(f"v{number}")) for number in range(VEHICLES)
    )


def _median(do: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        cpu = time.process_time()
        do()
        times.append(time.process_time() - cpu)
    return statistics.median(times)
