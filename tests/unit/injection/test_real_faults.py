"""Faults in real trips: they find places, and digits do not give them away."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from fleet_assets.fleet_sim.faulted import Faulted, with_faults
from fleet_assets.fleet_sim.progress import Progress
from fleet_assets.injection.plan import Chosen

REAL = Path(__file__).parents[4] / "shared" / "data" / "real_trips.ndjson.zst"
KMH = 0.621371192
"""Miles in a kilometre: the steps of speed on both vehicles without GPS."""
pytestmark = pytest.mark.skipif(not REAL.exists(), reason=f"real trips are not at {REAL}")


@pytest.fixture(scope="module")
def found() -> Faulted:
    with Progress("Reading", None, shown=False) as progress:
        return with_faults(REAL, 1, Chosen(untouched=0), progress)


def test_faults_of_all_families_find_places_on_all_vehicles(found: Faulted) -> None:
    assert found.truth["vehicle_id"].n_unique() == 7
    assert found.truth["family"].n_unique() == 8
    assert found.truth.height > 250
    assert found.truth["is_clear"].sum() > 40
    assert len(found.lines) == 552_572
    assert found.contested == 632
    assert 30_000 < found.changed < 150_000


def test_faulty_speeds_are_steps_of_the_vehicles_own_sensor(found: Faulted) -> None:
    of = pl.col("signal").eq("speed") & pl.col("kind").is_in(["bias", "scale", "drift", "noise"])
    span = found.truth.filter(of, vehicle_id="VH-0001").select("started_at", "ended_at")
    start, end = span.select(pl.all().dt.strftime("%Y-%m-%dT%H:%M:%S")).row(0)
    speeds = [
        message["speed"]
        for line in found.lines
        if b"VH-0001" in line and start <= (message := json.loads(line))["timestamp"][:19] <= end
    ]
    assert len(speeds) > 20
    assert all(
        speed == pytest.approx(round(round(speed / KMH) * KMH, 2), abs=0.001) for speed in speeds
    )
