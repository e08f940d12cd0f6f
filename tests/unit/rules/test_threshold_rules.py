"""Drives that each threshold rule must find, must not find, and must not be sure about.

Written from what happens on the road: positive, near miss, exemption, unknown stretch, gap, turn of
the hour, two sampling rates. Speed and revolutions step here as no vehicle's do, which rules on
acceleration, positions and sensors see: they have tests of their own.
"""
# ruff: noqa: E501  # a story reads best in one line

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from drives import (
    ABSENT,
    NULL,
    START,
    Drive,
    found,
    found_by_hours,
    in_force,
    vehicle,
)
from polars.testing import assert_frame_equal

OF_THRESHOLDS = {
    "R01", "R02", "R03", "R04", "R15", "R16", "R18", "R19", "R20", "R21", "R22", "R23", "R24",
    "R25", "R26", "R27", "R34", "R38", "R39", "R40",
}  # fmt: skip
FAST = {"engine_rpm": 2500.0, "speed": 60.0, "throttle_position": 30.0}


def drive(rate_hz: float = 1.0, **options: Any) -> Drive:
    """Two minutes of quiet driving, on which nothing is found."""
    return Drive(rate_hz, **options).phase(120, **FAST)


def rules_of(rows: pl.DataFrame) -> list[str]:
    """Ids of the rules of findings, in order of onset."""
    mine = rows.filter(pl.col("rule_id").is_in(OF_THRESHOLDS))
    return mine.sort("started_at", "rule_id")["rule_id"].to_list()


def calm(trip: Drive) -> Drive:
    return trip.phase(120, **FAST, coolant_temp=85, battery_voltage=14.0, ignition=ABSENT)


Story = Callable[[Drive], Drive]
# rule, what happens, the rule that must be found (None: nothing)
CASES: list[tuple[str, Story, str | None]] = [
    ("R01", lambda d: d.phase(8, engine_rpm=6000), "R01"),
    ("R01 dips but not below clear", lambda d: d.phase(3, engine_rpm=6000).phase(3, engine_rpm=5600).phase(2, engine_rpm=5900), "R01"),
    ("R01 too short", lambda d: d.phase(4, engine_rpm=6000), None),
    ("R01 just below", lambda d: d.phase(60, engine_rpm=5790), None),
    ("R01 unknown in between", lambda d: d.phase(3, engine_rpm=6000).phase(2, engine_rpm=ABSENT).phase(3, engine_rpm=6000), "R01"),
    ("R01 silence in between", lambda d: d.phase(4, engine_rpm=6000).gap(20).phase(4, engine_rpm=6000), None),
    ("R02", lambda d: d.phase(4, engine_rpm=6500), "R02"),
    ("R02 too short", lambda d: d.phase(3, engine_rpm=6500), None),
    ("R03", lambda d: d.phase(5, coolant_temp=30).phase(15, engine_rpm=3800), "R03"),
    ("R03 warm", lambda d: d.phase(20, engine_rpm=3800, coolant_temp=70), None),
    ("R03 coolant unknown", lambda d: d.phase(20, engine_rpm=3800, coolant_temp=ABSENT), None),
    ("R04", lambda d: d.phase(5, speed=0, engine_rpm=800).phase(8, engine_rpm=4500), "R04"),
    ("R04 rolling", lambda d: d.phase(8, speed=5, engine_rpm=4500), None),
    ("R15", lambda d: d.phase(620, speed=0, engine_rpm=800), "R15"),
    ("R15 creeps a little", lambda d: d.phase(300, speed=0, engine_rpm=800).phase(5, speed=2).phase(320, speed=0), "R15"),
    ("R15 moves up", lambda d: d.phase(400, speed=0, engine_rpm=800).phase(5, speed=5).phase(400, speed=0), None),
    ("R15 engine off", lambda d: d.phase(700, speed=0, engine_rpm=0), None),
    ("R15 by ignition", lambda d: d.phase(620, speed=0, engine_rpm=ABSENT, ignition=1), "R15"),
    ("R15 power take-off works", lambda d: d.phase(700, speed=0, engine_rpm=900, pto_active=1), None),
    ("R15 speed unknown", lambda d: d.phase(700, speed=ABSENT, engine_rpm=900), None),
    ("R16", lambda d: d.phase(3605, speed=0, engine_rpm=800), "R16"),
    ("R18", lambda d: d.phase(35, speed=78), "R18"),
    ("R18 too short", lambda d: d.phase(25, speed=78), None),
    ("R18 at the limit", lambda d: d.phase(60, speed=75), None),
    ("R19", lambda d: d.phase(15, speed=88), "R19"),
    ("R20", lambda d: d.phase(8, speed=103), "R20"),
    ("R21", lambda d: d.phase(310, speed=77), "R21"),
    ("R22", lambda d: d.phase(300, coolant_temp=(85, 104)).phase(120, coolant_temp=(104, 110)).phase(15, coolant_temp=112), "R22"),
    ("R22 too short", lambda d: d.phase(300, coolant_temp=(85, 104.5)).phase(60, coolant_temp=(104.5, 109)).phase(5, coolant_temp=110).phase(30, coolant_temp=100), None),
    ("R23", lambda d: d.phase(400, coolant_temp=(85, 117)).phase(10, coolant_temp=119), "R23"),
    ("R24", lambda d: d.phase(300, coolant_temp=(85, 104.5)).phase(310, coolant_temp=106), "R24"),
    ("R24 cooler in between", lambda d: d.phase(300, coolant_temp=(85, 104)).phase(200, coolant_temp=106).phase(9, coolant_temp=101).phase(200, coolant_temp=106), None),
    ("R25", lambda d: d.phase(200, coolant_temp=(85, 97)).phase(30, coolant_temp=(97, 106)).phase(20, coolant_temp=100), "R25"),
    ("R25 rises while cool", lambda d: d.phase(60, coolant_temp=(60, 85)), None),
    ("R25 rises slowly", lambda d: d.phase(300, coolant_temp=(85, 104)), None),
    ("R26", lambda d: d.phase(600, fuel_level=8), "R26"),
    ("R26 sloshes", lambda d: d.phase(100, fuel_level=14).phase(60, fuel_level=9).phase(300, fuel_level=14), None),
    ("R27", lambda d: d.phase(900, fuel_level=4), "R27"),
    ("R38", lambda d: d.phase(70, battery_voltage=12.4), "R38"),
    ("R38 too short", lambda d: d.phase(50, battery_voltage=12.4), None),
    ("R38 engine off", lambda d: d.phase(100, engine_rpm=0, speed=0, battery_voltage=12.4), None),
    ("R39", lambda d: d.phase(35, battery_voltage=15.6), "R39"),
    ("R39 just below", lambda d: d.phase(60, battery_voltage=15.1), None),
    ("R40", lambda d: d.phase(5, speed=0, engine_rpm=0, battery_voltage=12.3).phase(310, battery_voltage=11.5), "R40"),
    ("R40 while cranking", lambda d: d.phase(10, speed=0, engine_rpm=0, battery_voltage=12.6).phase(5, battery_voltage=9.8).phase(10, engine_rpm=900, battery_voltage=14), None),
    ("R34", lambda d: d.phase(12, coolant_temp=NULL), "R34"),
    ("R34 too short", lambda d: d.phase(8, coolant_temp=NULL), None),
    ("R34 absent is not null", lambda d: d.phase(60, coolant_temp=ABSENT), None),
]  # fmt: skip


