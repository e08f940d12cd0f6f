"""Simulated fleets with faults of known kind and time, judged hour by hour through the lake's road.

The simulator was written apart from the detectors; it draws faults by its own catalogue.
"""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
import typer
from drives import in_force, vehicle
from telemetry_data import LATE_AFTER, SOURCE
from typer.testing import CliRunner

from fleet_assets.commands import simulate
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.lake.rule_replay import Variant, replay
from fleet_assets.lake.store import Lake
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.telemetry.placement import ANY_TIME, place

VEHICLES, HOURS = 60, 3
SLACK = pl.duration(seconds=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fleet sent: late, out of order, twice and spoilt, and the truth about its faults."""
    folder = tmp_path_factory.mktemp("fleet")
    app = typer.Typer()
    simulate.register(app)
    asked = [
        "--vehicles", str(VEHICLES), "--span", f"{HOURS}h", "--start", "2026-02-01T03:00:00Z",
        "--rate", "max", "--seed", "11", "--faults", "0.8", "--no-register",
        "--late", "0.03", "--duplicate", "0.02", "--corrupt", "0.01", "--reorder", "0.02",
        "--truth", str(folder / "truth.ndjson"), "--output", str(folder / "messages.ndjson"),
        "--vehicles-csv", str(folder / "vehicles.csv"),
    ]  # fmt: skip
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def findings(folder: Path) -> pl.DataFrame:
    """What the rules find in the lake that these messages make."""
    lake = Lake(str(folder / "lake"))
    values = (folder / "messages.ndjson").read_bytes().splitlines()
    arrived = pl.DataFrame(
        {"key": pl.Series([None] * len(values), dtype=pl.Binary), "value": values}
    ).with_columns(
        append_time=pl.datetime(2026, 2, 1, 7, time_unit="us", time_zone="UTC"),
        kafka_topic_id=pl.lit(SOURCE.topic_id),
        kafka_partition=pl.lit(0, dtype=pl.Int32),
        kafka_offset=pl.int_range(len(values), dtype=pl.Int64),
        offset_start=pl.lit(0, dtype=pl.Int64),
        offset_end=pl.lit(len(values), dtype=pl.Int64),
    )
    land(lake, SOURCE, {0: (0, len(values))}, place(arrived, ANY_TIME))
    with (folder / "vehicles.csv").open() as file:
        register = list(csv.DictReader(file))
    known = frozenset(row["id"] for row in register)
    hours = sorted(newest_raw_versions(lake.open("raw_telemetry")))
    for hour in hours:
        refresh_hour(lake, hour, known, LATE_AFTER)
    vehicles = in_force(
        *(
            vehicle(
                row["id"],
                vehicle_type=row["vehicle_type"],
                status=row["status"],
                refrigerated=row["refrigerated"] == "true",
                redline_rpm=float(row["redline_rpm"]) if row["redline_rpm"] else None,
                nominal_voltage=float(row["nominal_voltage"]),
            )
            for row in register
        )
    )
    found = replay(
        lake.open("telemetry"), hours, [Variant(read_catalogue(), vehicles)], most_rows=100_000
    )
    return found.findings[0].with_row_index("finding")


def test_recall_and_precision_by_type(folder: Path, findings: pl.DataFrame) -> None:
    truth = pl.read_ndjson(folder / "truth.ndjson").with_row_index("fault")
    truth = truth.with_columns(
        pl.col("start", "end").str.to_datetime(time_unit="us", time_zone="UTC")
    )
    met = truth.join(
        findings, left_on=["vehicle_id", "kind"], right_on=["vehicle_id", "anomaly_type"]
    ).filter(
        (pl.col("started_at") <= pl.col("end") + SLACK)
        & (pl.col("ended_at") >= pl.col("start") - SLACK)
    )
    recall = truth.group_by("kind").agg(
        events=pl.len(), recall=pl.col("fault").is_in(met["fault"].unique().implode()).mean()
    )
    precision = findings.group_by(kind="anomaly_type").agg(
        found=pl.len(),
        precision=pl.col("finding").is_in(met["finding"].unique().implode()).mean(),
    )
    told = recall.join(precision, on="kind", how="full", coalesce=True).sort("kind")
    print(told)
    assert truth.height >= 40
    assert truth["kind"].n_unique() >= 8
    # of all types together; single ones have too few events for a percentage here
    assert met["fault"].n_unique() / truth.height >= 0.95, told
    assert met["finding"].n_unique() / findings.height >= 0.95, told
