"""How good the models are on real trips with injected faults, beside simpler detectors.

`python -m bench.models [known] [unseen] [simulated] [speed]` (all unless told). Known: learnt from
a vehicle's earlier days, judged on its later ones. Unseen: learnt from the other vehicles; once as
on the first day (`cold`), once with the vehicle's own healthy days, of which no fault was ever seen
(`settled`). Simulated: as known, on vehicles of the simulator, which count for nothing alone.
Sizes and lengths of faults, base drives and the family `gain` are never shared with training.

`python -m bench.models simple`: known vehicles by the detectors that need no faults to learn from.
PyOD runs where `make .venv-pyod/.installed` has made its environment.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from bench.model_drives import (
    UNTOUCHED,
    Drives,
    Faulty,
    Material,
    frame_of,
    material,
    real_drives,
    with_faults,
)
from bench.model_speed import print_speed
from bench.pyod_scores import PyodScores, is_there
from bench.real_rules import HEALTH_TYPES, real_findings, vehicle_hours
from bench.simulated_drives import simulated_drives
from fleet_assets.models.alarms import USUAL, alarms_of, threshold_for
from fleet_assets.models.detector import budget_of
from fleet_assets.models.evaluation import (
    SPAN_SCHEMA,
    Outcome,
    Quality,
    by_kind,
    by_magnitude,
    quality,
    reliability,
)
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.isolation import isolation_scores
from fleet_assets.models.kinds import AFTERMATH, HEALTHY, labels_of
from fleet_assets.models.settling import settled as settle
from fleet_assets.models.training import Recipe, train
from fleet_assets.models.zscore import fit_z_scores

JUDGED_SEEDS: Final = range(101, 109)
HELD_OUT: Final = ("VH-0001", "VH-0006", "VH-0007")
"""Vehicles with enough hours to be held out one after the other."""
RECIPE: Final = Recipe()
CONSOLE: Final = Console(width=150)
GOALS: Final[Mapping[str, tuple[str, Callable[[float], bool]]]] = {
    "clear_recall": (">= 0.80", lambda value: value >= 0.8),
    "precision": (">= 0.80", lambda value: value >= 0.8),
    "delay_s": ("< 30", lambda value: value < 30),
    "false_alarms_per_hour": ("<= 0.1", lambda value: value <= 0.1),
    "false_windows": ("< 0.002", lambda value: value < 0.002),
}
TWO_OF_THREE: Final = dataclasses.replace(USUAL, sure=np.inf)
"""How simple detectors alarm: their scores are no odds, so none of them is sure."""
Scores = Callable[[pl.DataFrame], pl.DataFrame]
"""From a model frame to `vehicle_id`, `window_end` and `score`, an alarm from 1 on."""


def main(wanted: Sequence[str]) -> None:
    """Prints the tables."""
    if not wanted or "simulated" in wanted:
        simulated = simulated_drives()
        model = trained(simulated, material(simulated))
        judge("SIMULATED vehicles, later days", [(simulated, model)], details=False)
    if set(wanted) == {"simulated"}:
        return
    drives = real_drives()
    if drives.early.is_empty():
        CONSOLE.print("The real trips are not there.")
        return
    if "simple" in wanted:
        judge("known vehicles, later days, without training", [(drives, None)], details=False)
    if not wanted or {"known", "unseen"} & set(wanted):
        given = material(drives)
    if not wanted or "known" in wanted:
        model = trained(drives, given)
        judge("known vehicles, later days", [(drives, model)], details=True)
    if not wanted or "unseen" in wanted:
        cold, settled = [], []
        for who in HELD_OUT:
            others = drives.of([name for name in drives.vehicle_ids if name != who])
            model, mine = trained(others, given), drives.of([who])
            cold.append((mine, model))
            settled.append((mine, settle(model, frame_of(mine.early), RECIPE)))
        judge("unseen vehicles, first day (cold)", cold, details=False)
        judge("unseen vehicles, with healthy days of their own (settled)", settled, details=True)
    if not wanted or "speed" in wanted:
        print_speed(drives)


def trained(drives: Drives, given: Material) -> FleetModel:
    """Models of some vehicles' early days."""
    started, cpu = time.perf_counter(), time.process_time()
    mine = given.of(drives.vehicle_ids)
    model = train(mine.healthy, mine.copies, drives.types, RECIPE)
    CONSOLE.print(
        f"trained on {', '.join(drives.vehicle_ids)}:"
        f" {sum(copy.truth.height for copy in mine.copies)} faults,"
        f" {time.perf_counter() - started:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
    )
    return model


