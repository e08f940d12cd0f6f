"""Tests and effect sizes on two samples: as they are defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fleet_assets.model_choice.two_samples import adjusted, cliffs_delta, paired_p, unpaired_p

PS = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.05]) | st.floats(0, 1), max_size=40)


def plainly(ps: list[float]) -> list[float]:
    """Benjamini and Hochberg's q by its definition."""
    ranked = sorted(ps)
    each = [p * len(ps) / rank for rank, p in enumerate(ranked, 1)]
    pairs = list(zip(each, ranked, strict=True))
    return [min(1.0, *(q for q, other in pairs if other >= p), 1.0) for p in ps]


@given(PS)
def test_adjusted_ps_are_those_of_a_plain_implementation(ps: list[float]) -> None:
    np.testing.assert_allclose(adjusted(np.array(ps)), plainly(ps), rtol=1e-12, atol=1e-300)


SAMPLES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=25)


@given(SAMPLES, SAMPLES)
def test_cliffs_delta_counts_pairs(before: list[float], after: list[float]) -> None:
    pairs = [np.sign(b - a) for a in before for b in after]
    assert cliffs_delta(np.array(before), np.array(after)) == pytest.approx(np.mean(pairs))
    assert cliffs_delta(np.array(before), np.array(before)) == 0


def test_an_effect_of_a_fifth_is_a_third_of_a_deviation() -> None:
    x = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    assert cliffs_delta(x, x + 0.358) == pytest.approx(0.2, abs=0.001)


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=20))
@settings(max_examples=25)
def test_p_of_differences_does_not_know_which_side_is_up(differences: list[float]) -> None:
    given_ = np.array(differences)
    assert paired_p(given_) == pytest.approx(paired_p(-given_))
    assert paired_p(np.zeros(8)) == 1


def test_p_is_small_where_samples_differ() -> None:
    random = np.random.default_rng(1)
    before, after = random.normal(0, 1, 30), random.normal(1.5, 1, 30)
    assert unpaired_p(before, after) < 0.001 < 0.05 < unpaired_p(before, before + 0.1)
    assert paired_p(after) < 0.001 < 0.05 < paired_p(before - before.mean())


def test_many_vehicles_that_have_not_changed_are_no_sign_of_change() -> None:
    few_changed = np.array([0.0] * 30 + [1.0] * 6)
    assert paired_p(few_changed) > 0.05
    assert paired_p(few_changed[30:]) < 0.05
