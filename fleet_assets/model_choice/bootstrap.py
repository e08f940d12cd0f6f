"""The bootstrap over vehicles: each is drawn with all of its days, because they are alike.

Bounds are percentiles (Efron 1979), taken further out where vehicles are few (expanded percentiles,
Hesterberg 2015). Draws depend on seed, group and number of vehicles, not on results: raising a
result never lowers a bound, so verdicts are monotone. Percentiles that are corrected by the results
themselves (BCa) would not promise that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_AT_ONCE: Final = 500_000
"""So many draws of a vehicle are held at a time."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with one-sided bounds, each of which holds with the stated confidence."""

    estimate: float
    low: float
    high: float


def resampled(sums: Numbers, resamples: int, random: np.random.Generator) -> Numbers:
    """Totals of draws of as many vehicles as there are, with replacement.

    Args:
        sums: vehicles × columns.
        resamples: number of draws.
        random: where they come from.

    Returns:
        Draws × columns.
    """
    count = len(sums)
    step = max(1, _AT_ONCE // count)
    parts = []
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        chosen = random.integers(0, count, (draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(chosen.ravel(), minlength=draws * count).reshape(draws, count)
        parts.append(times.astype(np.float64) @ sums)
    return np.concatenate(parts)


def interval(estimate: float, draws: Numbers, confidence: float, vehicles: int) -> Interval:
    """Percentiles of draws.

    Args:
        estimate: what was measured.
        draws: the same of each draw; those that are no number (no events, no hours) are left out.
        confidence: of each bound.
        vehicles: that the estimate rests on.
    """
    known = draws[np.isfinite(draws)]
    tail = tail_beyond(confidence, vehicles)
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def tail_beyond(confidence: float, vehicles: int) -> float:
    """Share of draws beyond a bound: less than 1 − confidence where vehicles are few.

    Φ(−√(n/(n−1)) · t) with the quantile t of Student's distribution with n − 1 degrees of freedom:
    draws of few vehicles spread too little, and their spread is itself uncertain.
    """
    if vehicles < 2:
        return 0.0
    from scipy import stats

    far = stats.t.ppf(confidence, vehicles - 1) * np.sqrt(vehicles / (vehicles - 1))
    return float(stats.norm.sf(far))
