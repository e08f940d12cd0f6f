"""Tests and effect sizes on numbers of which each is one vehicle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def cliffs_delta(before: Numbers, after: Numbers) -> float:
    """Cliff's delta (1993): P(after > before) − P(after < before), from −1 to 1.

    0.2 is what two normal distributions have whose means differ by 0.36 standard deviations.
    """
    ordered = np.sort(before)
    below = np.searchsorted(ordered, after, "left").sum(dtype=np.int64)
    above = len(before) * len(after) - np.searchsorted(ordered, after, "right").sum(dtype=np.int64)
    return float(below - above) / (len(before) * len(after))


def paired_p(differences: Numbers) -> float:
    """Wilcoxon's signed-rank test (1945): p for differences that lie around zero.

    Zeros count half for either side. Exact up to 50 differences without ties.
    """
    if not differences.any():
        return 1.0
    from scipy import stats

    return float(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def unpaired_p(before: Numbers, after: Numbers) -> float:
    """The test of Mann and Whitney (1947): p for two samples of one distribution."""
    from scipy import stats

    return float(stats.mannwhitneyu(before, after).pvalue)


def adjusted(ps: Numbers) -> Numbers:
    """q by Benjamini and Hochberg (1995): p × tests / rank, never above that of a higher p.

    Calling all with q ≤ r leaves at most a share of r false ones among them, on average; where
    nothing is true, it calls anything at all with a chance of at most r.
    """
    from scipy import stats

    return np.asarray(stats.false_discovery_control(ps)) if len(ps) else ps
