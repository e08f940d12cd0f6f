"""Numbers in force for a vehicle and a time: types, attributes, overrides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from drives import START, Drive, in_force, samples, vehicle

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.resolve import OVERRIDE_SCHEMA, VEHICLE_SCHEMA, InForce, resolve

CATALOGUE = read_catalogue()
MINUTE = timedelta(minutes=1)


def limits(known: InForce, *drives: Drive) -> Limits:
    return resolve(CATALOGUE, samples(*(drives or (Drive().phase(600),))), known)


def numbers(made: Limits, rule_id: str, name: str) -> list[float]:
    """By sample, without those that repeat the one before."""
    of = made.of(rule_id, name)
    each = np.atleast_1d(np.asarray(of))
    return each[np.append(True, each[1:] != each[:-1])].tolist()


def override(
    scope: str, of: str, value: float, at: datetime = START, **other: Any
) -> dict[str, Any]:
    plain = {"rule_id": "R18", "parameter": "set", "valid_from": at, "value": value}
    return plain | {"scope": scope, "scope_value": of} | other


@pytest.mark.parametrize(
    ("attributes", "rule_id", "name", "expected"),
    [
        ({"vehicle_type": "van"}, "R18", "set", 70.0),
        ({"vehicle_type": "truck"}, "R18", "clear", 63.0),  # of its own set, 2 less
        ({"vehicle_type": "truck"}, "R20", "set", 90.0),  # of another rule, 25 more
        ({}, "R02", "set", 5800 * 1.08),
        ({"redline_rpm": 6000.0}, "R01", "set", 5700.0),
        ({"redline_rpm": 9000.0}, "R01", "set", 5800.0),  # at most: never more
        ({"redline_rpm": 6000.0}, "R02", "clear", 5700 * 1.08 - 300),
        ({"nominal_voltage": 24.0}, "R38", "set", 26.0),
        ({"nominal_voltage": None}, "R38", "set", 13.0),
        ({}, "R26", "max_gap", np.inf),
        ({}, "R01", "max_gap", 5.0),
    ],
)
def test_a_number_follows_the_vehicle(
    attributes: dict[str, Any], rule_id: str, name: str, expected: float
) -> None:
    shown = numbers(limits(in_force(vehicle(**attributes))), rule_id, name)
    assert shown == [pytest.approx(expected)]


@pytest.mark.parametrize(("interval_s", "gap_s"), [(1.0, 5.0), (4.0, 12.0), (30.0, 60.0)])
def test_the_largest_gap_is_three_usual_intervals_within_bounds(
    interval_s: float, gap_s: float
) -> None:
    known = InForce(in_force().vehicles, interval_s={"v1": interval_s})
    assert numbers(limits(known), "R18", "max_gap") == [gap_s]


def test_two_vehicles_have_numbers_of_their_own() -> None:
    known = in_force(vehicle("a", vehicle_type="truck"), vehicle("b"))
    both = (Drive(vehicle_id=name).phase(5) for name in ("a", "b"))
    made = limits(known, *both)
    assert numbers(made, "R18", "set") == [65.0, 75.0]
    assert numbers(made, "R18", "duration") == [30.0]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], [75.0]),
        ([override("fleet", "f1", 60)], [60.0]),
        ([override("fleet", "f2", 60)], [75.0]),
        ([override("vehicle", "v1", 62), override("fleet", "f1", 60)], [62.0]),
        ([override("vehicle", "v1", 62), override("model", "m1", 61)], [62.0]),
        ([override("model", "m1", 61), override("fleet", "f1", 60)], [61.0]),
        ([override("fleet", "f1", 60), override("fleet", "f1", 58, START - MINUTE)], [60.0]),
        ([override("fleet", "f1", 60, START + 2 * MINUTE)], [75.0, 60.0]),
        (
            [override("fleet", "f1", 60), override("fleet", "f1", 58, START + 2 * MINUTE)],
            [60.0, 58.0],
        ),
        (  # the later one is less specific
            [override("vehicle", "v1", 62), override("fleet", "f1", 58, START + 2 * MINUTE)],
            [62.0],
        ),
        (
            [
                override("fleet", "f1", 60, START - 9 * MINUTE),
                override("model", "m1", 61, START + 2 * MINUTE),
                override("vehicle", "v1", 62, START + 5 * MINUTE),
            ],
            [60.0, 61.0, 62.0],
        ),
        ([override("fleet", "f1", 60, START + 60 * MINUTE)], [75.0]),
    ],
)
def test_the_most_specific_override_counts_and_of_several_the_latest(
    overrides: list[dict[str, Any]], expected: list[float]
) -> None:
    assert numbers(limits(in_force(overrides=overrides)), "R18", "set") == expected


def test_an_override_counts_from_its_sample_on() -> None:
    at = START + 2 * MINUTE
    made = limits(in_force(overrides=[override("vehicle", "v1", 60.0, at)]))
    of = np.asarray(made.of("R18", "set"))
    assert np.flatnonzero(of == 60).tolist() == list(range(120, 600))


def test_what_depends_on_a_number_follows_its_override() -> None:
    made = limits(in_force(overrides=[override("fleet", "f1", 60)]))
    shown = [numbers(made, rule, name)[0] for rule, name in (("R18", "clear"), ("R19", "set"))]
    assert shown == [58.0, 70.0]
    mine = override("fleet", "f1", 100, rule_id="R19")
    made = limits(in_force(overrides=[mine]))
    assert numbers(made, "R19", "set") == [100.0]
    assert numbers(made, "R18", "set") == [75.0]


def test_an_override_gives_a_limit_to_a_type_that_has_none() -> None:
    mine = override("vehicle", "v1", 0.6, rule_id="R13")
    made = limits(in_force(overrides=[mine]))
    assert numbers(made, "R13", "set") == [0.6]
    assert "R13" not in made.ineligible


def test_an_attribute_counts_as_of_event_time() -> None:
    sold = vehicle(vehicle_type="truck", fleet_id="f2", valid_from=START + 2 * MINUTE)
    known = in_force(vehicle(), sold, overrides=[override("fleet", "f2", 50)])
    assert numbers(limits(known), "R18", "set") == [75.0, 50.0]
    assert numbers(limits(known), "R15", "duration") == [600.0, 1800.0]


def test_what_is_known_first_counts_for_the_time_before_too() -> None:
    known = in_force(vehicle(vehicle_type="van", valid_from=START + 2 * MINUTE))
    assert numbers(limits(known), "R18", "set") == [70.0]


def test_changes_of_one_vehicle_do_not_touch_another() -> None:
    later = vehicle("a", vehicle_type="truck", valid_from=START + 2 * MINUTE)
    known = in_force(vehicle("a"), later, vehicle("b"))
    both = (Drive(vehicle_id=name).phase(300) for name in ("a", "b"))
    assert numbers(limits(known, *both), "R18", "set") == [75.0, 65.0, 75.0]


def test_a_vehicle_that_nobody_knows_has_the_numbers_that_need_no_type() -> None:
    nobody = InForce(VEHICLE_SCHEMA.to_frame(), OVERRIDE_SCHEMA.to_frame())
    made = limits(nobody)
    assert numbers(made, "R22", "set") == [110.0]
    assert np.isnan(made.of("R18", "set")).all()
    assert set(made.ineligible["R18"]) == {"no limit for its vehicle type"}
