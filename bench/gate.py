"""`make backtest`: the working catalogue of rules against the last released one; fails past gates.

On simulated fleets with faults of known kind and time (late, repeated and spoilt messages among
them), and on the real trips of healthy cars where they are there. Scripted drives are unit tests.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import typer
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from bench.real_rules import (
    real_findings,
    real_telemetry,
    real_vehicles,
    telemetry_of,
    vehicle_hours,
)
from fleet_assets.commands import simulate
from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.truth import read_truth
from fleet_assets.rules.backtest import compare, report
from fleet_assets.rules.catalogue import CATALOGUE, Catalogue, read_catalogue
from fleet_assets.rules.gate import (
    against_truth,
    broken_by_alarms,
    broken_by_growth,
    broken_by_truth,
    last_release,
    read_gates,
    rules_against_truth,
)
from fleet_assets.rules.resolve import VEHICLE_SCHEMA

SEEDS: Final = (3, 11)
VEHICLES: Final = 80
SPAN: Final = "3h"
_BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)


def main(proposed: str | None = None) -> int:
    """Prints what was measured and what is broken; 1 if anything is."""
    catalogue = read_catalogue(Path(proposed) if proposed else CATALOGUE)
    released = read_catalogue(last_release())
    gates, console = read_gates(), Console(width=110)
    if catalogue.release == released.release and catalogue != released:
        console.print("the rules differ from their release: raise `release` before they go live")
    console.print(f"release {catalogue.release}, against the released {released.release}")
    simulated = [_simulated(seed) for seed in SEEDS]
    truth = pl.concat([truth for _, _, truth in simulated])
    found, before = (
        pl.concat([real_findings(rows, vehicles, rules) for rows, vehicles, _ in simulated])
        for rules in (catalogue, released)
    )
    measured = against_truth(found, truth)
    _print(console, measured, "simulated fleets with known faults")
    _print(console, _beside_catalogue(found, truth, catalogue), "precision by rule")
    broken = broken_by_truth(gates, measured)
    real = real_telemetry()
    if real.is_empty():
        console.print("The real trips are not there: false alarms are not measured.")
    else:
        hours = float(vehicle_hours(real)["hours"].sum())
        on_real, on_real_before = (
            real_findings(real, real_vehicles(), rules) for rules in (catalogue, released)
        )
        broken += broken_by_alarms(gates, on_real, hours)
        by_type = on_real.group_by("anomaly_type").len("findings").sort("anomaly_type")
        rates = by_type.with_columns(per_vehicle_hour=(pl.col("findings") / hours).round(3))
        _print(console, rates, f"real trips, {hours:.0f} vehicle-hours of healthy cars")
        found, before = pl.concat([found, on_real]), pl.concat([before, on_real_before])
    broken += broken_by_growth(gates, before, found)
    changes = report(compare(before, found), 1.0)
    console.print(f"{changes.changes} findings differ from those by the last release")
    for line in broken:
        console.print(f"[red]broken[/red] {line}", highlight=False)
    console.print("all gates are kept" if not broken else f"{len(broken)} gates are broken")
    return 1 if broken else 0


def _beside_catalogue(
    found: pl.DataFrame, truth: pl.DataFrame, catalogue: Catalogue
) -> pl.DataFrame:
    """What was measured of each rule, and what its confidence goes by."""
    stated = {
        rule.id: f"{rule.precision.share:.3f} of {rule.precision.findings}"
        for rule in catalogue.rules
        if rule.precision is not None
    }
    return rules_against_truth(found, truth).with_columns(
        in_the_catalogue=pl.col("rule_id").replace_strict(
            stated, default="not measured", return_dtype=pl.String
        )
    )


def _simulated(seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Telemetry of a fleet, its vehicles and the truth about its faults."""
    app = typer.Typer()
    simulate.register(app)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = [
            "--vehicles", str(VEHICLES), "--span", SPAN, "--start", "2026-02-01T03:00:00Z",
            "--rate", "max", "--seed", str(seed), "--prefix", f"GATE{seed}", "--faults", "0.8",
            "--late", "0.03", "--duplicate", "0.02", "--corrupt", "0.01", "--reorder", "0.02",
            "--no-register", "--truth", str(folder / "truth.ndjson"),
            "--output", str(folder / "messages.ndjson"), "--vehicles-csv", str(folder / "v.csv"),
        ]  # fmt: skip
        result = CliRunner().invoke(app, asked)
        if result.exit_code != 0:
            raise RuntimeError(result.output)
        truth = read_truth(folder / "truth.ndjson")
        telemetry = telemetry_of((folder / "messages.ndjson").read_bytes().splitlines())
        with (folder / "v.csv").open() as file:
            vehicles = [_vehicle(row) for row in csv.DictReader(file)]
    return telemetry, pl.DataFrame(vehicles, schema=VEHICLE_SCHEMA), truth


def _vehicle(row: dict[str, str]) -> dict[str, Any]:
    numbers = ("redline_rpm", "nominal_voltage", "tank_gallons")
    return {
        "vehicle_id": row["id"],
        "valid_from": _BEGIN,
        "refrigerated": row["refrigerated"] == "true",
        **{name: row[name] for name in ("vehicle_type", "fleet_id", "model", "status")},
        **{name: float(row[name]) if row[name] else None for name in numbers},
    }


def _print(console: Console, frame: pl.DataFrame, title: str) -> None:
    table = Table(*(name.replace("_", " ") for name in frame.columns), title=title)
    for row in frame.iter_rows():
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in row))
    console.print(table)


if __name__ == "__main__":
    told = argparse.ArgumentParser(
        prog="make backtest", description="The rules against the last released ones, with gates."
    )
    told.add_argument("catalogue", nargs="?", help="A proposed catalogue; the working one.")
    try:
        sys.exit(main(told.parse_args().catalogue))
    except FleetError as error:
        sys.exit(f"error: {error}")
