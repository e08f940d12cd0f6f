"""Fuel level (R26, R27); the sudden loss over a stop (R28) is judged by trips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleet_assets.episodes.levels import CLEAR, below
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples
from fleet_assets.rules.windows import age_s, rolling, stretches


def low_fuel(samples: Samples, limits: Limits) -> Sequence[Found]:
    """By the trailing median, which sloshing does not move; unknown until its window is full."""
    level = samples.of("fuel_level")
    clear = limits.of("R26", "clear")
    if not np.any(level <= clear):  # then no median is low either
        fine = np.where(np.isnan(level), 3, CLEAR).astype(np.int8)
        return [Found("R26", fine, None), Found("R27", fine, None)]
    window_s = float(np.max(limits.of("R26", "window_s")))
    stretch = stretches(samples, level, limits, "R26")
    median = rolling(samples, level, window_s, "median", stretch)
    median[age_s(samples, level, stretch) < window_s] = np.nan
    return [
        Found(
            rule,
            below(median, limits.of(rule, "set"), limits.of(rule, "clear"), inclusive=True),
            -median,
        )
        for rule in ("R26", "R27")
    ]
