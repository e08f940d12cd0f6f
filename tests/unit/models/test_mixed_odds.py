"""Odds of a settled vehicle: the mean of two classifiers, where both know what votes are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fleet_assets.models.kinds import Voting, aspects_of
from fleet_assets.models.mixing import Fleet, Settling, mixed_odds
from fleet_assets.models.odds import Trust, odds_by_aspect

Values = NDArray[np.float64]
VOTES = np.array([[0.0], [0.5], [1.0]])
RISING = Trust(np.array([0.0, 1.0]), np.array([0.01, 0.99]))
FLAT = Trust(np.array([0.0, 1.0]), np.array([0.002, 0.002]))


class OneClass:
    """Votes for a fuel level that is missing."""

    classes = ("fuel_level/missing",)

    def shares(self, evidence: pl.DataFrame) -> Values:
        return VOTES[: evidence.height]

    def aspects(self) -> Mapping[str, tuple[int, ...]]:
        return aspects_of(self.classes)

    def importances(self) -> dict[str, float]:
        return {}


def mixed(fleet: Trust, own: Trust) -> Values:
    voting: Any = OneClass()
    names = list(voting.aspects())
    given = said(voting, dict.fromkeys(names, fleet), VOTES)
    return mixed_odds(given, Settling(voting, dict.fromkeys(names, own), 1.5, {}), VOTES)[:, 0]


def said(voting: Any, trusts: Mapping[str, Trust], votes: Values) -> Fleet:
    return Fleet(*odds_by_aspect(voting, trusts, votes), trusts)


def alone(trust: Trust) -> Values:
    voting: Voting = OneClass()
    odds, _ = odds_by_aspect(voting, dict.fromkeys(voting.aspects(), trust), VOTES)
    return odds[:, 0]


def test_both_classifiers_count_alike_where_both_know() -> None:
    steep = Trust(np.array([0.0, 1.0]), np.array([0.001, 0.5]))
    assert mixed(steep, RISING) == pytest.approx((alone(steep) + alone(RISING)) / 2)


def test_a_sensor_that_one_vehicle_alone_has_is_judged_by_the_vehicle() -> None:
    assert not FLAT.tells
    assert mixed(FLAT, RISING) == pytest.approx(alone(RISING))
    assert mixed(FLAT, RISING)[-1] > 1.5 > mixed(RISING, FLAT)[-1]
