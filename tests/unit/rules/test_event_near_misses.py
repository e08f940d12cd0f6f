"""Positions and sensors: for each rule what is found, what is just not, and what is not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from drives import ABSENT, NULL, Drive, found

NOISE = {"engine_rpm": 12.0, "speed": 0.15, "accel_x": 0.05, "accel_y": 0.05, "accel_z": 0.05}
DEGREE_M = 111_195.0
Story = Callable[[Drive], Drive]


def at(trip: Drive) -> float:
    lat = trip.signals["gps_lat"]
    assert isinstance(lat, float)
    return lat


def offset(metres: float, seconds: float = 1.0) -> Story:
    """The position stands so far aside for a while."""

    def story(trip: Drive) -> Drive:
        true = at(trip)
        return trip.phase(seconds, gps_lat=true + metres / DEGREE_M).phase(1, gps_lat=true)

    return story


def glide(mph: float, seconds: float, **others: Any) -> Story:
    """The position moves at a speed, whatever the vehicle does."""

    def story(trip: Drive) -> Drive:
        metres = mph / 2.23694 * seconds
        return trip.phase(seconds, gps_lat=(at(trip), at(trip) + metres / DEGREE_M), **others)

    return story


def parked(story: Story, **noise: float) -> Story:
    """The story after a stop of two minutes."""

    def stopped(trip: Drive) -> Drive:
        trip.travel(20, (40, 0)).phase(1, accel_x=0.0)
        trip.noise = {k: v for k, v in NOISE.items() if k != "speed"} | noise
        return story(trip.phase(120))

    return stopped


def still(what: str, seconds: float, moving: bool = True) -> Story:
    """A signal without noise for a while, in traffic or on a lonely road."""

    def story(trip: Drive) -> Drive:
        axes = ("accel_x", "accel_y", "accel_z") if what == "accelerometer" else (what,)
        trip.noise = {k: v for k, v in NOISE.items() if k not in axes}
        for n in range(int(seconds // 20)):
            mph = (40, 55) if n % 2 else (55, 40)
            if what == "speed":
                rpm = (2000.0, 2800.0) if n % 2 else (2800.0, 2000.0)
                trip.phase(20, speed=40.0, engine_rpm=rpm if moving else 2000.0)
            else:
                trip.travel(20, mph if moving else 40, accelerometer=what != "accelerometer")
        trip.noise = dict(NOISE)
        return trip

    return story


def lose(*signals: str, to: Any, seconds: float) -> Story:
    return lambda d: d.phase(seconds, **dict.fromkeys(signals, to))


STORIES: list[tuple[str, Story, set[str]]] = [
    ("R30 jump", offset(800), {"R30"}),
    ("R30 near", offset(450), set()),
    ("R30 after a gap, where it drove to", lambda d: d.gap(45).phase(1, gps_lat=at(d) + 0.0072),
     set()),
    ("R30 unknown", lambda d: d.phase(1, gps_lat=NULL, gps_lon=NULL).phase(
        1, gps_lat=at(d) + 0.01 if isinstance(d.signals["gps_lat"], float) else 41.7,
        gps_lon=-93.6), set()),
    ("R31 apart", glide(100, 20, speed=40.0), {"R31"}),
    ("R31 near", glide(68, 20, speed=40.0), set()),
    ("R31 too short", glide(100, 7, speed=40.0), set()),
    ("R31 near, by its share", glide(78, 20, speed=40.0), set()),
    ("R31 unknown", glide(100, 20, speed=ABSENT), set()),
    ("R32 forged", parked(glide(25, 20)), {"R32"}),
    ("R32 near", parked(glide(17, 20)), set()),
    ("R32 it does move", parked(glide(25, 20), accel_x=1.5, accel_y=1.5), set()),
    ("R32 too short", parked(glide(25, 7)), set()),
    ("R33 no fix", lose("gps_lat", "gps_lon", to=0.0, seconds=8), {"R33/zero"}),
    ("R33 no fix while standing", parked(lose("gps_lat", "gps_lon", to=0.0, seconds=60)), set()),
    ("R33 same fix", lambda d: d.phase(75), {"R33/same"}),
    ("R33 same fix, too short", lambda d: d.phase(50), set()),
    ("R33 tunnel", lose("gps_lat", "gps_lon", to=ABSENT, seconds=120), set()),
    ("R35 rpm", still("engine_rpm", 200), {"R35/engine_rpm"}),
    ("R35 rpm, steady drive", still("engine_rpm", 200, moving=False), set()),
    ("R35 rpm, too short", still("engine_rpm", 80), set()),
    ("R35 speed", still("speed", 200), {"R35/speed"}),
    ("R35 speed, cruise control", still("speed", 200, moving=False), set()),
    ("R35 accelerometer", still("accelerometer", 200), {"R35/accelerometer"}),
    ("R35 throttle is not judged", still("throttle_position", 200), set()),
    ("R35 unknown", lambda d: d.phase(200, speed=40.0, engine_rpm=ABSENT), set()),
    ("R36 near, rpm", lambda d: d.phase(5, engine_rpm=5500.0).phase(1, engine_rpm=2000.0), set()),
    ("R36 near, coolant", lambda d: d.phase(5, coolant_temp=94.0).phase(1, coolant_temp=85.0),
     set()),
    ("R36 coolant", lambda d: d.phase(5, coolant_temp=40.0), {"R36/coolant_temp"}),
    ("R36 after a null", lambda d: d.phase(2, coolant_temp=NULL).phase(5, coolant_temp=40.0),
     set()),
    ("R34 null", lose("coolant_temp", to=NULL, seconds=15), {"R34/coolant_temp"}),
    ("R34 near", lambda d: d.phase(8, coolant_temp=NULL).phase(1, coolant_temp=85.0), set()),
    ("R34 absent", lose("coolant_temp", to=ABSENT, seconds=60), set()),
]  # fmt: skip


@pytest.mark.parametrize("rate_hz", [1.0, 5.0])
@pytest.mark.parametrize(("name", "story", "expected"), STORIES, ids=[s[0] for s in STORIES])
def test_found_and_just_not(name: str, story: Story, expected: set[str], rate_hz: float) -> None:
    trip = Drive(rate_hz, noise=dict(NOISE)).phase(120)
    trip.phase(1, engine_rpm=2000.0, throttle_position=30.0).travel(20, (0, 40)).travel(40, 40)
    rule = name.partition(" ")[0]
    rows = found(story(trip).travel(20, 40))
    shown = set(rows.filter(pl.col("condition").str.starts_with(rule))["condition"])
    assert shown == expected


def test_a_sensor_that_all_else_depends_on_is_graver() -> None:
    trip = Drive(1, noise=dict(NOISE)).phase(30).phase(20, coolant_temp=NULL, fuel_level=NULL)
    rows = found(trip).filter(pl.col("rule_id") == "R34")
    shown = dict(rows.select("condition", "severity").iter_rows())
    assert shown == {"R34/coolant_temp": "high", "R34/fuel_level": "medium"}
