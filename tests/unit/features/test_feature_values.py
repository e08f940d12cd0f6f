"""Each feature's value by an example that is computed by hand, and a case in which it is null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from feature_rows import CONFLICT, NULL, rows, value

from fleet_assets.features.catalogue import read_features
from fleet_assets.features.kernel import feature_windows

T10, T60, T300 = range(10), range(60), range(300)
DEGREE_M = 111_195.08
MPH_M = 0.44704


def pairs(values: Sequence[float], count: int = 60) -> list[float]:
    """Every value twice, over and over."""
    return [values[n // 2 % len(values)] for n in range(count)]


def north(mph: float, count: int) -> list[float]:
    """Latitudes second by second of a drive to the north."""
    return [41.6 + n * mph * MPH_M / DEGREE_M for n in range(count)]


def steps(*phases: tuple[int, float]) -> list[float]:
    """So many values of each."""
    return [each for count, each in phases for _ in range(count)]


BRAKING_TWICE = [
    *steps((100, 60.0)), 51.0, 42.0, 33.0, 24.0, *steps((96, 24.0)), 15.0, 6.0, *steps((98, 6.0))
]  # fmt: skip
STEADY = {"gps_lon": -93.6, "speed": 40.0}
COUPLED = {"engine_rpm": [*steps((30, 2000.0), (30, 2200.0))], "speed": 40.0}

EXAMPLES: list[tuple[str, float, pl.DataFrame, float]] = [
    ("rpm_mean_10s", 1450, rows(T10, engine_rpm=[1000 + 100 * n for n in T10]), 10),
    ("rpm_mean_60s", 1295, rows(T60, engine_rpm=[1000 + 10 * n for n in T60]), 60),
    ("speed_mean_60s", 29.5, rows(T60, speed=[float(n) for n in T60]), 60),
    ("speed_mean_300s", 14.95, rows(T300, speed=[n / 10 for n in T300]), 300),
    ("throttle_mean_60s", 12.5, rows(T60, throttle_position=12.5), 60),
    ("load_mean_60s", 33, rows(T60, engine_load=33.0), 60),
    ("coolant_mean_60s", 85.9, rows(T60, coolant_temp=[80 + 0.2 * n for n in T60]), 60),
    ("battery_mean_60s", 14.1, rows(T60, battery_voltage=14.1), 60),
    ("fuel_mean_300s", 55, rows(T300, fuel_level=55.0), 300),
    ("rpm_std_10s", 100, rows(T10, engine_rpm=[900.0, 1100.0] * 5), 10),
    ("rpm_std_60s", 100, rows(T60, engine_rpm=[900.0, 1100.0] * 30), 60),
    ("speed_std_60s", 5, rows(T60, speed=[35.0, 45.0] * 30), 60),
    ("throttle_std_60s", 2, rows(T60, throttle_position=[10.0, 14.0] * 30), 60),
    ("battery_std_60s", 0.5, rows(T60, battery_voltage=[13.5, 14.5] * 30), 60),
    ("accel_z_std_10s", 1.25, rows(T10, accel_z=[8.55, 11.05] * 5), 10),
    ("coolant_slope_60s", 6, rows(T60, coolant_temp=[70 + 0.1 * n for n in T60]), 60),
    ("coolant_slope_300s", -3, rows(T300, coolant_temp=[100 - 0.05 * n for n in T300]), 300),
    ("rpm_slope_10s", 50, rows(T10, engine_rpm=[800 + 50 * n for n in T10]), 10),
    ("speed_slope_10s", -2, rows(T10, speed=[40 - 2.0 * n for n in T10]), 10),
    ("fuel_slope_300s", -1.2, rows(T300, fuel_level=[60 - 0.02 * n for n in T300]), 300),
    ("rpm_max_60s", 4321, rows(T60, engine_rpm=[*steps((59, 900.0)), 4321.0]), 60),
    ("coolant_max_300s", 111, rows(T300, coolant_temp=[111.0, *steps((299, 90.0))]), 300),
    ("battery_min_60s", 9.6, rows(T60, battery_voltage=[*steps((30, 14.0)), *[9.6] * 30]), 60),
    ("rpm_jump_10s", 600, rows(T10, engine_rpm=steps((5, 1400.0), (5, 800.0))), 10),
    ("speed_jump_10s", 7.5, rows(range(0, 10, 2), speed=[0.0, 0, 15, 15, 15]), 10),
    ("idle_share_300s", 149 / 299,
     rows(T300, engine_rpm=800.0, speed=steps((150, 0.0), (150, 40.0))), 300),
    ("moving_share_300s", 100 / 299, rows(T300, speed=steps((200, 2.9), (100, 3.0))), 300),
    ("harsh_braking_count_300s", 2, rows(T300, speed=BRAKING_TWICE), 300),
    ("harsh_acceleration_count_300s", 2, rows(T300, speed=BRAKING_TWICE[::-1]), 300),
    ("harsh_cornering_count_300s", 2,
     rows(T300, accel_y=steps((50, 0), (3, 4), (50, 0), (1, 9), (50, 0), (2, -4), (144, 0))), 300),
    ("gps_speed_gap_60s", 10, rows(T60, gps_lat=north(30, 60), **STEADY), 60),
    ("gps_distance_ratio_300s", 0.75, rows(T300, gps_lat=north(30, 300), **STEADY), 300),
    ("accel_speed_gap_60s", 0.4843,
     rows(T60, accel_x=steps((30, 2.0), (30, 3.0)), speed=40.0), 60),
    ("rpm_per_mph_60s", 50, rows(T60, engine_rpm=2000.0, speed=steps((20, 5), (40, 40))), 60),
    ("rpm_per_mph_change_60s", 50 / 55, rows(T60, **COUPLED), 60),
    ("throttle_load_corr_300s", 1,
     rows(T300, throttle_position=[n / 10 for n in T300], engine_load=[n / 5 for n in T300]), 300),
    ("rpm_repeat_share_60s", 30 / 59, rows(T60, engine_rpm=pairs([800, 810])), 60),
    ("speed_repeat_share_60s", 30 / 59, rows(T60, speed=pairs([40, 41])), 60),
    ("gps_repeat_share_60s", 30 / 59, rows(T60, gps_lat=pairs([41.6, 41.7]), **STEADY), 60),
    ("silent_share_300s", 201 / 300, rows(range(200, 300), speed=0.0), 300),
    ("rpm_missing_share_60s", 30 / 59,
     rows(T60, engine_rpm=[*steps((30, 800.0)), *[NULL] * 30], speed=0.0), 60),
    ("null_share_60s", 20 / 59, rows(T60, speed=[*steps((40, 0.0)), *[NULL] * 20]), 60),
]  # fmt: skip

BROKEN = [*range(30), *range(50, 60)]
NULLS: list[tuple[str, pl.DataFrame, float]] = [
    *(
        (name, rows(T60, accel_x=0.0), 60)
        for name in (
            "rpm_mean_10s", "rpm_mean_60s", "speed_mean_60s", "throttle_mean_60s",
            "load_mean_60s", "coolant_mean_60s", "battery_mean_60s", "rpm_max_60s",
            "battery_min_60s",
        )
    ),
    *(
        (name, rows(T300, accel_x=0.0), 300)
        for name in (
            "speed_mean_300s", "fuel_mean_300s", "coolant_max_300s", "moving_share_300s",
        )
    ),
    *(
        (name, rows(T60, accel_x=0.0, **{signal: [*[None] * 59, 5.0]}), 60)
        for name, signal in (
            ("rpm_std_10s", "engine_rpm"), ("rpm_std_60s", "engine_rpm"),
            ("speed_std_60s", "speed"), ("throttle_std_60s", "throttle_position"),
            ("battery_std_60s", "battery_voltage"), ("accel_z_std_10s", "accel_z"),
            ("rpm_jump_10s", "engine_rpm"), ("speed_jump_10s", "speed"),
        )
    ),
    ("coolant_slope_60s", rows(BROKEN, coolant_temp=[float(t) for t in BROKEN]), 60),
    ("coolant_slope_300s", rows(T60, coolant_temp=90.0), 60),
    ("rpm_slope_10s", rows([0, 1, 2, 3], engine_rpm=[0.0, 1, 2, 3]), 10),
    ("speed_slope_10s", rows([0, 1, 2, 3], speed=[0.0, 1, 2, 3]), 10),
    ("fuel_slope_300s", rows(T60, fuel_level=60.0), 60),
    ("idle_share_300s", rows(T10, engine_rpm=[800, None] * 5, speed=[None, 0.0] * 5), 10),
    ("harsh_braking_count_300s", rows(range(0, 300, 3), speed=[60.0, 0.0] * 50), 300),
    ("harsh_acceleration_count_300s", rows(range(0, 300, 3), speed=[60.0, 0.0] * 50), 300),
    ("harsh_cornering_count_300s", rows(range(0, 300, 3), accel_y=9.0), 300),
    ("gps_speed_gap_60s", rows(T60, gps_lat=0.0, gps_lon=0.0, speed=40.0), 60),
    ("gps_distance_ratio_300s", rows(T300, gps_lat=41.6, gps_lon=-93.6, speed=0.0), 300),
    ("accel_speed_gap_60s", rows(range(6), accel_x=0.0, speed=0.0), 10),
    ("rpm_per_mph_60s", rows(T60, engine_rpm=2000.0, speed=9.9), 60),
    ("rpm_per_mph_change_60s", rows(T60, engine_rpm=2000.0, speed=[40, 40, 40, 40, 5] * 12), 60),
    ("throttle_load_corr_300s",
     rows(T300, throttle_position=20.0, engine_load=[n / 5 for n in T300]), 300),
    ("rpm_repeat_share_60s", rows(T60, engine_rpm=0.0), 60),
    ("speed_repeat_share_60s", rows(T60, speed=0.0), 60),
    ("gps_repeat_share_60s", rows(T60, gps_lat=41.6, gps_lon=-93.6, speed=0.0), 60),
    ("rpm_missing_share_60s", rows(T60, speed=0.0), 60),
    ("null_share_60s", rows([55], speed=[NULL]), 60),
]  # fmt: skip
NEVER_NULL = {"silent_share_300s"}


@pytest.mark.parametrize(("feature", "expected", "frame", "end_s"), EXAMPLES)
def test_value(feature: str, expected: float, frame: pl.DataFrame, end_s: float) -> None:
    assert value(feature, frame, end_s) == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(("feature", "frame", "end_s"), NULLS)
def test_null(feature: str, frame: pl.DataFrame, end_s: float) -> None:
    assert value(feature, frame, end_s) is None


def test_every_feature_has_an_example_and_a_null() -> None:
    computed = {f.name for f in read_features().features if f.measure}
    assert {each[0] for each in EXAMPLES} == computed
    assert {each[0] for each in NULLS} == computed - NEVER_NULL


def test_silence_is_all_of_a_window_with_one_message() -> None:
    assert value("silent_share_300s", rows([5]), 10) == 1


@pytest.mark.parametrize(
    ("between", "at_s", "usual", "expected"),
    [
        (None, range(5), 1.0, 300.0),  # a message that does not name it
        (NULL, range(5), 1.0, 0.0),
        (CONFLICT, range(5), 1.0, 0.0),
        (None, [0, 1, 2, 8, 9], 1.0, 0.0),  # 7 s of silence
        (None, [0, 1, 2, 8, 9], 5.0, 600 / 7),
    ],
)
def test_no_difference_is_taken_across(
    between: Any, at_s: Sequence[float], usual: float, expected: float
) -> None:
    frame = rows(at_s, engine_rpm=[800.0, 800.0, between, 1400.0, 1400.0], speed=0.0)
    found = value("rpm_jump_10s", frame, 10, usual_intervals={"v1": usual})
    assert found == pytest.approx(expected)


def test_a_value_after_silence_counts_alone() -> None:
    frame = rows([3], engine_rpm=1234.0)
    assert value("rpm_mean_10s", frame, 10) == 1234


def test_opposite_and_unrelated_signals_have_their_correlation() -> None:
    loads = [[10.0, 30.0, 30.0, 10.0] * 75, [30.0, 30.0, 10.0, 10.0] * 75]
    throttle = [10.0, 10.0, 30.0, 30.0] * 75
    found = [
        value("throttle_load_corr_300s", rows(T300, throttle_position=throttle, engine_load=x), 300)
        for x in loads
    ]
    assert found == [pytest.approx(0, abs=0.01), pytest.approx(-1, abs=1e-6)]


def test_the_antimeridian_is_no_journey() -> None:
    metre = 1 / DEGREE_M
    east = [179.9999 + n * 13.4112 * metre / 5 for n in range(300)]
    lon = [x - 360 if x > 180 else x for x in east]
    for rate in (1, 5):  # by whole seconds, and by means of five
        at_s = [n / 5 for n in range(0, 300, 5 // rate)]
        frame = rows(at_s, gps_lat=0.0, gps_lon=lon[:: 5 // rate], speed=30.0)
        found = value("gps_speed_gap_60s", frame, 60)
        assert found == pytest.approx(0, abs=0.1)


def test_rows_are_where_a_vehicle_has_sent() -> None:
    frame = pl.concat([rows([5, 41], "v2", speed=1.0), rows([15], "v1", speed=1.0)])
    found = feature_windows(frame)
    seconds = found["window_end"].dt.second().to_list()
    assert list(zip(found["vehicle_id"], seconds, strict=True)) == [
        ("v1", 20), ("v2", 10), ("v2", 50)
    ]  # fmt: skip
