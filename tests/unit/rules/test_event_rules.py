"""Manoeuvres, positions and sensors: what rules on events must find, and must not."""
# a story reads best in one line

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from drives import ABSENT, NULL, START, Drive, found, found_by_hours, in_force, vehicle
from polars.testing import assert_frame_equal

NOISE = {
    "accel_x": 0.25, "accel_y": 0.25, "accel_z": 0.3, "engine_rpm": 12.0, "speed": 0.15,
    "gps_lat": 1.5e-5, "gps_lon": 1.5e-5, "throttle_position": 0.5,
}  # fmt: skip
"""Of each sample; positions within about 2 m."""


def drive(rate_hz: float, **options: Any) -> Drive:
    """Stands for a while, then drives at 40 mph as people do."""
    trip = Drive(rate_hz, noise=dict(NOISE), **options).phase(120)
    trip.phase(1, engine_rpm=2000.0, throttle_position=30.0)
    return trip.travel(20, (0, 40)).travel(60, 40)


def end(trip: Drive) -> Drive:
    return trip.travel(30, 40)


def rules(rows: pl.DataFrame) -> list[str]:
    return rows.sort("started_at", "rule_id")["rule_id"].to_list()


Story = Callable[[Drive], Drive]


def brake(g: float, to_mph: float = 0.0, from_mph: float = 40.0) -> Story:
    """Brakes evenly from one speed to another, then goes on at it."""

    def story(trip: Drive) -> Drive:
        seconds = (from_mph - to_mph) / 2.23694 / (g * 9.80665)
        trip.travel(seconds, (from_mph, to_mph)).phase(8, accel_x=0.0)
        return trip.travel(20, (to_mph, 40)) if to_mph < 40 else trip

    return story


@pytest.mark.parametrize("rate_hz", [51.0, 10.0, 1.0])
@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (brake(0.56, 5), ["R05"]),
        (brake(0.75), ["R06"]),
        (brake(0.30), []),
        (lambda d: d.phase(3, accel_y=0.60 * 9.80665).phase(5, accel_y=0.0), ["R12"]),
        (lambda d: d.phase(4, accel_y=0.30 * 9.80665).phase(5, accel_y=0.0), []),
        (lambda d: d.travel(6, (40, 103)).phase(1, accel_x=0.0), ["R09", "R20"]),
    ],
    ids=["brakes", "brakes hard", "brakes gently", "corners", "corners gently", "accelerates"],
)
def test_manoeuvres_at_each_rate(story: Story, expected: list[str], rate_hz: float) -> None:
    trip = story(drive(rate_hz))
    shown = [rule for rule in rules(found(trip)) if rule not in ("R21", "R18", "R19")]
    assert [r for r in shown if r != "R20"] == [r for r in expected if r != "R20"]


def test_a_pothole_is_no_harsh_braking() -> None:
    trip = drive(51)
    for _ in range(20):
        trip.phase(0.04, accel_x=-8.0, accel_y=7.0).phase(0.02, accel_y=0.0).travel(3, 40)
    assert rules(found(end(trip))) == []


def test_a_tilted_accelerometer_does_not_count_as_driving() -> None:
    trip = Drive(10, noise=dict(NOISE)).phase(120, accel_y=4.2).travel(20, (0, 40)).travel(60, 40)
    assert rules(found(end(trip))) == []


def test_without_an_accelerometer_the_slope_of_speed_counts_and_too_slow_is_not_judged() -> None:
    for rate_hz, expected in ((1.0, ["R06"]), (0.2, [])):
        trip = Drive(rate_hz, noise={"engine_rpm": 12.0}).phase(
            120, accel_x=ABSENT, accel_y=ABSENT, accel_z=ABSENT
        )
        trip.travel(20, (0, 40)).travel(60, 40)
        trip.travel(3, (40, 0)).phase(60, engine_rpm=900)
        mine = found(trip).filter(pl.col("anomaly_type") == "harsh_braking")
        assert rules(mine) == expected


def test_a_collision_is_told_by_both_sensors() -> None:
    trip = drive(51)
    trip.travel(1.4, (40, 0)).phase(30, accel_x=0.0)
    rows = found(trip).filter(pl.col("anomaly_type") == "harsh_braking")
    assert rules(rows) == ["R07"]
    assert rows["severity"].to_list() == ["critical"]


def test_a_truck_has_lower_limits() -> None:
    trip = brake(0.42)(drive(10))
    assert rules(found(trip)) == []
    assert "R05" in rules(found(trip, known=in_force(vehicle(vehicle_type="truck"))))


def gps_jump(trip: Drive) -> Drive:
    at = trip.signals["gps_lat"]
    assert isinstance(at, float)
    return trip.phase(1, gps_lat=at + 0.0072).phase(1, gps_lat=at)  # 800 m


def lose_fix(trip: Drive, seconds: float) -> Drive:
    at = trip.signals["gps_lat"]
    assert isinstance(at, float)
    trip.phase(seconds, gps_lat=0.0, gps_lon=0.0)
    return trip.phase(1, gps_lat=at + seconds * 17.9 / 111_195, gps_lon=-93.6)


