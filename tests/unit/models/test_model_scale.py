"""The scale of what is usual, what has to do with which device, and what settling takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.models.devices import DEVICES, RESIDUALS_OF, devices_of_input, inputs_of
from fleet_assets.models.evidence import EVIDENCE, evidence_of
from fleet_assets.models.frame import INPUTS
from fleet_assets.models.healthy import TARGETS
from fleet_assets.models.scale import placed
from fleet_assets.models.settling import allowance, habit_allowance


def test_marks_lie_at_whole_numbers() -> None:
    found = placed(np.array([0, 2, 5, 9, 13, 17]), 0.0, 2.0, 5.0, 9.0, 13.0)
    assert found == pytest.approx([-2 + 1 / 3, -1, 0, 1, 2, 3], abs=0.34)
    assert found[2:] == pytest.approx([0, 1, 2, 3])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20),
    st.lists(st.floats(-1e4, 1e4), min_size=5, max_size=5, unique=True),
)
def test_more_is_never_less(given_values: list[float], marks: list[float]) -> None:
    lowest, low, usual, high, highest = sorted(marks)
    low, high = min(low, usual - 1e-3), max(high, usual + 1e-3)
    values = np.sort(given_values)
    assert (np.diff(placed(values, lowest, low, usual, high, highest)) >= -1e-9).all()


def test_a_tail_that_is_long_counts_less() -> None:
    short, long = (placed(np.array([30.0]), 0.0, 0.0, 5.0, 10.0, end)[0] for end in (12.0, 30.0))
    assert short > long == pytest.approx(2)


def test_without_tails_it_goes_on_as_before() -> None:
    far = placed(np.array([5.0, 13.0, -1.0]), 0.0, 2.0, 5.0, 9.0, 11.0, tails=False)
    assert far == pytest.approx([0, 2, -2])


def test_every_input_belongs_to_a_device_or_to_messages_as_such() -> None:
    lonely = {name for name in INPUTS if not devices_of_input(name)}
    assert lonely == {"silent_share_300s", "null_share_60s"}
    assert {name for device in DEVICES for name in inputs_of(device)} == set(INPUTS) - lonely
    assert devices_of_input("gps_lat_null") == frozenset()
    assert devices_of_input("gps_speed_gap_60s") == {"gps", "speed"}
    assert devices_of_input("accel_x_same_travel") == {"accelerometer"}


@pytest.mark.parametrize("device", DEVICES)
def test_evidence_of_a_device_is_evidence(device: str) -> None:
    assert set(evidence_of(device)) <= set(EVIDENCE)
    assert set(RESIDUALS_OF.get(device, ())) <= set(TARGETS)


def times(count: int) -> pl.Series:
    start = datetime(2026, 11, 2, 8, tzinfo=UTC)
    return pl.Series([start + n * timedelta(seconds=10) for n in range(count)])


def alarms(odds: np.ndarray, less: np.ndarray, threshold: float) -> int:
    """Blocks of ten minutes with two of three windows over the threshold."""
    hot = ((odds - less).max(axis=1) >= threshold).astype(int)
    two = hot + np.roll(hot, 1) + np.roll(hot, 2) >= 2
    return len({n // 60 for n in np.flatnonzero(two & (hot > 0)) if n >= 2})


@given(st.integers(0, 10_000), st.floats(1, 5))
def test_what_is_left_keeps_to_the_budget(seed: int, most: float) -> None:
    odds = np.random.default_rng(seed).normal(0, 1, (600, 4))
    less = allowance(times(600), odds, 0.5, most)
    assert (less >= 0).all()
    assert alarms(odds, less, 0.5) <= most


def test_what_never_speaks_loses_nothing() -> None:
    odds = np.full((600, 2), -3.0)
    odds[100:110, 1] = 4.0
    less = allowance(times(600), odds, 1.0, 0.9)
    assert less[0] == 0
    assert less[1] == pytest.approx(3 - np.log10(0.9), abs=1e-3)


def test_less_than_one_allowed_alarm_takes_more() -> None:
    odds = np.full((300, 1), 2.0)
    tenth, one = (allowance(times(300), odds, 1.0, most)[0] for most in (0.1, 0.99))
    assert tenth - one == pytest.approx(np.log10(9.9), abs=1e-3)


def test_one_alarm_of_a_habit_is_borne_however_long_two_are_not() -> None:
    odds = np.full((1200, 2), -3.0)
    odds[100:250] = 4.0  # over three blocks
    assert habit_allowance(times(1200), odds, 1.0, 0.1).tolist() == [0, 0]
    odds[600:605, 1] = 2.0
    less = habit_allowance(times(1200), odds, 1.0, 0.1)
    assert less[0] == 0
    assert less[1] == pytest.approx(1, abs=1e-3)
    assert habit_allowance(times(1200), odds, 1.0, 2.5).tolist() == [0, 0]