@pytest.mark.parametrize("rate_hz", [1.0, 5.0])
@pytest.mark.parametrize(("name", "story", "rule"), CASES, ids=[case[0] for case in CASES])
def test_what_a_drive_shows(name: str, story: Story, rule: str | None, rate_hz: float) -> None:
    trip = calm(story(drive(rate_hz)))
    assert rules_of(found(trip)) == ([] if rule is None else [rule])


@pytest.mark.parametrize(("name", "story", "rule"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("second", [1, 125, 300])
def test_the_turn_of_the_hour_changes_nothing(
    name: str, story: Story, rule: str | None, second: int
) -> None:
    hour = START.replace(minute=0) + timedelta(hours=1)
    trip = calm(story(drive(1.0, start=hour - timedelta(seconds=second))))
    whole = found(trip)
    assert_frame_equal(found_by_hours(trip).drop("is_open"), whole.drop("is_open"))
    assert rules_of(whole) == ([] if rule is None else [rule])


def test_limits_follow_the_type_the_red_line_and_the_voltage() -> None:
    trip = drive().phase(8, engine_rpm=5700)
    assert rules_of(found(trip)) == []
    assert rules_of(found(trip, known=in_force(vehicle(redline_rpm=5900.0)))) == ["R01"]
    fast = drive().phase(40, speed=68)
    assert rules_of(found(fast)) == []
    assert rules_of(found(fast, known=in_force(vehicle(vehicle_type="truck")))) == ["R18"]
    volts = drive().phase(70, battery_voltage=25.0)
    assert "R38" not in rules_of(found(volts))
    assert "R38" in rules_of(found(volts, known=in_force(vehicle(nominal_voltage=24.0))))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, ["R15"]),
        ({"refrigerated": True}, []),
        ({"status": "maintenance"}, []),
        ({"vehicle_type": "truck"}, []),
    ],
)
def test_who_may_idle(attributes: dict[str, Any], expected: list[str]) -> None:
    trip = calm(drive().phase(700, speed=0, engine_rpm=800))
    assert rules_of(found(trip, known=in_force(vehicle(**attributes)))) == expected


def test_an_override_counts_from_its_time_on_and_the_most_specific_wins() -> None:
    trip = drive().phase(100, speed=68)
    late = START + timedelta(seconds=170)
    lower = {"rule_id": "R18", "parameter": "set", "valid_from": START, "value": 60.0}
    fleet = lower | {"scope": "fleet", "scope_value": "f1"}
    mine = lower | {"scope": "vehicle", "scope_value": "v1", "value": 90.0, "valid_from": late}
    rows = found(trip, known=in_force(overrides=[fleet])).filter(pl.col("rule_id") == "R18")
    assert rows["started_at"].to_list() == [START + timedelta(seconds=120)]
    rows = found(trip, known=in_force(overrides=[mine, fleet])).filter(pl.col("rule_id") == "R18")
    assert rows["ended_at"].to_list() == [late - timedelta(seconds=1)]
    assert rules_of(found(trip, known=in_force(overrides=[fleet | {"scope_value": "f2"}]))) == []


def test_a_short_drive_with_a_full_tank_ends_low_fuel_in_one_pass_and_by_hours() -> None:
    trip = drive().phase(700, fuel_level=8).gap(7200).phase(200, fuel_level=90)
    trip = trip.gap(7200).phase(700, fuel_level=8)
    whole, by_hours = (
        rows.filter(pl.col("rule_id") == "R26").drop("is_open")
        for rows in (found(trip), found_by_hours(trip))
    )
    assert whole.height == 2
    assert_frame_equal(by_hours, whole)
