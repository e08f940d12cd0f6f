"""Laws of all detectors: neither cuts of a history nor the company of a vehicle change anything.

Drives are drawn with parking gaps, silences, unknown stretches and steps, near the turns of hours.
"""

from __future__ import annotations

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
    pieces,
    samples,
    vehicle,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

HOUR = START.replace(minute=0) + timedelta(hours=1)
SIGNALS: dict[str, list[Any]] = {
    "engine_rpm": [800.0, 2500.0, 5650.0, 6100.0, 6700.0, 0.0, ABSENT, NULL],
    "speed": [0.0, 0.5, 2.0, 5.0, 40.0, 74.0, 78.0, 90.0, 105.0, ABSENT, (40.0, 0.0), (0.0, 60.0)],
    "coolant_temp": [60.0, 85.0, 104.0, 106.0, 111.0, 120.0, ABSENT, NULL, (95.0, 107.0)],
    "fuel_level": [60.0, 14.0, 12.0, 9.0, 4.0, ABSENT],
    "battery_voltage": [14.0, 13.1, 12.4, 11.5, 15.5, ABSENT],
    "accel_x": [0.0, -5.0, 5.0, -11.0, ABSENT],
    "accel_y": [0.0, 5.0, ABSENT],
    "gps_lat": [41.6, 41.61, 0.0, ABSENT, (41.6, 41.62)],
    "throttle_position": [12.0, 60.0],
}
PHASES = st.tuples(
    st.sampled_from([1.0, 3.0, 12.0, 35.0, 130.0, 320.0]),
    st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in SIGNALS.items()}
    ),
    st.sampled_from([0.0, 0.0, 0.0, 4.0, 30.0, 400.0, 5000.0]),
)


NOISE = {"speed": 0.05, "engine_rpm": 4.0, "accel_x": 0.1, "accel_y": 0.1, "gps_lat": 1e-6}


def drive_of(phases: list[tuple[float, dict[str, Any], float]], drive: Drive) -> Drive:
    drive.phase(5)
    for seconds, signals, gap in phases:
        drive.phase(seconds, **signals)
        drive.gap(gap)
    return drive.phase(10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(PHASES, min_size=1, max_size=8),
    st.integers(0, 900),
    st.sampled_from([1.0, 0.2, 5.0]),
)
def test_hour_by_hour_is_as_one_pass(
    phases: list[tuple[float, dict[str, Any], float]], before_s: int, rate_hz: float
) -> None:
    start = HOUR - timedelta(seconds=before_s)
    drive = drive_of(phases, Drive(rate_hz, start=start, noise=NOISE))
    assert_frame_equal(found_by_hours(drive).drop("is_open"), found(drive).drop("is_open"))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(PHASES, min_size=1, max_size=4), min_size=2, max_size=4),
    st.sampled_from([1, 100, 10**9]),
)
def test_a_vehicle_is_judged_alike_in_whatever_company(
    fleet: list[list[tuple[float, dict[str, Any], float]]], block_rows: int
) -> None:
    drives = [
        drive_of(phases, Drive(vehicle_id=f"v{n}", noise=NOISE, seed=n))
        for n, phases in enumerate(fleet)
    ]
    types = ("sedan", "truck", "bus")
    vehicles = [vehicle(f"v{n}", vehicle_type=types[n % 3]) for n in range(len(drives))]
    patient = {
        "rule_id": "R18", "parameter": "max_gap", "scope": "vehicle", "scope_value": "v1",
        "valid_from": HOUR - timedelta(days=1), "value": 7200.0,
    }  # fmt: skip
    known = in_force(*vehicles, overrides=[patient])
    alone = pl.concat([pieces(samples(drive), known) for drive in drives])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet_assets.rules.detect.BLOCK_ROWS", block_rows)
        together = pieces(samples(*drives), known)
    assert_frame_equal(together, alone, check_row_order=False)
