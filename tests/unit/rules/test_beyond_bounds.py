"""Speeds that their encoding cannot express: unknown to all rules but the one on such speeds."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from drives import ABSENT, START, WANTED, Drive, found, found_by_hours, in_force, pieces, vehicle
from polars.testing import assert_frame_equal
from telemetry_data import HOUR, LATE_AFTER, land_values
from telemetry_data import message as json_message

from bench.real_rules import telemetry_of
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.rule_replay import Variant, replay
from fleet_assets.lake.store import Lake
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.samples import samples_of
from partitions.hours import hour_start

HOUR_START = hour_start(HOUR)
NOISE = {"engine_rpm": 12.0, "accel_x": 0.05}


def drive(rate_hz: float = 1.0, **options: Any) -> Drive:
    trip = Drive(rate_hz, noise=dict(NOISE), **options).phase(60).travel(20, (0, 40))
    return trip.travel(20, 40)


def without_positions(trip: Drive) -> Drive:
    return trip.phase(20, gps_lat=ABSENT, gps_lon=ABSENT)


def rules(rows: pl.DataFrame) -> list[str]:
    return rows["rule_id"].to_list()


@pytest.mark.parametrize("rate_hz", [1.0, 5.0])
@pytest.mark.parametrize("has_positions", [True, False])
@pytest.mark.parametrize(
    ("mph", "seconds", "expected"),
    [(200.0, 6, ["R29"]), (159.0, 6, ["R29"]), (200.0, 2, [])],
)
def test_a_speed_out_of_bounds(
    mph: float, seconds: float, expected: list[str], has_positions: bool, rate_hz: float
) -> None:
    trip = drive(rate_hz)
    if not has_positions:
        without_positions(trip)
    trip.phase(seconds, speed=mph).phase(30, speed=40.0)
    rows = found(trip).filter(pl.col("rule_id") == "R29")
    assert rules(rows) == expected
    assert rows["peak"].to_list() == [mph] * len(expected)


def test_no_other_rule_sees_it() -> None:
    trip = without_positions(drive()).phase(40, speed=200.0).phase(30, speed=40.0)
    assert rules(found(trip)) == ["R29"]


def test_a_sensor_that_never_tells_anything_else_is_judged_all_the_same() -> None:
    trip = Drive(noise=dict(NOISE)).phase(300, gps_lat=ABSENT, gps_lon=ABSENT, speed=159.0)
    assert rules(found(trip)) == ["R29"]


def test_a_car_that_was_seen_to_get_there_is_fast_and_no_wrong_sensor() -> None:
    trip = without_positions(drive()).travel(60, (40, 170)).travel(20, 170).travel(60, (170, 40))
    assert "R29" not in rules(found(trip))


def test_a_truck_in_the_workshop_is_not_judged() -> None:
    trip = drive().phase(10, speed=200.0)
    assert found(trip, known=in_force(vehicle(status="maintenance"))).is_empty()


@pytest.mark.parametrize("second", [121, 124, 139])
def test_the_turn_of_the_hour_changes_nothing(second: int) -> None:
    hour = START.replace(minute=0) + timedelta(hours=1)
    trip = without_positions(drive(start=hour - timedelta(seconds=second)))
    trip.phase(20, speed=200.0).phase(60, speed=40.0)
    whole = found(trip)
    assert rules(whole) == ["R29"]
    assert_frame_equal(found_by_hours(trip).drop("is_open"), whole.drop("is_open"))


def message(second: int, **signals: Any) -> bytes:
    at = START + timedelta(seconds=second)
    return json.dumps(
        {"vehicle_id": "v1", "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", **signals}
    ).encode()


def test_as_messages_bring_it() -> None:
    fast = [message(s, speed=200.5 if 10 <= s < 20 else 40.0) for s in range(30)]
    rows = telemetry_of(fast)
    assert rows["speed"].null_count() == 10
    seen = samples_of(rows, WANTED)
    assert np.flatnonzero(seen.beyond["speed"] == 200.5).tolist() == list(range(10, 20))
    shown = findings_of(pieces(seen), read_catalogue())
    assert shown.select("rule_id", "peak").rows() == [("R29", 200.5)]


@pytest.mark.parametrize("value", ["fast", True, [200], {"v": 200}, float("nan"), float("inf")])
def test_what_is_no_number_or_in_conflict_is_no_speed(value: Any) -> None:
    rows = telemetry_of([message(s, speed=value) for s in range(10)] + [message(20, speed=200)])
    assert np.isnan(samples_of(rows, WANTED).beyond["speed"][:10]).all()
    rows = telemetry_of([message(s, speed=-200 if s < 8 else 200) for s in range(10)])
    assert rules(findings_of(pieces(samples_of(rows, WANTED)), read_catalogue())) == []
    contested = rows.with_columns(conflict=pl.lit(True))
    assert samples_of(contested, WANTED).beyond == {}


def test_rows_that_are_picked_keep_it() -> None:
    seen = samples_of(telemetry_of([message(s, speed=s * 60) for s in range(5)]), WANTED)
    assert seen.at(np.asarray([2, 4])).beyond["speed"].tolist() == pytest.approx(
        [np.nan, 240.0], nan_ok=True
    )


def test_as_the_lake_keeps_it(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    second = timedelta(seconds=1)
    land_values(
        lake,
        [
            json_message(
                "v1",
                f"{HOUR_START + n * second:%Y-%m-%dT%H:%M:%SZ}",
                speed=200.5 if 10 <= n < 20 else 40.0,
            )
            for n in range(30)
        ],
    )
    refresh_hour(lake, HOUR, frozenset(["v1"]), LATE_AFTER)
    judged = replay(lake.open("telemetry"), [HOUR], [Variant(read_catalogue(), in_force())])
    assert judged.findings[0].select("rule_id", "peak").rows() == [("R29", 200.5)]