POSITIONS: list[tuple[str, Story, set[str]]] = [
    ("jump", gps_jump, {"R30"}),
    ("tunnel", lambda d: d.phase(40, gps_lat=ABSENT, gps_lon=ABSENT), set()),
    ("no fix", lambda d: lose_fix(d, 8), {"R33"}),
    ("no fix for a moment", lambda d: lose_fix(d, 3), set()),
    ("frozen fix", lambda d: d.phase(70), {"R33"}),
    ("frozen fix for a moment", lambda d: d.phase(20), set()),
    ("wheel speed too low", lambda d: d.travel(20, 70).phase(1), set()),
]  # fmt: skip


@pytest.mark.parametrize("rate_hz", [1.0, 5.0])
@pytest.mark.parametrize(("name", "story", "expected"), POSITIONS, ids=[p[0] for p in POSITIONS])
def test_positions(name: str, story: Story, expected: set[str], rate_hz: float) -> None:
    trip = drive(rate_hz)
    if name in ("no fix", "no fix for a moment", "frozen fix", "frozen fix for a moment"):
        trip.noise = {k: v for k, v in NOISE.items() if not k.startswith("gps")}
    rows = found(end(story(trip))).filter(pl.col("anomaly_type") == "gps_anomaly")
    shown = set(rules(rows))
    assert shown - {"R31"} == expected - {"R31"}


def test_forged_positions() -> None:
    trip = Drive(1, noise={"engine_rpm": 12.0}).phase(120, speed=0.0)
    at = 41.6
    trip.phase(30, gps_lat=(at, at + 30 * 17 / 111_195))  # 38 mph, while it stands
    assert "R32" in rules(found(trip.phase(30)))


def test_gps_and_wheels_disagree() -> None:
    trip = drive(1)
    at = trip.signals["gps_lat"]
    assert isinstance(at, float)
    trip.phase(30, speed=5.0, gps_lat=(at, at + 30 * 26 / 111_195))  # 5 and 58 mph
    assert "R31" in rules(found(trip))


def test_impossible_speed() -> None:
    trip = drive(1)
    at = trip.signals["gps_lat"]
    assert isinstance(at, float)
    trip.phase(10, gps_lat=(at, at + 10 * 90 / 111_195))  # 200 mph
    assert "R29" in rules(found(trip))


@pytest.mark.parametrize("rate_hz", [1.0, 5.0])
def test_a_stuck_sensor_is_told_by_what_goes_with_it(rate_hz: float) -> None:
    trip = drive(rate_hz)
    trip.noise = {k: v for k, v in NOISE.items() if k != "engine_rpm"}
    for _ in range(6):
        trip.travel(15, (40, 55)).travel(15, (55, 40))
    rows = found(trip).filter(pl.col("anomaly_type") == "sensor_failure")
    assert rows["condition"].to_list() == ["R35/engine_rpm"]


def test_a_steady_drive_is_not_stuck() -> None:
    trip = drive(1)
    trip.noise = {k: v for k, v in NOISE.items() if k not in ("engine_rpm", "speed")}
    rows = found(trip.travel(400, 40)).filter(pl.col("anomaly_type") == "sensor_failure")
    assert rows.is_empty()


@pytest.mark.parametrize("rate_hz", [1.0, 10.0])
@pytest.mark.parametrize(
    ("signals", "condition"),
    [
        ({"engine_rpm": 7500.0}, "R36/engine_rpm"),
        ({"coolant_temp": 40.0}, "R36/coolant_temp"),
        ({"speed": 90.0}, "R36/speed"),
        ({"fuel_level": 5.0}, None),
        ({"throttle_position": 100.0}, None),
    ],
)
def test_jumps(signals: dict[str, float], condition: str | None, rate_hz: float) -> None:
    trip = drive(rate_hz)
    before = {name: trip.signals[name] for name in signals}
    trip.phase(1, **signals).phase(20, **before)
    rows = found(trip).filter(pl.col("condition").str.starts_with("R36"))
    # there and back: one after the other where samples are quick
    assert rows["condition"].unique().to_list() == ([] if condition is None else [condition])


def test_no_jump_is_told_across_a_silence() -> None:
    trip = drive(1).gap(120).phase(30, coolant_temp=40.0)
    assert found(trip).filter(pl.col("condition").str.starts_with("R36")).is_empty()


@pytest.mark.parametrize("second", [5, 203, 206])
def test_the_turn_of_the_hour_changes_nothing(second: int) -> None:
    hour = START.replace(minute=0) + timedelta(hours=1)
    trip = drive(10, start=hour - timedelta(seconds=second))
    trip = gps_jump(brake(0.75)(trip)).phase(5, coolant_temp=40.0).phase(60, coolant_temp=85.0)
    whole = found(trip)
    assert {"R06", "R30", "R36"} <= set(rules(whole))
    assert_frame_equal(found_by_hours(trip).drop("is_open"), whole.drop("is_open"))


def test_a_sensor_that_all_else_depends_on_is_graver() -> None:
    trip = Drive(1, noise=dict(NOISE)).phase(30).phase(20, coolant_temp=NULL, fuel_level=NULL)
    rows = found(trip).filter(pl.col("rule_id") == "R34")
    shown = dict(rows.select("condition", "severity").iter_rows())
    assert shown == {"R34/coolant_temp": "high", "R34/fuel_level": "medium"}
