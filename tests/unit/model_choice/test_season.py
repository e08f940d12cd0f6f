"""The season: what all types do together, or did a year before; it only takes away."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.model_choice.season import season_of
from fleet_assets.model_choice.vehicle_means import YEAR

SHIFTS = st.floats(-20, 20)


@given(SHIFTS, SHIFTS, st.lists(SHIFTS, max_size=4), st.booleans())
def test_a_season_takes_away_from_a_movement_and_never_turns_it(
    own: float, past: float, others: list[float], has_past: bool
) -> None:
    now = {"own": np.full(9, own)} | {str(n): np.full(9, of) for n, of in enumerate(others)}
    last_year = {"own": np.full(9, past)} if has_past else {}
    found = season_of("own", now, last_year, 8)
    left = own - found.shift
    assert abs(left) <= abs(own)
    assert left * own >= 0
    expected = "year before" if has_past else "other types" if others else "not known"
    assert found.source == expected


def test_one_type_that_moves_does_not_make_the_others_move() -> None:
    now = {"suv": np.full(9, 8.0), "van": np.zeros(9), "truck": np.zeros(9), "bus": np.full(3, 9.0)}
    assert season_of("suv", now, {}, 8).shift == 0
    assert season_of("van", now, {}, 8).shift == 0
    two = {"suv": now["suv"], "van": now["van"]}
    assert season_of("suv", two, {}, 8).shift == 4
    assert season_of("van", two, {}, 8).shift == 0
    assert season_of("bus", now, {}, 8).source == "not known"


def test_a_year_is_whole_weeks() -> None:
    assert YEAR % timedelta(days=7) == timedelta(0)
    assert abs(YEAR - (date(2026, 3, 1) - date(2025, 3, 1))) < timedelta(days=3)
