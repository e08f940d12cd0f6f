"""Fuel level (R26, R27); the sudden loss over a stop (R28) needs trips and is not built yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleet_assets.episodes.levels import below
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples
from fleet_assets.rules.windows import age_s, near_any, rolling, stretches, whole_vehicles


def low_fuel(samples: Samples, limits: Limits) -> Sequence[Found]:
    """By the trailing median, which sloshing does not move; unknown until its window is full.

    A window without any low value needs no filling: it cannot have a low median.
    """
    level = samples.of("fuel_level")
    if "fuel_level" not in samples.signals:
        return []
    window_s = float(np.max(limits.of("R26", "window_s")))
    low = level <= limits.of("R26", "clear")
    median = level
    if low.any():  # a vehicle whose values are all high has no low median
        concerned = np.where(whole_vehicles(samples, low), level, np.nan)
        stretch = stretches(samples, concerned, limits, "R26")
        young = age_s(samples, concerned, stretch) < window_s
        # nor has a window without a low value; what is far from all of them is in no other window
        near = np.where(near_any(samples, low, window_s), concerned, np.nan)
        median = rolling(samples, near, window_s, "median", stretch)
        median = np.where(np.isnan(median), level, median)
        # only where a low value is in the window so far: a drive that begins with a full tank is
        # clear at once, whatever the vehicle shows in other hours
        lowest = rolling(samples, np.where(young, near, np.nan), window_s, "min", stretch)
        median[young & (lowest <= limits.of("R26", "clear"))] = np.nan
    emptied = -median
    return [
        Found(
            rule,
            below(median, limits.of(rule, "set"), limits.of(rule, "clear"), inclusive=True),
            emptied,
        )
        for rule in ("R26", "R27")
    ]
