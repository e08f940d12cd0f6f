"""Voltage of the vehicle's battery (R38–R40)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleet_assets.episodes.levels import CLEAR, SET, UNKNOWN, Levels, above, below, both
from fleet_assets.rules.detect import Found
from fleet_assets.rules.detectors.idling import running
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples


def battery(samples: Samples, limits: Limits) -> Sequence[Found]:
    """Not charged while the engine runs; overcharged; flat while it does not run."""
    if "battery_voltage" not in samples.signals:
        return []
    volts = samples.of("battery_voltage")
    low, flat = (
        below(volts, limits.of(rule, "set"), limits.of(rule, "clear")) for rule in ("R38", "R40")
    )
    over = above(volts, limits.of("R39", "set"), limits.of("R39", "clear"))
    runs = running(samples, limits.of("R38", "running_rpm"))
    return [
        Found("R38", both(low, runs), -volts),
        Found("R39", over, volts),
        Found("R40", both(flat, _not(runs)), -volts),
    ]


def _not(levels: Levels) -> Levels:
    swapped = np.where(levels == SET, CLEAR, SET).astype(np.int8)
    swapped[levels == UNKNOWN] = UNKNOWN
    return swapped
