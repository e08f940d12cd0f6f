"""Harsh events: shocks, events apart, rates between two ways of measuring. More in stories."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from drives import ABSENT, WANTED, Drive, G, found, in_force, pieces, vehicle

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.samples import samples_of

NOISE = {"engine_rpm": 12.0, "speed": 0.1, "accel_x": 0.1, "accel_y": 0.1, "accel_z": 0.1}
Story = Callable[[Drive], Drive]


def change(share_g: float, seconds: float = 2.0) -> Story:
    """Brakes or speeds up; wheels and accelerometer agree."""

    def story(trip: Drive) -> Drive:
        speed = trip.signals["speed"]
        assert isinstance(speed, float)
        mph = max(speed + share_g * G * 2.23694 * seconds, 0.0)
        return trip.travel(seconds, (speed, mph)).phase(5, accel_x=0.0)

    return story


def corner(g: float, seconds: float = 3.0) -> Story:
    return lambda d: d.phase(seconds, accel_y=g * G).phase(5, accel_y=0.0)


def shock(g: float, seconds: float) -> Story:
    """The accelerometer alone, in short and long."""
    return lambda d: d.phase(seconds, accel_x=-g * G).phase(5, accel_x=0.0)


def drive(rate_hz: float) -> Drive:
    trip = Drive(rate_hz, noise=dict(NOISE)).phase(120)
    return trip.phase(1, engine_rpm=2000.0).travel(20, (0, 45)).phase(1, accel_x=0.0).travel(30, 45)


def harsh_rules(trip: Drive, kind: str = "sedan") -> list[str]:
    rows = found(trip.phase(15), known=in_force(vehicle(vehicle_type=kind)))
    return rows.filter(pl.col("anomaly_type").str.starts_with("harsh"))["rule_id"].to_list()


@pytest.mark.parametrize(
    ("rate_hz", "g", "seconds", "expected"),
    [
        (51, 4.0, 0.02, []),  # a pothole
        (51, 0.9, 0.2, []),  # a bump
        (51, 2.5, 0.6, ["R06"]),  # the accelerometer says so, the wheels do not: no collision
        (1, 4.0, 1, []),  # one sample that nothing confirms
    ],
)
def test_shocks(rate_hz: float, g: float, seconds: float, expected: list[str]) -> None:
    assert harsh_rules(shock(g, seconds)(drive(rate_hz))) == expected


def test_events_apart_are_two_and_close_by_with_a_pause_too() -> None:
    trip = drive(10)
    for _ in range(2):
        change(-0.54, 1.5)(trip).phase(3, accel_x=0.0)
    assert harsh_rules(trip) == ["R05", "R05"]


def test_a_vehicle_in_the_workshop_is_not_judged() -> None:
    trip = change(-0.7)(drive(10)).phase(10)
    rows = found(trip, known=in_force(vehicle(status="maintenance")))
    assert rows.is_empty()


def test_wheels_and_accelerometer_in_messages_of_their_own_make_one_event() -> None:
    rows = change(-0.54)(drive(10)).phase(10).rows
    fifth = pl.int_range(pl.len()) % 5 == 0
    axes = ("accel_x", "accel_y", "accel_z")
    apart = rows.with_columns(
        speed=pl.when(fifth).then("speed"), **{axis: pl.when(~fifth).then(axis) for axis in axes}
    )
    seen = samples_of(apart, WANTED)
    shown = findings_of(pieces(seen), read_catalogue())
    assert shown["rule_id"].to_list() == ["R05"]


def test_where_the_accelerometer_has_failed_the_wheels_count() -> None:
    trip = drive(1).phase(10, accel_x=ABSENT, accel_y=ABSENT, accel_z=ABSENT)
    assert harsh_rules(trip.travel(4, (45, 0))) == ["R05"]


@pytest.mark.parametrize(
    "rate_hz", [0.5, 0.7, 1.5, 2.5, 3.0, 3.4, 3.7, 4.0, 4.9, 5.0, 5.1, 6.5, 8.0, 25.0]
)
def test_no_rate_falls_between_two_ways_of_measuring(rate_hz: float) -> None:
    assert harsh_rules(change(-0.54, 3.5)(drive(rate_hz))) == ["R05"]
    assert harsh_rules(change(-0.41, 3.5)(drive(rate_hz))) == []
    if rate_hz >= 1:
        assert harsh_rules(corner(0.52, 4.5)(drive(rate_hz))) == ["R12"]
