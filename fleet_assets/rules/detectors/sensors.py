"""Sensors that say that they have failed (R34), are stuck (R35) or jump (R36)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fleet_assets.episodes.levels import CLEAR, HOLD, SET, UNKNOWN
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import Ints, after_failure, rolling, stretches

_JUMPS: Final = {
    "engine_rpm": "rpm_per_s",
    "coolant_temp": "coolant_per_s",
    "speed": "speed_per_s",
}
_STUCK: Final = {
    "engine_rpm": (("throttle_position", None), ("speed", "speed_range")),
    "speed": (("engine_rpm", "rpm_range"),),
    "accelerometer": (("speed", "speed_range"),),
}
"""What has to change while a signal does not, and by how much."""
_AXES: Final = ("accel_x", "accel_y", "accel_z")


def nulls(samples: Samples, limits: Limits) -> Sequence[Found]:
    """A signal that is sent as an explicit null."""
    found = []
    for name, is_null in samples.nulls.items():
        levels = np.full(len(samples), UNKNOWN, np.int8)
        if name in samples.signals:
            levels[~np.isnan(samples.signals[name])] = CLEAR
        levels[is_null] = SET
        found.append(Found(f"R34/{name}", levels, None))
    return found


def jumps(samples: Samples, limits: Limits) -> Sequence[Found]:
    """A change that is more than the signal can do in a second, or in the time that has passed."""
    found = []
    for name, parameter in _JUMPS.items():
        if name not in samples.signals:
            continue
        values = samples.signals[name]
        known = np.flatnonzero(~np.isnan(values))
        stretch = stretches(samples, values, limits, "R36")[known]
        change = np.full(len(values), np.nan)
        passed = np.maximum(np.diff(samples.time_us[known]) / 1e6, 1.0)
        steps = np.abs(np.diff(values[known])) / passed
        steps[(stretch[1:] != stretch[:-1]) | after_failure(samples, name, known)[1:]] = 0
        change[known[1:]] = steps
        levels = np.full(len(values), UNKNOWN, np.int8)
        levels[known] = CLEAR
        levels[change >= limits.of("R36", parameter)] = SET
        found.append(Found(f"R36/{name}", levels, change))
    return found


def stuck(samples: Samples, limits: Limits) -> Sequence[Found]:
    """Bit-identical values while what goes with them moves."""
    found = []
    duration_s = float(np.max(limits.of("R35", "duration"), initial=0))
    for name, correlated in _STUCK.items():
        axes = _AXES if name == "accelerometer" else (name,)
        if any(axis not in samples.signals for axis in axes):
            continue
        same, known = _unchanged(samples, axes)
        if name == "speed":
            same &= samples.signals["speed"] > 0
        levels = np.where(same, np.int8(HOLD), np.int8(CLEAR))
        levels[~known] = UNKNOWN
        moved = np.full(len(samples), np.nan)
        run: Ints = np.cumsum(~same | samples.is_first, dtype=np.int64)
        for rows in _long_runs(samples, same, known, duration_s):
            for other, parameter in correlated:
                if parameter is None or other not in samples.signals:
                    continue
                span = _span(samples, other, rows, run, duration_s)
                moves = span >= _at(limits.of("R35", parameter), rows)
                levels[rows[moves]] = SET
                moved[rows] = np.fmax(moved[rows], span)
        found.append(Found(f"R35/{name}", levels, moved))
    return found


def _unchanged(samples: Samples, axes: Sequence[str]) -> tuple[Flags, Flags]:
    """Rows whose values are those of the known row before, and rows that are known."""
    known = np.logical_and.reduce([~np.isnan(samples.signals[axis]) for axis in axes])
    rows = np.flatnonzero(known)
    same = np.zeros(len(samples), np.bool_)
    equal = samples.vehicle[rows[1:]] == samples.vehicle[rows[:-1]]
    for axis in axes:
        values = samples.signals[axis]
        equal &= values[rows[1:]] == values[rows[:-1]]
    same[rows[1:]] = equal
    return same, known


def _long_runs(samples: Samples, same: Flags, known: Flags, least_s: float) -> list[Ints]:
    """Rows of all runs of equal values that last long enough; one array, or none."""
    rows = np.flatnonzero(known)
    if not len(rows):
        return []
    run = np.cumsum(~same[rows])
    starts = np.flatnonzero(np.diff(run, prepend=run[0] - 1))
    ends = np.append(starts[1:], len(rows)) - 1
    lasts = (samples.time_us[rows[ends]] - samples.time_us[rows[starts]]) / 1e6
    # one that touches an edge of the window may be longer than it looks
    open_ = (
        samples.is_first[rows[starts]]
        | (np.append(samples.vehicle[rows[1:]] != samples.vehicle[rows[:-1]], True)[ends])
    )
    long = (lasts >= least_s) | (open_ & (ends > starts))
    picked = np.repeat(long, ends - starts + 1) & same[rows]
    return [rows[picked]] if picked.any() else []


def _span(samples: Samples, other: str, rows: Ints, run: Ints, window_s: float) -> Values:
    """Range of another signal over the trailing window of these rows, within their runs."""
    values = np.full(len(samples), np.nan)
    concerned = np.isin(run, np.unique(run[rows]))
    values[concerned] = samples.signals[other][concerned]
    highest = rolling(samples, values, window_s, "max", run)
    lowest = rolling(samples, values, window_s, "min", run)
    return np.take(highest - lowest, rows)


def _at(limit: float | Values, rows: Ints) -> float | Values:
    return np.take(limit, rows) if isinstance(limit, np.ndarray) else limit
