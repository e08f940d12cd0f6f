"""What lies between samples: silence, failures, conflicts, stale values; where hours are cut."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from drives import ABSENT, NULL, START, WANTED, Drive, found_by_hours, pieces
from drives import found as found_in
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.samples import samples_of


def found_in_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return findings_of(pieces(samples_of(rows, WANTED)), read_catalogue())


def of_type(rows: pl.DataFrame, kind: str) -> list[str]:
    return rows.filter(pl.col("anomaly_type") == kind)["rule_id"].to_list()


def plain_car(rate_hz: float = 1.0) -> Drive:
    """No accelerometer; drives at 40 mph."""
    trip = Drive(rate_hz, noise={"engine_rpm": 12.0})
    trip.phase(60, accel_x=ABSENT, accel_y=ABSENT, accel_z=ABSENT, engine_rpm=2000.0)
    return trip.travel(20, (0, 40)).travel(30, 40)


@pytest.mark.parametrize("rate_hz", [1.0, 10.0])
def test_a_logger_that_catches_up_is_no_manoeuvre(rate_hz: float) -> None:
    trip = plain_car(rate_hz).phase(20, speed=11.0).phase(20, speed=38.0).phase(20, speed=8.0)
    assert not {"harsh_acceleration", "harsh_braking"} & set(found_in(trip)["anomaly_type"])


@pytest.mark.parametrize("rate_hz", [0.5, 1.0, 10.0])
def test_hard_braking_by_wheel_speed_alone_is_found(rate_hz: float) -> None:
    trip = plain_car(rate_hz).travel(4, (40, 8)).travel(30, 8)  # 0.36 g · 8 mph each second
    assert of_type(found_in(trip), "harsh_braking") == []
    trip = plain_car(rate_hz).travel(4, (48, 2)).travel(30, 2)
    assert of_type(found_in(trip), "harsh_braking") == ["R05"]


def test_no_slope_is_taken_over_a_step_that_is_too_long() -> None:
    trip = plain_car().gap(3).phase(30, speed=0.0)  # 40 mph less within 4 s: 0.45 g
    trip = trip.travel(20, (0, 60)).travel(30, 60).gap(2).phase(30, speed=30.0)
    assert of_type(found_in(trip), "harsh_braking") == []


@pytest.mark.parametrize("failure", ["conflict", "null"])
def test_no_difference_is_taken_over_a_failure(failure: str) -> None:
    trip = plain_car()
    if failure == "null":
        trip.phase(1, speed=NULL, coolant_temp=NULL, gps_lat=NULL, gps_lon=NULL)
    else:
        trip.phase(1)
    rows = trip.phase(30, speed=16.0, coolant_temp=140.0, gps_lat=41.7, gps_lon=-93.6).rows
    second = (pl.col("event_time") - START).dt.total_seconds()
    rows = rows.with_columns(conflict=(second == 110) & (failure == "conflict"))
    shown = set(found_in_rows(rows)["condition"])
    assert not shown & {"R05", "R30", "R36/speed", "R36/coolant_temp"}
    agreed = found_in_rows(rows.filter(second != 110))
    assert {"R05", "R36/coolant_temp"} <= set(agreed["condition"])


def test_signals_with_rates_of_their_own_have_differences() -> None:
    rows = plain_car(10).travel(4, (48, 2)).travel(30, 2).rows
    tenth = (pl.col("event_time") - START).dt.total_milliseconds() % 500 == 0
    rows = rows.with_columns(speed=pl.when(tenth).then("speed"))
    assert of_type(found_in_rows(rows), "harsh_braking") == ["R05"]


def test_a_fast_car_is_no_wrong_sensor() -> None:
    trip = plain_car()
    for mph in range(40, 155, 5):  # positions go evenly within each part
        trip.travel(3, (mph, mph + 5))
    trip.travel(20, 155)
    assert of_type(found_in(trip), "gps_anomaly") == []
    at = trip.signals["gps_lat"]
    assert isinstance(at, float)
    trip.phase(5, speed=40.0).phase(20, speed=156.0, gps_lat=(at, at + 20 * 18 / 111_195))
    assert "R29" in of_type(found_in(trip), "gps_anomaly")


def test_a_shock_right_after_a_silence_is_no_harsh_braking() -> None:
    trip = Drive(51, noise={"accel_x": 0.25}).phase(20).travel(20, (0, 40)).travel(20, 40)
    for _ in range(5):
        trip.gap(10).phase(0.02, accel_x=0.0).phase(0.04, accel_x=-8.0).phase(4, accel_x=0.0)
    assert of_type(found_in(trip), "harsh_braking") == []


Step = st.tuples(
    st.sampled_from(["drive", "brake", "corner", "leap", "freeze", "null", "gap", "jump"]),
    st.integers(1, 40),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(Step, min_size=3, max_size=8),
    st.sampled_from([0.5, 1.0, 5.0]),
    st.integers(60, 240),
)
def test_wherever_the_hour_turns(steps: list[tuple[str, int]], rate: float, before: int) -> None:
    hour = START.replace(minute=0) + timedelta(hours=1)
    noise = {"accel_x": 0.3, "accel_y": 0.3, "speed": 0.2, "engine_rpm": 20.0, "gps_lon": 1e-5}
    trip = Drive(rate, start=hour - timedelta(seconds=before), noise=noise).phase(50)
    trip.travel(20, (0, 40))
    for what, size in steps:
        speed, lat = trip.signals["speed"], trip.signals["gps_lat"]
        mph = speed if isinstance(speed, float) else 40.0
        at = lat if isinstance(lat, float) else 41.6
        if what == "drive":
            trip.travel(size, (mph, 40.0)).phase(1, accel_x=0.0)
        elif what == "brake":
            trip.travel(2, (mph, 2.0)).phase(size, accel_x=0.0)
        elif what == "corner":
            trip.phase(2, accel_y=2.0 + size / 5).phase(3, accel_y=0.0)
        elif what == "leap":
            trip.phase(size, speed=mph + 60, engine_rpm=7000.0).phase(1, speed=mph)
        elif what == "freeze":
            trip.noise = {k: v for k, v in noise.items() if k in ("accel_x", "speed")}
            trip.travel(60 + size, (mph, 60.0)).travel(60, (60.0, mph))
            trip.noise = noise
        elif what == "null":
            trip.phase(size, speed=NULL, gps_lat=NULL).phase(1, speed=mph, gps_lat=at)
        elif what == "gap":
            trip.gap(size)
        else:
            trip.phase(size, gps_lat=at + 0.01).phase(1, gps_lat=at)
    trip.phase(20)
    whole = found_in(trip)
    assert_frame_equal(found_by_hours(trip).drop("is_open"), whole.drop("is_open"))


def test_the_first_fix_after_a_long_silence_repeats_none() -> None:
    trip = Drive().phase(120, speed=60.0).gap(7200).phase(120, speed=60.0)
    whole, by_hours = (
        rows.filter(pl.col("rule_id") == "R33")["started_at"].to_list()
        for rows in (found_in(trip), found_by_hours(trip))
    )
    assert whole == [START + timedelta(seconds=1), START + timedelta(seconds=7321)]
    assert by_hours == whole
