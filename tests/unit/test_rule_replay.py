"""A backtest's rules in force find in a lake what the pipeline has found there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from drives import vehicle
from telemetry_data import LATE_AFTER, land_values, message

from fleet_assets.lake.by_onset import stitch_hours
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.lake.rule_anomalies import by_rules
from fleet_assets.lake.rule_replay import Variant, pinned_intervals, replay
from fleet_assets.lake.segments import refresh_segments
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.rules.book import RuleBook, releases
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.resolve import VEHICLE_SCHEMA, InForce

YESTERDAY = datetime(2026, 1, 31, 12, tzinfo=UTC)
START = datetime(2026, 2, 1, 4, 50, tzinfo=UTC)
"""Ten minutes before the turn of the hour."""
SLOW = timedelta(seconds=10)
VEHICLES = pl.DataFrame([vehicle("v1")], schema=VEHICLE_SCHEMA)
OF = ["vehicle_id", "rule_id", "started_at", "ended_at"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A car that sends every ten seconds and speeds over the turn of the hour."""
    lake = Lake(str(tmp_path))
    calm = [message("v1", (YESTERDAY + n * SLOW).isoformat(), speed=50) for n in range(60)]
    fast = [
        message("v1", (START + n * SLOW).isoformat(), speed=80 if 30 <= n < 90 else 50)
        for n in range(120)
    ]
    land_values(lake, [*calm, *fast])
    for hour in newest_raw_versions(lake.open("raw_telemetry")):
        refresh_hour(lake, hour, frozenset({"v1"}), LATE_AFTER)
        refresh_vehicle_hours(
            lake, hour, pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
        )
    return lake


def replayed(lake: Lake) -> pl.DataFrame:
    hours = ["2026-02-01T04", "2026-02-01T05"]
    variant = Variant(read_catalogue(), InForce(VEHICLES))
    usual = pinned_intervals(lake)
    found = replay(lake.open("telemetry"), hours, [variant], intervals=usual)
    return found.findings[0].select(OF)


def test_it_finds_what_the_pipeline_finds_of_a_slow_vehicle(lake: Lake) -> None:
    ahead = replayed(lake)
    book = RuleBook(releases(), VEHICLES)
    for hour in newest_raw_versions(lake.open("raw_telemetry")):
        refresh_segments(lake, hour, book)
    what = by_rules(book)
    stitch_hours(lake, what.follows.hours_left(lake), what)
    made = lake.open("rule_anomalies").read().select(OF).sort(OF)
    speeding = made.filter(pl.col("rule_id") == "R21")
    assert speeding["started_at"].to_list() == [START + 30 * SLOW]
    assert speeding["ended_at"].to_list() == [START + 89 * SLOW]
    assert ahead.sort(OF).equals(made)
    assert replayed(lake).sort(OF).equals(made)


def test_an_interval_that_is_pinned_stays(lake: Lake) -> None:
    hour, ids = "2026-02-01T05", pl.Series(["v1", "new"])
    assert pinned_intervals(lake)(hour, ids) == {"v1": 10.0, "new": 1.0}
    for each in newest_raw_versions(lake.open("raw_telemetry")):
        refresh_segments(lake, each, RuleBook(releases(), VEHICLES))
    later = [message("v1", (YESTERDAY + n * SLOW / 5).isoformat(), speed=50) for n in range(1800)]
    land_values(lake, later, start=180)
    refresh_hour(lake, "2026-01-31T12", frozenset({"v1"}), LATE_AFTER)
    tanks = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
    refresh_vehicle_hours(lake, "2026-01-31T12", tanks)
    assert pinned_intervals(lake)(hour, ids) == {"v1": 10.0, "new": 1.0}
