"""Harsh braking, acceleration and cornering (R05–R07, R09, R10, R12, R13), by sampling rate.

At 5 Hz and more the accelerometer counts by its mean over 0.8 s, so that a pothole does not. Slower
ones count by two samples in a row, or by one that the slope of speed confirms. Without an
accelerometer the slope of speed counts, over at least 2 s, because wheel speed comes in steps. How
fast samples come is told from sample to sample, so that it does not depend on where a history is
cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fleet_assets.episodes.levels import SET, UNKNOWN, Levels, Limit, above
from fleet_assets.rules.bias import without_bias
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import Ints, Rows, after_failure, earlier, known_rows

G: Final = 9.80665
"""Standard gravity, m/s²."""
MPH: Final = 0.44704
"""Metres per second in a mile per hour."""
_LONGITUDINAL: Final = {"R05": -1.0, "R06": -1.0, "R07": -1.0, "R09": 1.0, "R10": 1.0}
_LATERAL: Final = ("R12", "R13")


def harsh(samples: Samples, limits: Limits) -> Sequence[Found]:
    """All rules on acceleration."""
    found: list[Found] = []
    slope, steady = speed_slopes_g(samples, limits)
    if "accel_x" in samples.signals:
        forward = without_bias(samples, "accel_x") / G
        quick = _quick(samples, forward, limits)
        smooth = _mean(samples, forward, limits, quick)
    else:
        forward = smooth = np.full(len(samples), np.nan)
        quick = np.zeros(len(samples), np.bool_)
    both_ways = _measure(quick, smooth, forward, steady)
    signed = {sign: (sign * both_ways, sign * forward, sign * slope) for sign in (-1.0, 1.0)}
    for rule, sign in _LONGITUDINAL.items():
        measure, direct, change = signed[sign]
        if not np.any(measure >= limits.of(rule, "clear")):
            continue
        levels = _judged(rule, limits, quick, measure, direct, change, samples)
        if rule == "R07":
            agrees = -slope >= limits.of(rule, "set") * np.asarray(limits.of(rule, "agree_share"))
            measure = np.where(np.isnan(forward), np.nan, measure)
            levels = np.where(np.isnan(forward), np.int8(UNKNOWN), levels)
            levels = np.where((levels == SET) & ~agrees, np.int8(0), levels)
        found.append(Found(rule, levels, measure))
    if "accel_y" in samples.signals:
        sideways = np.abs(without_bias(samples, "accel_y")) / G
        mean = _mean(samples, sideways, limits, quick)
        nothing = np.full(len(samples), np.nan)
        measure = _measure(quick, mean, sideways, nothing)
        for rule in _LATERAL:
            if not np.any(measure >= limits.of(rule, "clear")):
                continue
            levels = _judged(rule, limits, quick, measure, sideways, nothing, samples)
            found.append(Found(rule, levels, measure))
    return found


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


def _quick(samples: Samples, values: Values, limits: Limits) -> Flags:
    """Samples that come at the rate at which means are taken; half a step of jitter is allowed."""
    quick = np.zeros(len(values), np.bool_)
    known = np.flatnonzero(~np.isnan(values))
    steps_s = np.diff(samples.time_us[known]) / 1e6
    mine = samples.vehicle[known[1:]] == samples.vehicle[known[:-1]]
    least_hz = _of(limits.of("R05", "min_rate_hz"), known[1:])
    quick[known[1:]] = mine & (steps_s * least_hz <= 1.5)
    return quick


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
    covered = (when - when[begin]) / 1e6 >= window_s * 0.75
    mean = (sums[1:] - sums[begin]) / count / 1e6
    out[known] = np.where(covered & (count >= 3), mean, np.nan)
    return out


def _judged(
    rule: str,
    limits: Limits,
    quick: Flags,
    measure: Values,
    direct: Values,
    slope: Values,
    samples: Samples,
) -> Levels:
    """What a rule says, whichever way the sampling allows."""
    set_at, clear = limits.of(rule, "set"), limits.of(rule, "clear")
    levels = above(measure, set_at, clear, inclusive=True)
    alone = np.flatnonzero((levels == SET) & ~quick & ~np.isnan(direct))
    if len(alone):
        share = limits.of("R05", "confirm_share")
        limit = _of(set_at, alone)
        previous = np.maximum(alone - 1, 0)
        steps_s = (samples.time_us[alone] - samples.time_us[previous]) / 1e6
        in_a_row = (
            (samples.vehicle[previous] == samples.vehicle[alone])
            & (alone > 0)
            & (direct[previous] >= limit)
            & (steps_s <= _of(limits.of("R05", "max_step_s"), alone))
        )
        confirmed = slope[alone] >= limit * _of(share, alone)
        levels[alone[~(in_a_row | confirmed)]] = 0
    return levels


def _measure(quick: Flags, smooth: Values, direct: Values, slope: Values) -> Values:
    """What the rules go by: the mean, else the sample, else the slope of speed."""
    measure = np.where(np.isnan(direct), slope, direct)
    measure[quick] = smooth[quick]
    return measure


def _of(limit: Limit, rows: Rows) -> Limit:
    return limit[rows] if isinstance(limit, np.ndarray) else limit
