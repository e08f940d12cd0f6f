"""Harsh manoeuvres among ordinary ones, over bad roads, at each rate that the rules claim."""

from __future__ import annotations

import pytest

from bench.harsh import KINDS, drive, found_in, sampled, score, single_samples

ROAD = drive(2 * 3600, seed=11)


@pytest.mark.parametrize(
    ("rate_hz", "least_recall", "most_alarms"), [(51, 0.97, 1), (10, 0.97, 2), (1, 0.85, 2)]
)
def test_by_accelerometer(rate_hz: float, least_recall: float, most_alarms: float) -> None:
    rows = sampled(ROAD, rate_hz)
    recall, alarms = score(ROAD, found_in(rows))
    assert min(recall.values()) >= least_recall, recall
    assert alarms <= most_alarms
    _, naive = score(ROAD, single_samples(rows))
    assert naive > 5 * most_alarms  # the road is bad enough to tell them apart


@pytest.mark.parametrize(("rate_hz", "least_recall"), [(51, 0.95), (10, 0.95), (1, 0.75)])
def test_by_wheel_speed_alone(rate_hz: float, least_recall: float) -> None:
    recall, alarms = score(ROAD, found_in(sampled(ROAD, rate_hz, has_accelerometer=False)))
    assert min(recall[kind] for kind in KINDS[:2]) >= least_recall, recall
    assert recall[KINDS[2]] == 0
    assert alarms <= 1


def test_too_slow_to_be_judged() -> None:
    for has_accelerometer in (True, False):
        rows = sampled(ROAD, 0.2, has_accelerometer=has_accelerometer)
        assert found_in(rows).is_empty()
