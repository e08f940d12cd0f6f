"""From scores to alarms: k of n, thresholds by budget, rarity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fleet_assets.models.alarms import Persistence, alarm_pieces, alarms, alarms_of, threshold_for
from fleet_assets.models.odds import Trust, calibrated, scored
from tests.model_data import BEGIN

STEP = timedelta(seconds=10)


def scores(values: Sequence[float | None], vehicle_id: str = "v1") -> pl.DataFrame:
    times = [BEGIN + STEP * (number + 1) for number in range(len(values))]
    return pl.DataFrame(
        {"vehicle_id": [vehicle_id] * len(values), "window_end": times, "score": values},
        schema={
            "vehicle_id": pl.String, "window_end": pl.Datetime("us", "UTC"), "score": pl.Float64,
        },
    )  # fmt: skip


def test_one_hot_window_is_no_alarm_and_two_of_three_are() -> None:
    assert alarms_of(scores([0, 1.5, 0, 0, 1.5, 0, 0]), 1.0).is_empty()
    found = alarms_of(scores([0, 1.5, 0, 1.5, 0, 0]), 1.0)
    assert found.height == 1
    assert found["detected_at"][0] == BEGIN + 4 * STEP


def test_one_window_alone_is_an_alarm_at_ten_times_the_odds() -> None:
    assert alarms_of(scores([0, 1.99, 0, 0]), 1.0).is_empty()
    found = alarms_of(scores([0, 2.0, 0, 0]), 1.0)
    assert found["detected_at"].to_list() == [BEGIN + 2 * STEP]
    assert found["started_at"].to_list() == [BEGIN + STEP]
    odds = scores([-5.0, -0.5, -5.0])
    assert alarms_of(odds, -1.5).height == 1, "thresholds of odds may lie below 0"
    assert alarms_of(odds, -1.4).is_empty()


def test_an_alarm_begins_with_the_first_step_that_speaks_for_it() -> None:
    found = alarms_of(scores([0, 0, 1.5, 3, 1.5, 0.8, 0, 0]), 1.0)
    assert found["started_at"][0] == BEGIN + 2 * STEP
    assert found["ended_at"][0] == BEGIN + 6 * STEP
    assert (found["peak"][0], found["peak_at"][0]) == (3, BEGIN + 4 * STEP)


def test_near_alarms_are_one_and_far_ones_are_not() -> None:
    near = [2, 2, *[0] * 10, 2, 2, 0]
    far = [2, 2, *[0] * 20, 2, 2, 0]
    assert alarms_of(scores(near), 1.0).height == 1
    assert alarms_of(scores(far), 1.0).height == 2


def test_vehicles_and_silences_do_not_mix() -> None:
    both = pl.concat([scores([0, 1.5], "v1"), scores([1.5, 0], "v2")])
    assert alarms_of(both, 1.0).is_empty()
    late = scores([1.5, 1.5]).with_columns(
        pl.when(pl.col("window_end") > BEGIN + STEP)
        .then(pl.col("window_end") + timedelta(hours=1))
        .otherwise("window_end")
        .alias("window_end")
    )
    assert alarms_of(late, 1.0).is_empty()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.75, 1.2, 3.0, None]), min_size=4, max_size=60),
    st.lists(st.integers(1, 59), max_size=4),
    st.sets(st.integers(0, 59)),
)
def test_pieces_of_parts_with_context_give_the_alarms_of_the_whole(
    values: list[float | None], cuts: list[int], silent: set[int]
) -> None:
    whole = scores(values).filter(
        pl.Series([number not in silent for number in range(len(values))])
    )
    bounds = [BEGIN, *(BEGIN + STEP * cut for cut in sorted(set(cuts))), BEGIN + STEP * 100]
    ends = pl.col("window_end")
    look_back = Persistence().look_back
    parts = [
        alarm_pieces(whole.filter((ends > since - look_back) & (ends <= until)), 1.0, since=since)
        for since, until in pairwise(bounds)
    ]
    assert_frame_equal(alarms(pl.concat(reversed(parts))), alarms_of(whole, 1.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_the_threshold_keeps_to_the_budget_and_is_not_higher_than_needed(
    seed: int, most: int
) -> None:
    values = np.round(np.random.default_rng(seed).random(300), 2)
    told = scores(values.tolist())
    threshold = threshold_for(told, most)
    assert alarms_of(told, threshold).height <= most
    lower = np.unique(values[values < threshold])
    if len(lower) and most < 3:
        assert alarms_of(told, float(lower[-1])).height > most


def test_odds_follow_what_votes_were_worth() -> None:
    sure = Trust(np.array([0.0, 0.3, 0.5]), np.array([0.01, 0.5, 0.999]))
    noisy = Trust(np.array([0.0, 0.9]), np.array([0.01, 0.2]))
    votes = np.array([0.0, 0.3, 0.6, 0.7])
    assert (np.diff(sure.odds(votes)) > 0).all()
    assert (sure.odds(votes)[1:] > noisy.odds(votes)[1:]).all()
    assert np.isfinite(Trust(np.array([0.0, 1.0]), np.array([0.0, 1.0])).odds(votes)).all()


def test_a_score_is_1_at_the_threshold_and_rises() -> None:
    score = scored(np.array([-30.0, 1.0, 2.0, 3.0]), 2.0)
    assert score[2] == 1
    assert (np.diff(score) > 0).all()
    assert score[0] > 0


def test_confidence_rises_with_the_score_and_tells_the_share() -> None:
    random = np.random.default_rng(1)
    score = random.random(5000) * 2
    is_faulty = random.random(5000) < np.clip(score / 2, 0, 1)
    at, confidence = calibrated(score, is_faulty)
    told = np.interp([0.4, 1.0, 1.6], at, confidence)
    assert np.allclose(told, [0.2, 0.5, 0.8], atol=0.08)
    at, rarer = calibrated(score, is_faulty, 0.1)
    odds = np.array([0.2, 0.5, 0.8]) / np.array([0.8, 0.5, 0.2]) / 9
    assert np.allclose(np.interp([0.4, 1.0, 1.6], at, rarer), odds / (1 + odds), atol=0.05)
