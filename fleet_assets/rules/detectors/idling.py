"""Idling (R15, R16): the engine runs and the vehicle stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleet_assets.episodes.levels import CLEAR, SET, UNKNOWN, Levels, Limit, below, both
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples


def idling(samples: Samples, limits: Limits) -> Sequence[Found]:
    """Standing with the engine on; not while a power take-off works."""
    by_numbers: dict[tuple[bytes, ...], Levels] = {}
    found = []
    for rule in ("R15", "R16"):
        numbers = tuple(limits.key(rule, name) for name in ("set", "clear", "running_rpm"))
        if numbers not in by_numbers:
            by_numbers[numbers] = _standing(samples, limits, rule)
        found.append(Found(rule, by_numbers[numbers], None))
    return found


def _standing(samples: Samples, limits: Limits, rule: str) -> Levels:
    standing = below(samples.of("speed"), limits.of(rule, "set"), limits.of(rule, "clear"))
    levels = both(standing, running(samples, limits.of(rule, "running_rpm")))
    if "pto_active" in samples.signals:
        levels[samples.signals["pto_active"] == 1] = CLEAR
    return levels


def running(samples: Samples, running_rpm: Limit) -> Levels:
    """Set while the engine runs: by its speed, or by the ignition where that is unknown."""
    rpm = samples.of("engine_rpm")
    levels = np.where(rpm > running_rpm, SET, CLEAR).astype(np.int8)
    unknown = np.isnan(rpm)
    if unknown.any():
        ignition = samples.of("ignition")
        by_ignition = np.where(ignition > 0, SET, CLEAR).astype(np.int8)
        by_ignition[np.isnan(ignition)] = UNKNOWN
        levels = np.where(unknown, by_ignition, levels)
    return levels
