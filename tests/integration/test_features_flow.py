"""Feature windows by sensor and job: after the rules, again after late messages, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.runs import RANGE_END, RANGE_START
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
START = datetime(2020, 3, 1, 5, 55, tzinfo=UTC)
HOURS = ["2020-03-01T05", "2020-03-01T06"]


def take_in(run: PlatformRun, first_s: int, last_s: int, **values: Any) -> None:
    seconds = range(first_s, last_s)
    times = [(START + timedelta(seconds=second)).isoformat() for second in seconds]
    run.produce([(b"T-1", message("T-1", time, **values)) for time in times])
    run.land()
    assert all(result.success for result in (*run.refresh(), *run.judge()))


def windows(run: PlatformRun) -> pl.DataFrame:
    return run.rows("feature_windows").sort("window_end")


def test_features_follow(services: Installation, flow_home: Path, tmp_path: Path) -> None:
    settings = {
        "partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S", "features_share": "1",
    }  # fmt: skip
    with platform_run(services, "features_flow", flow_home, tmp_path / "lake", **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1, vehicle_type="sedan")], "test")
        assert run.follow("features_sensor", "features") == []
        take_in(run, 0, 500, speed=40, engine_rpm=2000)
        (result,) = run.follow("features_sensor", "features")
        assert result.success
        first = windows(run)
        assert first.height == 50
        assert first["event_hour"].unique().sort().to_list() == HOURS
        assert first["rpm_mean_60s"].drop_nulls().unique().to_list() == [2000.0]
        assert run.verdicts("feature_windows", "contract") == dict.fromkeys(HOURS, True)
        assert run.ledger(HOURS[0])["features"].rows == 30
        assert run.follow("features_sensor", "features") == []

        take_in(run, 500, 520, speed=40, engine_rpm=3000)
        (again,) = run.follow("features_sensor", "features")
        assert again.success
        assert windows(run).height == 52
        assert windows(run).head(50).equals(first)

        tags = {RANGE_START: HOURS[0], RANGE_END: HOURS[1]}
        before = windows(run)
        assert run.execute("features", {}, tags).success
        assert windows(run).equals(before)
