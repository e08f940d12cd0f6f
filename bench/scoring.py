"""Features and models of 3 million messages: from the telemetry of an hour to what models find.

`python -m bench.scoring [VEHICLES] [MINUTES]`: an hour of simulated vehicles at 1 Hz goes through
the functions that the platform runs. The model is trained on other days of the first vehicles; the
fleet's vehicles are copies of these under other names, which the model has forests for, so that as
many have forests of their own as in a real fleet. How well it judges is not the question here.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.measure import Measured, alone, measured
from fleet_assets.fleet_sim.simulation import Options, Simulation
from fleet_assets.fleet_sim.to_lake import telemetry_rows
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.feature_windows import refresh_feature_windows
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.model_segments import refresh_model_segments
from fleet_assets.lake.store import Lake
from fleet_assets.model_choice.audit import AuditRow, Serving
from fleet_assets.model_flow.frames import frame_of
from fleet_assets.model_store import load_model, save_model
from fleet_assets.models.evidence import GROUP
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import Copy, Recipe, train
from fleet_assets.scoring.book import ModelBook

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
KEY: Final = "2026-03-05T14"
LEARNT: Final = ("2026-03-03T14", "2026-03-04T14")
SIMULATED: Final = 40
"""Vehicles that truly differ; the fleet is made of copies of them."""
TAUGHT: Final = 8
INTERVAL_MS: Final = 1000
STEP_S: Final = 10
FUNCTIONS: Final = 25
"""So many lines of the profile are printed."""


def main(vehicles: int = 834, minutes: int = 60, profiled: str = "") -> None:
    """Prints a table; with `profile` as the third argument also where the time goes."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        root = str(Path(folder) / "lake")
        rows, model_id = alone(_fill, root, vehicles, minutes)
        windows = vehicles * minutes * 60 // STEP_S
        table = Table(
            "work", "s", "CPU s", "windows/s of CPU", "messages/s of CPU", "most memory",
            title=f"an hour of {rows:,} messages, {vehicles:,} vehicles, about {windows:,} windows",
        )  # fmt: skip
        total = 0.0
        for name, work in (("features", _features), ("both models", _models)):
            wall, cpu, memory = alone(work, root, model_id, vehicles, profiled)
            total += wall
            table.add_row(
                name, f"{wall:,.1f}", f"{cpu:,.1f}", f"{windows / cpu:,.0f}", f"{rows / cpu:,.0f}",
                f"{memory / 2**30:.2f} GiB",
            )  # fmt: skip
        table.add_row("together", f"{total:,.1f}", "", "", "", "")
        Console(width=120).print(table)
        lake = Lake(root)
        told = lake.open("model_hours").read()
        Console(width=120).print(
            f"{lake.open('feature_windows').read(KEY, ['vehicle_id']).height:,} windows,"
            f" {told['windows'].sum():,} judged, {told['unknown_vehicles'].sum():,} vehicles"
            f" without forests of their own, {lake.open('model_segments').read().height:,} alarms"
        )


def _fill(root: str, vehicles: int, minutes: int) -> tuple[int, str]:
    """Telemetry of the hour in the lake, and a model: number of rows, id."""
    options = Options(
        vehicles=SIMULATED, start_ms=round(START.timestamp() * 1000), span_ms=None, seed=5,
        interval_ms=INTERVAL_MS,
    )  # fmt: skip
    simulation = Simulation(options)
    hours = {key: _hour(simulation, key) for key in (*LEARNT, KEY)}
    model_id = save_model(Artifacts(root), _model(pl.concat(hours[key] for key in LEARNT)), {})
    until = datetime.fromisoformat(f"{KEY}:00+00:00") + timedelta(minutes=minutes)
    each = hours[KEY].filter(pl.col("event_time") < until)
    parts = each.partition_by("vehicle_id", maintain_order=True)
    fleet = pl.concat(
        parts[number % SIMULATED].with_columns(vehicle_id=pl.lit(_name(number)))
        for number in range(vehicles)
    )
    table = Lake(root).open("telemetry")
    marks = {app_id(KEY): 1, rows_id(KEY): 1}
    table.commit_files({KEY: [fleet]}, table.files.clear(), marks)
    return fleet.height, model_id


def _hour(simulation: Simulation, key: str) -> pl.DataFrame:
    """Rows of `telemetry` of an hour, by vehicle and time; hours have to come in order."""
    begin = datetime.fromisoformat(f"{key}:00+00:00")
    first = round((begin - START).total_seconds() * 1000)
    simulation.pass_over(first)
    steps = 3_600_000 // INTERVAL_MS
    samples = simulation.samples(first // INTERVAL_MS, first // INTERVAL_MS + steps)
    return telemetry_rows(samples, simulation.fleet)


def _model(rows: pl.DataFrame) -> FleetModel:
    """Learnt from some vehicles."""
    some = rows["vehicle_id"].unique().sort()[:TAUGHT].to_list()
    telemetry = rows.filter(pl.col("vehicle_id").is_in(some)).sort("vehicle_id", "event_time")
    every_day = read_catalogue().model_copy(update={"evaluation_share": 0.0})
    copies = []
    for seed in (1, 2):
        chosen = Chosen(split="train", untouched=0.0)
        changed, truth = inject(telemetry, plan(telemetry, seed, chosen, every_day))
        copies.append(Copy(frame_of(changed, {}), truth))
    recipe = Recipe(folds=2, least_windows=300)
    return train(frame_of(telemetry, {}), copies, dict.fromkeys(some, "truck"), recipe)


def _name(number: int) -> str:
    return f"veh-{number:06}"


def _book(root: str, model_id: str, vehicles: int) -> ModelBook:
    """One model that serves all; each vehicle has the forests of one that was taught."""
    ids = [_name(number) for number in range(vehicles)]
    taught, _ = load_model(Artifacts(root), model_id)
    known = [who for who in taught.vehicles if who != GROUP]
    forests: Mapping[str, object] = {
        who: taught.vehicles[known[number % SIMULATED % len(known)]]
        for number, who in enumerate(ids)
    } | {GROUP: taught.vehicles[GROUP]}
    model = replace(taught, vehicles=forests, types=dict.fromkeys(ids, "truck"))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    row = AuditRow(1, since, since, "bench", "truck", "first", None, Serving(model_id), "bench")
    register = pl.DataFrame({"vehicle_id": ids}).with_columns(
        valid_from=pl.lit(since).dt.cast_time_unit("us"), vehicle_type=pl.lit("truck")
    )
    return ModelBook([row], register, lambda *_: (), lambda *_: model)


def _features(root: str, _: str, __: int, profiled: str) -> Measured:
    return _timed(lambda: refresh_feature_windows(Lake(root), KEY), profiled)


def _models(root: str, model_id: str, vehicles: int, profiled: str) -> Measured:
    book = _book(root, model_id, vehicles)
    return _timed(lambda: refresh_model_segments(Lake(root), KEY, book), profiled)


def _timed(work: object, profiled: str) -> Measured:
    assert callable(work)
    if not profiled:
        return measured(work)
    profile = cProfile.Profile()
    found = measured(lambda: profile.runcall(work))
    pstats.Stats(profile).sort_stats("cumtime").print_stats(FUNCTIONS)
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
