"""Odds of a settled vehicle: the mean of two classifiers, where both know what votes are worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleet_assets.models.detector import Detector
from fleet_assets.models.kinds import Namer, Voting, aspects_of
from fleet_assets.models.mixing import NEAR, Settling, asked, mixed_odds
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
    voting: Voting = OneClass()
    names = list(voting.aspects())
    namer = Namer((), None, ())  # type: ignore[arg-type]
    nothing = np.empty(0)
    detector = Detector(voting, namer, dict.fromkeys(names, fleet), 1.5, nothing, nothing)
    settling = Settling(voting, dict.fromkeys(names, own), 1.5, {})
    odds, told = mixed_odds(detector, settling, VOTES, VOTES)
    assert told == names
    return odds[:, 0]


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


class Voices(OneClass):
    """Votes for devices of several classes."""

    classes = ("engine_rpm/off", "speed/off", "speed/frozen", "fuel_level/missing")


def trust(random: np.random.Generator) -> Trust:
    confidence = np.sort(random.random(3) ** random.integers(1, 12))
    return Trust(
        np.array([0.0, 0.5, 1.0]), confidence if random.random() < 0.8 else confidence[:1].repeat(3)
    )


def votes(random: np.random.Generator) -> Values:
    """Of each device's forest some, and the rest for none of its classes."""
    found = random.random((40, 4)) ** 3
    found[:, 1:3] /= 2
    return found


@given(st.integers(0, 2**32 - 1))
def test_what_is_not_asked_could_not_have_mattered(seed: int) -> None:
    random = np.random.default_rng(seed)
    voices = Voices()
    names = list(aspects_of(voices.classes))
    namer, nothing = Namer((), None, ()), np.empty(0)  # type: ignore[arg-type]
    fleet = {name: trust(random) for name in names}
    detector = Detector(voices, namer, fleet, 1.5, nothing, nothing)
    offsets = {name: float(random.choice([0.0, 0.5])) for name in names}
    own = {name: trust(random) for name in names}
    settling = Settling(voices, own, random.uniform(-1, 3), offsets)  # type: ignore[arg-type]
    theirs, mine = votes(random), votes(random)
    wanted = asked(detector, settling, theirs)
    heard = mine.copy()
    for number, name in enumerate(voices.classes):
        heard[~wanted[name.split("/")[0]], number] = np.nan
    less = [offsets[name] for name in names]
    whole, part = (
        (mixed_odds(detector, settling, theirs, told)[0] - less).max(axis=1)
        for told in (mine, heard)
    )
    near = whole >= settling.threshold - NEAR
    assert np.array_equal(part[near], whole[near])
    assert (part[~near] < settling.threshold - NEAR).all()
