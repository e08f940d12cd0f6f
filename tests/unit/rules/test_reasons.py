"""Why a rule does not judge a vehicle: a reason in words, never a silent zero."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from drives import ABSENT, NULL, START, Drive, in_force, samples, vehicle

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.resolve import InForce, resolve

CATALOGUE = read_catalogue()


def limits(known: InForce, drive: Drive | None = None) -> Limits:
    return resolve(CATALOGUE, samples(drive or Drive().phase(60)), known)


def reason(made: Limits, rule_id: str) -> str:
    """The reason of a vehicle that has one regime."""
    found = made.ineligible.get(rule_id)
    return "" if found is None else str(found.item())


@pytest.mark.parametrize(
    ("attributes", "rule_id", "expected"),
    [
        ({}, "R15", ""),
        ({"refrigerated": True}, "R15", "cools its load"),
        ({"refrigerated": True}, "R16", "cools its load"),
        ({"refrigerated": True}, "R18", ""),
        ({"refrigerated": None}, "R15", ""),
        ({"status": "inactive"}, "R15", ""),
        *(({"status": "maintenance"}, f"R{n:02}", "in maintenance") for n in (1, 15, 34, 40)),
        ({"vehicle_type": "suv"}, "R13", "no limit for its vehicle type"),
        ({"vehicle_type": "van"}, "R13", ""),
        ({"vehicle_type": "bus"}, "R18", "no limit for its vehicle type"),
        ({"vehicle_type": None}, "R12", "no limit for its vehicle type"),
        ({"vehicle_type": None}, "R14", "no limit for its vehicle type"),  # repeats R12
        ({"vehicle_type": "bus"}, "R22", ""),
    ],
)
def test_who_is_exempt_or_has_no_limit(
    attributes: dict[str, Any], rule_id: str, expected: str
) -> None:
    assert reason(limits(in_force(vehicle(**attributes))), rule_id) == expected


@pytest.mark.parametrize(
    ("signals", "rule_id", "expected"),
    [
        ({"coolant_temp": ABSENT}, "R03", "coolant_temp is not known"),
        ({"coolant_temp": NULL}, "R22", "coolant_temp is not known"),
        ({"coolant_temp": ABSENT}, "R01", ""),
        ({"engine_rpm": ABSENT}, "R15", "none of engine_rpm, ignition is known"),
        ({"engine_rpm": ABSENT, "ignition": 1.0}, "R15", ""),
        ({"accel_x": ABSENT}, "R05", ""),
        ({"accel_x": ABSENT, "speed": ABSENT}, "R05", "none of accel_x, speed is known"),
        ({"accel_x": ABSENT}, "R07", "accel_x is not known"),
        ({"gps_lat": ABSENT, "speed": ABSENT}, "R29", "none of gps_lat, speed is known"),
        ({"engine_rpm": ABSENT, "speed": ABSENT}, "R34", ""),
    ],
)
def test_what_a_rule_needs(signals: dict[str, Any], rule_id: str, expected: str) -> None:
    assert reason(limits(in_force(), Drive().phase(60, **signals)), rule_id) == expected


def test_one_sample_of_a_signal_is_enough() -> None:
    trip = Drive().phase(60, coolant_temp=ABSENT).phase(1, coolant_temp=85.0).phase(60)
    assert reason(limits(in_force(), trip), "R22") == ""


@pytest.mark.parametrize(
    ("interval_s", "rule_id", "expected"),
    [
        (1.0, "R05", ""),
        (2.0, "R05", ""),
        (2.15, "R05", ""),  # jitter
        (2.3, "R05", "sends every 2.3 s, the rule needs 0.5 Hz"),
        (10.0, "R01", "sends every 10 s, the rule needs 0.2 Hz"),
        (10.0, "R18", ""),
        (2.0, "R12", "sends every 2 s, the rule needs 1 Hz"),
        (3600.0, "R17", "sends every 3.6e+03 s, the rule needs 0.01 Hz"),
    ],
)
def test_who_sends_too_seldom(interval_s: float, rule_id: str, expected: str) -> None:
    known = InForce(in_force().vehicles, interval_s={"v1": interval_s})
    assert reason(limits(known), rule_id) == expected


def test_each_vehicle_is_told_its_own_interval() -> None:
    vehicles = in_force(*(vehicle(name) for name in ("a", "b", "c"))).vehicles
    known = InForce(vehicles, interval_s={"a": 10.0, "c": 30.0})
    seen = samples(*(Drive(vehicle_id=name).phase(60) for name in ("a", "b", "c")))
    assert resolve(CATALOGUE, seen, known).ineligible["R22"].tolist() == [
        "", "", "sends every 30 s, the rule needs 0.1 Hz",
    ]  # fmt: skip


def test_a_stage_in_the_warehouse_replaces_the_catalogues() -> None:
    stages = {"R18": "off", "R01": "shadow", "R17": "live", "R37": "off"}
    made = limits(InForce(in_force().vehicles, stages=stages))
    assert reason(made, "R18") == "the rule is off"
    assert [reason(made, rule) for rule in ("R01", "R17", "R19")] == ["", "", ""]
    assert reason(made, "R37") == "the rule is off"


def test_off_goes_before_other_reasons() -> None:
    known = InForce(in_force(vehicle(status="maintenance")).vehicles, stages={"R18": "off"})
    assert reason(limits(known), "R18") == "the rule is off"
    assert reason(limits(known), "R19") == "in maintenance"


def test_a_vehicle_that_goes_to_the_workshop_is_exempt_from_then_on() -> None:
    at = START + timedelta(minutes=2)
    known = in_force(vehicle(), vehicle(status="maintenance", valid_from=at))
    made = limits(known, Drive().phase(300))
    applies = made.applies("R18")
    assert applies is not None
    assert np.flatnonzero(applies).tolist() == list(range(120))
