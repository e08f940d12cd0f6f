"""What votes are worth: the odds that a window is faulty, learnt from what forests said unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.kinds import HEALTHY, Voting

Values = NDArray[np.float64]
_MOST_SURE: Final = 1e-6
"""Confidence comes no nearer to 0 and 1, so that odds are finite."""


@dataclass(frozen=True)
class Trust:
    """How far votes for one aspect are to be trusted: rising, from what forests said unseen.

    Attributes:
        votes: shares of votes, rising, with
        confidence: the share of windows with so many that were faulty.
    """

    votes: Values
    confidence: Values

    @property
    def tells(self) -> bool:
        """More votes ever meant more: otherwise no forest has seen such faults but in its own fold,
        as where one vehicle alone has the sensor."""
        return bool(self.confidence[-1] > self.confidence[0])

    def odds(self, votes: Values) -> Values:
        """log10 of the odds that a window is faulty; more votes always count a little more."""
        sure = np.interp(votes, self.votes, self.confidence)
        sure = np.clip(sure, _MOST_SURE, 1 - _MOST_SURE)
        return np.asarray(np.log10(sure / (1 - sure)) + votes)


def trusts_of(classifier: Voting, shares: Values, classes: pl.Series) -> dict[str, Trust]:
    """What votes for each aspect are worth.

    Args:
        classifier: names classes.
        shares: votes for windows, of forests that have not seen them.
        classes: what is true of these windows: HEALTHY or one of its classes.
    """
    known = {name: number for number, name in enumerate(classifier.classes)}
    truth = np.array([known.get(name, -1) for name in classes])
    is_healthy = (classes == HEALTHY).to_numpy()
    found = {}
    for name, numbers in classifier.aspects().items():
        mine = np.isin(truth, numbers)
        used = mine | is_healthy
        votes = np.append(shares[used][:, list(numbers)].sum(axis=1), 1.0)
        # a healthy window with all votes: nobody is surer than the number of faults allows
        found[name] = Trust(*calibrated(votes, np.append(mine[used], False)))
    return found


def odds_by_aspect(
    classifier: Voting, trusts: Mapping[str, Trust], shares: Values
) -> tuple[Values, list[str]]:
    """Odds of each window and aspect by votes, and the aspects.

    Args:
        classifier: names classes.
        trusts: what votes are worth.
        shares: votes for windows.
    """
    aspects = classifier.aspects()
    found = [
        trusts[name].odds(shares[:, list(numbers)].sum(axis=1)) for name, numbers in aspects.items()
    ]
    return np.column_stack(found), list(aspects)


def scored(odds: Values, threshold: float | Values) -> Values:
    """Odds as a score above 0: 1 at the threshold, ten times the odds are 1 more above it."""
    above = odds - threshold
    return np.asarray(np.where(above >= 0, 1 + above, np.exp(np.minimum(above, 0))))


def calibrated(
    score: Values, is_faulty: NDArray[np.bool_], faulty_share: float | None = None
) -> tuple[Values, Values]:
    """Isotonic confidence: scores and, for each, the share of windows that are faulty.

    Args:
        score: of windows by forests that have not seen them.
        is_faulty: what is true of them.
        faulty_share: windows count as if so many were faulty; None: as they are.
    """
    from sklearn.isotonic import IsotonicRegression

    weight = np.ones(len(score))
    if faulty_share is not None and is_faulty.any() and not is_faulty.all():
        wanted = faulty_share / (1 - faulty_share)
        weight[is_faulty] = wanted * (~is_faulty).sum() / is_faulty.sum()
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fit.fit(score, is_faulty.astype(np.float64), sample_weight=weight)
    return np.asarray(fit.X_thresholds_, np.float64), np.asarray(fit.y_thresholds_, np.float64)
