"""Confidence: margin over the limit × precision of the rule × a signal that agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.anomalies.words import confidence
from fleet_assets.rules.catalogue import Catalogue, Rule, read_catalogue
from fleet_assets.rules.confidence import Precision, Prior, expected_precision

CATALOGUE: Catalogue = read_catalogue()
NUMBERS = st.floats(min_value=0.01, max_value=1e6)
SIGNALS = st.dictionaries(st.sampled_from(["accel_x", "speed", "engine_rpm"]), NUMBERS)


def sure(
    rule: Rule, peak: float | None, limit: float | None, signals: Mapping[str, Any] | None = None
) -> float:
    return confidence(rule, CATALOGUE.unmeasured, peak, limit, signals or {})


@given(
    st.sampled_from(CATALOGUE.rules),
    NUMBERS,
    st.floats(min_value=0, max_value=5),
    st.floats(min_value=0, max_value=5),
    SIGNALS,
)
def test_it_never_falls_as_the_margin_grows(
    rule: Rule, limit: float, one: float, other: float, signals: dict[str, float]
) -> None:
    small, large = sorted((one, other))
    less, more = (sure(rule, limit * (1 + margin), limit, signals) for margin in (small, large))
    assert less <= more


@given(
    st.sampled_from(CATALOGUE.rules),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    SIGNALS,
)
def test_it_stays_between_0_and_1(
    rule: Rule, peak: float | None, limit: float | None, signals: dict[str, float]
) -> None:
    assert 0 <= sure(rule, peak, limit, signals) <= 1


def test_it_is_the_product_that_the_catalogue_states() -> None:
    rule = CATALOGUE.rule("R01")
    of = rule.confidence
    rule = rule.model_copy(update={"precision": Precision(share=0.5, findings=20, origin="x")})
    half = 5800 * (1 + of.full_margin / 2)
    expected = (of.least + of.most) / 2 * (0.5 * 20 + 0.9 * 20) / 40
    assert CATALOGUE.unmeasured == Prior(precision=0.9, findings=20)
    assert sure(rule, half, 5800) == pytest.approx(expected, abs=1e-4)
    assert sure(rule, None, 5800) == pytest.approx(of.least * 0.7, abs=1e-4)
    assert sure(rule, 9000, 5800) == sure(rule, 99_000, 5800)


@given(st.floats(0, 1), st.integers(1, 10_000), st.integers(1, 10_000), st.floats(0.01, 1))
def test_more_findings_draw_precision_away_from_what_was_held_before(
    share: float, some: int, more: int, held: float
) -> None:
    prior = Prior(precision=held, findings=20)
    few, many = (
        expected_precision(Precision(share=share, findings=n, origin="x"), prior)
        for n in sorted((some, more))
    )
    assert abs(many - share) <= abs(few - share) + 1e-9
    assert min(share, held) - 1e-9 <= few <= max(share, held) + 1e-9
    assert expected_precision(None, prior) == held


@pytest.mark.parametrize("rule_id", ["R05", "R06", "R08", "R09", "R10", "R11"])
def test_a_harsh_event_by_wheel_speed_alone_is_less_sure(rule_id: str) -> None:
    rule = CATALOGUE.rule(rule_id)
    by_both = sure(rule, 1.0, 0.5, {"speed": 30.0, "accel_x": -5.0})
    assert sure(rule, 1.0, 0.5, {"speed": 30.0}) == pytest.approx(0.85 * by_both, abs=1e-4)


def test_an_impossible_speed_by_positions_is_surer_where_the_wheels_contradict_it() -> None:
    rule = CATALOGUE.rule("R29")
    slow_wheels = sure(rule, 300.0, 150.0, {"speed": 30.0})
    assert slow_wheels > sure(rule, 300.0, 150.0, {"speed": 155.0})
    assert slow_wheels > sure(rule, 300.0, 150.0, {})


def test_every_measured_precision_says_where_it_comes_from() -> None:
    measured = [rule.precision for rule in CATALOGUE.rules if rule.precision is not None]
    assert len(measured) > 10
    assert all(one.findings >= 1 and "make backtest" in one.origin for one in measured)
