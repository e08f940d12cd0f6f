"""From votes to one score: the odds that a window is faulty, by the aspect that stands out.

Votes for some aspects are worth little (fuel sloshes), others are sure (a sensor that sends null).
What they are worth is learnt from votes of forests for windows that they had not seen: for each
aspect the share of faulty ones among windows with so many votes (isotonic). The score compares the
highest odds of any aspect with those that the alarm budget allows: an alarm from 1 on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.alarms import USUAL, Persistence, threshold_for
from fleet_assets.models.frame import matrix
from fleet_assets.models.habits import AGAINST, HABITS, NEED
from fleet_assets.models.kinds import Namer, Voting
from fleet_assets.models.mixing import Fleet, Settling, mixed_odds
from fleet_assets.models.odds import Trust, odds_by_aspect, scored

Values = NDArray[np.float64]
DRIVEN_HOURS: Final = 8.0
"""A vehicle-day of the alarm budget: so many hours in which the vehicle was heard."""
NOBODY: Final[Mapping[str, Settling]] = MappingProxyType({})
SUSPECT: Final = 0.5
"""Windows from this score on are named."""


@dataclass(frozen=True)
class Detector:
    """What judges windows of a group.

    Attributes:
        classifier: votes.
        namer: names kinds of suspect windows.
        trusts: what votes are worth, by aspect.
        threshold: odds (log10) from which on windows speak for an alarm.
        confidence_at: scores, rising, with
        confidence: the share of windows with about such a score that are truly faulty.
    """

    classifier: Voting
    namer: Namer
    trusts: Mapping[str, Trust]
    threshold: float
    confidence_at: Values
    confidence: Values

    def judged(
        self, evidence: pl.DataFrame, settlings: Mapping[str, Settling] = NOBODY
    ) -> pl.DataFrame:
        """Windows with what is thought of them.

        Args:
            evidence: of windows, in order of vehicle and time.
            settlings: of vehicles that were not trained on, by id.

        Returns:
            `vehicle_id`, `window_end`, `score` (an alarm from 1 on), `confidence` (0–1), `fault`
            (the likeliest, as kind/device; null below SUSPECT), in the order of the evidence.
        """
        shares = self.classifier.shares(evidence)
        by_votes, aspects = odds_by_aspect(self.classifier, self.trusts, shares)
        odds, names = with_habits(by_votes, aspects, evidence, self.threshold)
        threshold = np.full(len(odds), self.threshold)
        for who, mine in _spans(evidence["vehicle_id"]):
            if (settling := settlings.get(who)) is not None:
                fleet = Fleet(by_votes[mine], aspects, self.trusts)
                own = settling.classifier.shares(evidence[mine])
                odds[mine, : len(aspects)] = mixed_odds(fleet, settling, own)
                odds[mine] -= [settling.offsets.get(name, 0.0) for name in names]
                threshold[mine] = settling.threshold
        best, aspect = _highest(odds, names)
        score = scored(best, threshold)
        return evidence.select("vehicle_id", "window_end").with_columns(
            score=pl.Series(score),
            confidence=pl.Series(np.interp(score, self.confidence_at, self.confidence)),
            fault=self._named(evidence, shares, aspect, score),
        )

    def _named(
        self, evidence: pl.DataFrame, shares: Values, aspects: list[str], score: Values
    ) -> pl.Series:
        """The likeliest fault of the aspect that stands out, of suspect windows."""
        suspect = np.flatnonzero(score >= SUSPECT)
        found = np.full(len(score), None, dtype=object)
        if len(suspect):
            devices = [_device(self.classifier, shares[n], aspects[n]) for n in suspect]
            found[suspect] = self.namer.named(evidence[suspect], devices)
        return pl.Series(found.tolist(), dtype=pl.String)


def _spans(vehicles: pl.Series) -> Iterator[tuple[str, slice]]:
    """Each vehicle with its rows."""
    runs = vehicles.rle().struct.unnest()
    first = 0
    for length, who in runs.iter_rows():
        yield who, slice(first, first + length)
        first += length


def with_habits(
    odds: Values, names: list[str], evidence: pl.DataFrame, threshold: float
) -> tuple[Values, list[str]]:
    """Odds by aspect, and by AGAINST those of habits: at the threshold where NEED is said.

    Forests have no part in them: one number among two hundred is drowned in votes, and it speaks
    for itself.

    Args:
        odds: by aspect.
        names: of the aspects.
        evidence: of the same windows.
        threshold: of the detector.
    """
    told = np.nan_to_num(matrix(evidence, AGAINST).astype(np.float64), nan=0.0)
    return np.hstack([odds, threshold + told - NEED]), [*names, *AGAINST]


def _highest(odds: Values, names: list[str]) -> tuple[Values, list[str]]:
    best = np.argmax(odds, axis=1)
    return odds[np.arange(len(odds)), best], [names[n] for n in best]


def _device(classifier: Voting, shares: Values, aspect: str) -> str:
    """The device of an aspect with the most votes."""
    devices = [name.split("/")[0] for name in classifier.classes]
    if aspect in AGAINST:
        may = HABITS[aspect.removesuffix("_against")].devices
        numbers = [number for number, device in enumerate(devices) if device in may]
        if not numbers:
            return may[0]
    else:
        numbers = list(classifier.aspects()[aspect])
    return devices[numbers[int(np.argmax(shares[numbers]))]]


def budget_of(windows: pl.DataFrame, per_vehicle_day: float, step_s: float = 10.0) -> float:
    """Alarms that a budget allows in so many windows of healthy vehicles."""
    return per_vehicle_day * windows.height * step_s / 3600 / DRIVEN_HOURS


def allowed_odds(
    healthy: pl.DataFrame, odds: Values, most_alarms: float, persistence: Persistence = USUAL
) -> float:
    """The odds from which on windows speak for an alarm, so that alarms keep to a budget.

    Where there are too few windows to allow a single alarm, the threshold for one is raised by
    what is missing: a tenth of an alarm takes ten times the odds.

    Args:
        healthy: `vehicle_id`, `window_end` in order of vehicle and time.
        odds: of these windows, by forests that have not seen them.
        most_alarms: allowed in all of them.
        persistence: as alarms are made.
    """
    scores = healthy.select("vehicle_id", "window_end").with_columns(score=pl.Series(odds))
    threshold = threshold_for(scores, max(most_alarms, 1.0), persistence)
    return threshold + max(-float(np.log10(max(most_alarms, 1e-3))), 0.0)
