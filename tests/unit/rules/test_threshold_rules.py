"""Threshold rules by type, attributes and overrides, and full tanks; the rest is in stories."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from drives import (
    ABSENT,
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
