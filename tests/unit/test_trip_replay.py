"""Trips as the lake has them: over the turn of the hour, and after late messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from telemetry_data import LATE_AFTER, land_values, message

from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trip_replay import trips_of

START = datetime(2026, 2, 1, 4, 50, tzinfo=UTC)
"""Ten minutes before the turn of the hour."""


def drive(first_minute: int, last_minute: int, vehicle_id: str = "v1") -> list[bytes]:
    """At 30 mph, a message every 10 s."""
    return [
        message(vehicle_id, (START + timedelta(seconds=second)).isoformat(), speed=30.0)
        for second in range(60 * first_minute, 60 * last_minute + 1, 10)
    ]


def trips(lake: Lake, **options: int) -> pl.DataFrame:
    hours = sorted(newest_raw_versions(lake.open("raw_telemetry")), reverse=True)
    for hour in hours:
        refresh_hour(lake, hour, frozenset({"v1", "v2"}), LATE_AFTER)
    return trips_of(lake.open("telemetry"), hours, **options)


def test_a_trip_over_the_turn_of_the_hour_keeps_the_step_between(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, [*drive(0, 20), *drive(0, 20, "v2")])
    found = trips(lake, most_rows=1)
    assert found["vehicle_id"].to_list() == ["v1", "v2"]
    assert found["speed_miles"].to_list() == pytest.approx([10.0, 10.0], abs=1e-4)
    assert found["started_at"].to_list() == [START] * 2
    assert found["ended_at"].to_list() == [START + timedelta(minutes=20)] * 2


def test_late_messages_join_trips_on_both_sides_of_the_hour(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    early, late = drive(0, 7), drive(14, 20)
    land_values(lake, [*early, *late])
    apart = trips(lake)
    assert apart["speed_miles"].to_list() == pytest.approx([3.5, 3.0], abs=1e-4)
    land_values(lake, drive(8, 13), start=len(early) + len(late))
    (joined,) = trips(lake).to_dicts()
    assert joined["trip_id"] == apart["trip_id"][0]
    # one minute from 7 to 8 and from 13 to 14 is a step that still holds
    assert joined["speed_miles"] == pytest.approx(10.0, abs=1e-4)


def test_private_and_fuel_used_come_from_messages_of_several_hours(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    told = [
        message(
            "v1", (START + timedelta(seconds=second)).isoformat(), speed=30.0,
            fuel_level=60 - second // 360, private=second == 900,
        )
        for second in range(0, 2401, 10)
    ]  # fmt: skip
    land_values(lake, told)
    (trip,) = trips(lake).to_dicts()
    assert trip["is_private"] is True
    assert trip["fuel_coverage"] == 1.0
    assert trip["refuelled_percent"] == 0.0
    assert trip["fuel_used_percent"] == 6.0
