"""Engine speed (R01–R04) and coolant (R22–R25)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleet_assets.episodes.levels import CLEAR, SET, UNKNOWN, above, below, both
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples
from fleet_assets.rules.windows import after_failure, rolling, stretches, whole_vehicles


def engine_speed(samples: Samples, limits: Limits) -> Sequence[Found]:
    """Too high; too high while cold; too high while standing."""
    rpm = samples.of("engine_rpm")
    found = [
        Found(rule, above(rpm, limits.of(rule, "set"), limits.of(rule, "clear")), rpm)
        for rule in ("R01", "R02")
    ]
    for rule, other, parameter in (
        ("R03", "coolant_temp", "coolant_below"),
        ("R04", "speed", "speed_below"),
    ):
        fast = above(rpm, limits.of(rule, "set"), limits.of(rule, "clear"))
        if np.any(fast == SET):
            bound = limits.of(rule, parameter)
            fast = both(fast, below(samples.of(other), bound, np.nextafter(bound, -np.inf)))
            found.append(Found(rule, fast, rpm))
    return found


def engine_heat(samples: Samples, limits: Limits) -> Sequence[Found]:
    """Too hot; hot for long; rising quickly while hot."""
    coolant = samples.of("coolant_temp")
    found = [
        Found(
            rule,
            above(coolant, limits.of(rule, "set"), limits.of(rule, "clear"), inclusive=True),
            coolant,
        )
        for rule in ("R22", "R23", "R24")
    ]
    hot = coolant >= limits.of("R25", "min_value")
    if not hot.any():
        return found
    window_s = float(np.max(limits.of("R25", "window_s")))
    concerned = np.where(whole_vehicles(samples, hot), coolant, np.nan)
    known = np.flatnonzero(~np.isnan(concerned))
    failed = np.zeros(len(coolant), np.int64)
    failed[known] = after_failure(samples, "coolant_temp", known)
    stretch = stretches(samples, concerned, limits, "R25") + np.cumsum(failed)
    rise = coolant - rolling(samples, concerned, window_s, "min", stretch, closed="both")
    levels = np.where(hot & (rise >= limits.of("R25", "rise")), SET, CLEAR).astype(np.int8)
    levels[np.isnan(coolant)] = UNKNOWN
    return [*found, Found("R25", levels, rise)]
