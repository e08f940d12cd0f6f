"""Harsh braking, acceleration and cornering (R05–R07, R09, R10, R12, R13), by sampling rate.

At 5 Hz and more the accelerometer counts by its mean over 0.8 s, so that a pothole does not. Slower
ones count by two samples in a row, or by one that the slope of speed confirms. Without an
accelerometer the slope of speed counts, over at least 2 s, because wheel speed comes in steps. How
fast samples come is told from sample to sample, so that it does not depend on where a history is
cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from fleet_assets.episodes.levels import Limit, above
from fleet_assets.rules.bias import without_bias
from fleet_assets.rules.detect import Found
from fleet_assets.rules.detectors.acceleration import G, felt, quick, speed_slopes_g, told
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import Ints, whole_vehicles

_LONGITUDINAL: Final = ((("R05", "R06", "R07"), -1.0), (("R09", "R10"), 1.0))
_LATERAL: Final = ("R12", "R13")
_ROUNDING: Final = 1e-6
"""Means are taken of whole millionths of g."""


@dataclass(frozen=True)
class _Motion:
    """What accelerates each sample, in g.

    Attributes:
        slope: change of wheel speed.
        steady: the same where it alone may be believed.
        forward: by the accelerometer, without bias; None: no vehicle has one.
        sideways: the same to either side.
    """

    slope: Values
    steady: Values
    forward: Values | None
    sideways: Values | None

    def at(self, rows: Ints) -> _Motion:
        """Of some of the rows."""
        forward, sideways = (
            None if axis is None else axis[rows] for axis in (self.forward, self.sideways)
        )
        return _Motion(self.slope[rows], self.steady[rows], forward, sideways)


def harsh(samples: Samples, limits: Limits) -> Sequence[Found]:
    """All rules on acceleration, on the vehicles that come near any limit."""
    slope, steady = speed_slopes_g(samples, limits)
    forward = sideways = None
    if "accel_x" in samples.signals:
        forward = without_bias(samples, "accel_x") / G
    if "accel_y" in samples.signals:
        sideways = np.abs(without_bias(samples, "accel_y")) / G
    motion = _Motion(slope, steady, forward, sideways)
    rows = np.flatnonzero(whole_vehicles(samples, _near(motion, limits)))
    if len(rows) > len(samples) / 2:
        return _judged(samples, limits, motion)
    some = samples.at(rows, signals=()), limits.at(rows), motion.at(rows)
    found = _judged(*some) if len(rows) else []
    return [of_some.among(rows, len(samples)) for of_some in found]


def _near(motion: _Motion, limits: Limits) -> Flags:
    """Samples that reach a limit by themselves; no mean is greater than all of its samples."""
    near = np.zeros(len(motion.slope), np.bool_)
    for rules, sign in _LONGITUDINAL:
        least = _least(limits, rules)
        near |= sign * motion.steady >= least
        if motion.forward is not None:
            near |= sign * motion.forward >= least
    if motion.sideways is not None:
        near |= motion.sideways >= _least(limits, _LATERAL)
    return near


def _least(limits: Limits, rules: Sequence[str]) -> Limit:
    """What a sample has to reach before any of the rules says more than clear, at least."""
    each = [limits.of(rule, name) for rule in rules for name in ("set", "clear")]
    return np.asarray(reduce(np.fmin, each) - _ROUNDING)


def _judged(samples: Samples, limits: Limits, motion: _Motion) -> list[Found]:
    found: list[Found] = []
    slope, forward, sideways = motion.slope, motion.forward, motion.sideways
    is_quick = None if forward is None else quick(samples, forward, limits)
    for rules, sign in _LONGITUDINAL:
        measure = sign * motion.steady
        if forward is not None and is_quick is not None:
            felt_g = felt(samples, sign * forward, sign * slope, limits, is_quick)
            measure = np.where(told(samples, forward, limits), felt_g, measure)
        for rule in rules:
            if rule == "R07":
                if forward is None:
                    continue
                agrees = sign * slope >= limits.of(rule, "set") * np.asarray(
                    limits.of(rule, "agree_share")
                )
                measure = np.where(agrees, measure, np.fmin(measure, 0))
                measure[np.isnan(forward)] = np.nan
            _judge(rule, measure, limits, found)
    if sideways is not None:
        nothing = np.full(len(samples), np.nan)
        is_quick = quick(samples, sideways, limits)
        measure = felt(samples, sideways, nothing, limits, is_quick)
        for rule in _LATERAL:
            _judge(rule, measure, limits, found)
    return found


def _judge(rule: str, measure: Values, limits: Limits, found: list[Found]) -> None:
    """Adds what a rule says, unless it is nowhere near."""
    clear = limits.of(rule, "clear")
    if np.any(measure >= clear):
        levels = above(measure, limits.of(rule, "set"), clear, inclusive=True)
        found.append(Found(rule, levels, measure))
