"""Law of all detectors: judged hour by hour a history gives what one pass gives.

Drives are drawn with parking gaps, silences, unknown stretches and steps, near the turns of hours.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from drives import ABSENT, NULL, START, Drive, found, found_by_hours
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


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(PHASES, min_size=1, max_size=8),
    st.integers(0, 900),
    st.sampled_from([1.0, 0.2, 5.0]),
)
def test_hour_by_hour_is_as_one_pass(
    phases: list[tuple[float, dict[str, Any], float]], before_s: int, rate_hz: float
) -> None:
    noise = {"speed": 0.05, "engine_rpm": 4.0, "accel_x": 0.1, "accel_y": 0.1, "gps_lat": 1e-6}
    drive = Drive(rate_hz, start=HOUR - timedelta(seconds=before_s), noise=noise)
    drive.phase(5)
    for seconds, signals, gap in phases:
        drive.phase(seconds, **signals)
        drive.gap(gap)
    drive.phase(10)
    assert_frame_equal(found_by_hours(drive).drop("is_open"), found(drive).drop("is_open"))
