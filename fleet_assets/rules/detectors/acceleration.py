"""What accelerates a vehicle, by the slope of its speed and by its accelerometer.

How fast samples come is told from sample to sample, so that it does not depend on where a history
is cut.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet_assets.episodes.levels import Limit
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import Ints, Rows, after_failure, earlier, known_rows

G: Final = 9.80665
"""Standard gravity, m/s²."""
MPH: Final = 0.44704
"""Metres per second in a mile per hour."""
_COVERED: Final = 0.6
"""Share of the window that samples have to span: evenly spaced ones leave out up to a step of it,
so that less than that is spanned at 3.75 Hz, and exactly three quarters at 5 Hz."""


def speed_slopes_g(samples: Samples, limits: Limits) -> tuple[Values, Values]:
    """Change of wheel speed over the base, in g: as it is, and where it alone may be believed.

    Both are NaN where a step between samples is too long, or where a value in between failed. The
    second one is so, too, where speed changed by more in a single step than tyres can hold: a
    logger that repeats old values and then catches up looks like that.
    """
    slope = np.full(len(samples), np.nan)
    speed = samples.of("speed")
    known = known_rows(speed)
    speed, when = speed[known], samples.time_us[known]
    if not len(speed):
        return slope, slope
    base_s = float(np.max(limits.of("R05", "slope_base_s"), initial=0))
    before = earlier(samples, known, base_s)
    passed_us = np.diff(when, prepend=when[:1])
    broken = passed_us > _of(limits.of("R05", "max_step_s"), known) * 1e6
    broken |= after_failure(samples, "speed", known)
    moved = np.abs(np.diff(speed, prepend=speed[:1]))
    leaps = moved > _of(limits.of("R05", "believable_g"), known) * (G / MPH)
    if leaps.any():
        leaps &= moved > _of(limits.of("R05", "believable_g"), known) * (G / MPH / 1e6) * passed_us
    mean = (speed - speed[before]) / np.maximum(when - when[before], 1) * (MPH / G * 1e6)
    mean[(before < 0) | _any_since(broken, before)] = np.nan
    slope[known] = mean
    if not leaps.any():
        return slope, slope
    steady = slope.copy()
    steady[known] = np.where(_any_since(leaps, before), np.nan, mean)
    return slope, steady


def _any_since(flags: Flags, before: Ints) -> Flags:
    """Whether any flag stands after the sample before and up to each sample."""
    if not flags.any():
        return flags
    count = np.cumsum(flags)
    return np.asarray(count > count[before])


def told(samples: Samples, direct: Values, limits: Limits) -> Flags:
    """Rows at which the accelerometer speaks, or has just spoken in a message of its own."""
    known = ~np.isnan(direct)
    if known.all():
        return known
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), 0))
    longest_us = _of(limits.of("R05", "max_step_s"), slice(None)) * 1e6
    just_now = samples.time_us - samples.time_us[last] <= longest_us
    return np.asarray(known[last] & just_now & (samples.vehicle[last] == samples.vehicle))


def quick(samples: Samples, values: Values, limits: Limits) -> Flags:
    """Samples that come at the rate at which means are taken; half a step of jitter is allowed."""
    is_quick = np.zeros(len(values), np.bool_)
    known = np.flatnonzero(~np.isnan(values))
    steps_s = np.diff(samples.time_us[known]) / 1e6
    mine = samples.vehicle[known[1:]] == samples.vehicle[known[:-1]]
    least_hz = _of(limits.of("R05", "min_rate_hz"), known[1:])
    is_quick[known[1:]] = mine & (steps_s * least_hz <= 1.5)
    return is_quick


def _mean(samples: Samples, values: Values, limits: Limits, quick: Flags) -> Values:
    """Mean over the trailing window where samples are quick enough; NaN elsewhere.

    By differences of running sums, on values in whole millionths of g, so that it is exact and the
    same wherever a history is cut.
    """
    out = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values) & quick)
    if not len(known):
        return out
    window_s = float(np.max(limits.of("R05", "mean_window_s"), initial=0))
    before = earlier(samples, known, window_s)
    when, whose = samples.time_us[known], samples.vehicle[known]
    first = np.ones(len(known), np.bool_)
    first[1:] = whose[1:] != whose[:-1]
    start_of_vehicle = np.maximum.accumulate(np.where(first, np.arange(len(known)), 0))
    begin = np.where(before >= 0, before + 1, start_of_vehicle)
    sums = np.concatenate([[0], np.cumsum(np.rint(values[known] * 1e6).astype(np.int64))])
    count = np.arange(1, len(known) + 1) - begin
    # a window that silence has emptied, or that has only begun, says nothing
    covered = when - when[begin] >= round(window_s * _COVERED * 1e6)
    mean = (sums[1:] - sums[begin]) / count / 1e6
    out[known] = np.where(covered & (count >= 3), mean, np.nan)
    return out


def felt(samples: Samples, direct: Values, slope: Values, limits: Limits, quick: Flags) -> Values:
    """What the accelerometer says: its mean, or of slow samples what two of three agree on.

    The three are the sample, the one before, and the slope of speed, which ends with the sample and
    counts by its share.
    """
    felt_g = _mean(samples, direct, limits, quick)
    known = np.flatnonzero(~np.isnan(direct))
    before = np.full(len(known), np.nan)
    steps_us = np.diff(samples.time_us[known])
    near = (samples.vehicle[known[1:]] == samples.vehicle[known[:-1]]) & (
        steps_us <= _of(limits.of("R05", "max_step_s"), known[1:]) * 1e6
    )
    before[1:][near] = direct[known[:-1]][near]
    is_slow = ~quick[known]
    slow, before = known[is_slow], before[is_slow]
    now = direct[slow]
    change = slope[slow] / _of(limits.of("R05", "confirm_share"), slow)
    agreed = np.minimum(now, 0)  # nothing confirms it
    for one, other in ((now, before), (now, change), (before, change)):
        agreed = np.fmax(agreed, np.minimum(one, other))
    felt_g[slow] = agreed
    return felt_g


def _of(limit: Limit, rows: Rows) -> Limit:
    return limit[rows] if isinstance(limit, np.ndarray) else limit