def judge(title: str, cases: Sequence[tuple[Drives, FleetModel | None]], *, details: bool) -> None:
    """Prints the figures of all detectors over some cases together."""
    passes: dict[str, list[Outcome]] = {}
    quiet: dict[str, list[Outcome]] = {}
    hours = 0.0
    for drives, model in cases:
        hours += float(vehicle_hours(drives.later)["hours"].sum())
        faulty = [with_faults(drives.later, s, UNTOUCHED) for s in JUDGED_SEEDS]
        healthy = with_faults(drives.later, 0, 1.0)
        for name, outcome in _detectors(drives, model).items():
            passes.setdefault(name, []).extend(outcome(each) for each in faulty)
            quiet.setdefault(name, []).append(outcome(healthy))
    found = {name: _quality(passes[name], quiet[name], hours) for name in passes}
    _print_quality(f"{title}: {hours:.1f} untouched vehicle-hours", found)
    if details:
        _print_kinds(passes["models"])
        _print_frame("recall by kind and quarter of magnitudes", by_magnitude(passes["models"]))
        _print_frame("reliability of confidence", _reliability(passes["models"]))


def _quality(passes: Sequence[Outcome], quiet: Sequence[Outcome], hours: float) -> Quality:
    scores = [each.scores for each in quiet if each.scores is not None]
    untouched = pl.concat([each.alarms.select(SPAN_SCHEMA) for each in quiet])
    return quality(passes, untouched, hours, pl.concat(scores) if scores else None)


def _detectors(drives: Drives, model: FleetModel | None) -> dict[str, Callable[[Faulty], Outcome]]:
    """What is compared; all thresholds keep to the same alarm budget on the early days."""
    early = frame_of(drives.early)
    simple = {"z-score": _by_scores(fit_z_scores(early).scores, early)}
    if is_there():
        simple["PyOD (ECOD)"] = _by_scores(PyodScores(early), early)
    return simple if model is None else _with_models(drives, model, early) | simple


def _with_models(
    drives: Drives, model: FleetModel, early: pl.DataFrame
) -> dict[str, Callable[[Faulty], Outcome]]:
    def isolation(frame: pl.DataFrame) -> np.ndarray:
        return isolation_scores(model.isolations, frame, drives.types)

    def judged(given: Faulty) -> Outcome:
        scores = model.judged(given.copy.frame)
        return Outcome(alarms_of(scores, 1.0), given.copy.truth, scores)

    def rules(given: Faulty) -> Outcome:
        return Outcome(_rule_alarms(given.telemetry, drives.vehicles), given.copy.truth)

    def both(given: Faulty) -> Outcome:
        parts = [judged(given).alarms, rules(given).alarms]
        return Outcome(pl.concat([part.select(SPAN_SCHEMA) for part in parts]), given.copy.truth)

    return {
        "models": judged,
        "rules alone": rules,
        "models and rules": both,
        "Isolation Forest alone": _by_scores(isolation, early),
    }


def _by_scores(
    scores: Callable[[pl.DataFrame], np.ndarray], early: pl.DataFrame
) -> Callable[[Faulty], Outcome]:
    """A detector of scores with the threshold that the budget allows on the early days."""

    def of(frame: pl.DataFrame) -> pl.DataFrame:
        named = frame.select("vehicle_id", "window_end")
        return named.with_columns(score=pl.Series(scores(frame)))

    most = budget_of(early, RECIPE.alarms_per_vehicle_day)
    threshold = threshold_for(of(early), most, TWO_OF_THREE)

    def outcome(given: Faulty) -> Outcome:
        told = of(given.copy.frame).with_columns(pl.col("score") / threshold)
        return Outcome(alarms_of(told, 1.0, TWO_OF_THREE), given.copy.truth, told)

    return outcome


def _rule_alarms(telemetry: pl.DataFrame, vehicles: pl.DataFrame) -> pl.DataFrame:
    """Findings of the mechanical, GPS and sensor types."""
    found = real_findings(telemetry, vehicles)
    return found.filter(pl.col("anomaly_type").is_in(HEALTH_TYPES)).select(SPAN_SCHEMA)


def _print_quality(title: str, found: Mapping[str, Quality]) -> None:
    names = [field.name for field in dataclasses.fields(Quality)]
    table = Table("figure", "goal", *found, title=title)
    for name in names:
        goal, met = GOALS.get(name, ("", lambda _: True))
        values = [getattr(each, name) for each in found.values()]
        shown = [
            "–" if np.isnan(value) else f"{value:.4g}" + ("" if met(value) else " ✗")
            for value in values
        ]
        table.add_row(name, goal, *shown)
    CONSOLE.print(table)
    if not is_there():
        CONSOLE.print("PyOD is not installed: `make .venv-pyod/.installed` makes its environment.")


def _print_kinds(passes: Sequence[Outcome]) -> None:
    _print_frame("found by kind and signal", by_kind(passes))


def _print_frame(title: str, frame: pl.DataFrame) -> None:
    table = Table(*frame.columns, title=title)
    for row in frame.iter_rows():
        table.add_row(*("–" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v)
                        for v in row))  # fmt: skip
    CONSOLE.print(table)


def _reliability(passes: Sequence[Outcome]) -> pl.DataFrame:
    parts = []
    for each in passes:
        if each.scores is not None:
            fault = labels_of(each.scores, each.truth)["fault"]
            told = each.scores.select("confidence").with_columns(fault=fault)
            parts.append(told.filter(pl.col("fault") != AFTERMATH).drop_nulls())
    every = pl.concat(parts)
    return reliability(every["confidence"], every["fault"] != HEALTHY)


if __name__ == "__main__":
    main(sys.argv[1:])
