"""Sensors that say that they have failed (R34), are stuck (R35) or jump (R36)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fleet_assets.episodes.levels import CLEAR, HOLD, SET, UNKNOWN, Limit
from fleet_assets.episodes.runs import of_ranges
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import (
    LONGEST_STEP_S,
    Ints,
    Rows,
    after_failure,
    known_rows,
    rolling,
    rows_at,
)

_JUMPS: Final = {
    "engine_rpm": "rpm_per_s",
    "coolant_temp": "coolant_per_s",
    "speed": "speed_per_s",
}
_STUCK: Final = {
    "engine_rpm": (("speed", "speed_range"),),
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
        known = known_rows(values)
        of_known = values[known]
        # as no less than a second counts, this alone tells all that may be one
        change = np.abs(np.diff(of_known))
        maybe = np.flatnonzero(change >= np.min(limits.of("R36", parameter)))
        if not len(maybe):
            continue
        before, after = (rows_at(known, maybe + step) for step in (0, 1))
        passed_s = (samples.time_us[after] - samples.time_us[before]) / 1e6
        a_second = change[maybe] / np.maximum(passed_s, 1.0)
        longest_s = np.minimum(_at(limits.of("R36", "max_gap"), after), LONGEST_STEP_S)
        jumped = (
            (samples.vehicle[before] == samples.vehicle[after])
            & (passed_s <= longest_s)
            & (a_second >= _at(limits.of("R36", parameter), after))
            & ~after_failure(samples, name, known)[maybe + 1]
        )
        if not jumped.any():
            continue
        levels = np.full(len(values), UNKNOWN, np.int8)
        levels[known] = CLEAR
        levels[after[jumped]] = SET
        measure = np.full(len(values), np.nan)
        measure[after] = a_second
        found.append(Found(f"R36/{name}", levels, measure))
    return found


def stuck(samples: Samples, limits: Limits) -> Sequence[Found]:
    """Bit-identical values while what goes with them moves."""
    found = []
    duration_s = float(np.max(limits.of("R35", "duration"), initial=0))
    for name, correlated in _STUCK.items():
        axes = _AXES if name == "accelerometer" else (name,)
        if any(axis not in samples.signals for axis in axes):
            continue
        known = known_rows(*(samples.signals[axis] for axis in axes))
        starts, ends = _long_runs(samples, axes, known, duration_s)
        if not len(starts):
            continue
        levels = np.full(len(samples), UNKNOWN, np.int8)
        levels[known] = CLEAR
        same = rows_at(known, _ranges(starts + 1, ends + 1))
        levels[same] = HOLD
        first, last = rows_at(known, starts), rows_at(known, ends)
        moved = np.full(len(samples), np.nan)
        for other, parameter in correlated:
            if other not in samples.signals:
                continue
            least = limits.of("R35", parameter)
            some = _worth_a_look(samples, limits, other, first, last, least)
            span = _span(samples, other, first[some], last[some], duration_s)[same]
            levels[same[span >= _at(least, same)]] = SET
            moved[same] = np.fmax(moved[same], span)
        found.append(Found(f"R35/{name}", levels, moved))
    return found


def _long_runs(
    samples: Samples, axes: Sequence[str], known: Rows, least_s: float
) -> tuple[Ints, Ints]:
    """First and last position, among the known, of runs of equal values that last long enough."""
    whose, when = samples.vehicle[known], samples.time_us[known]
    mine = whose[1:] == whose[:-1]
    same = mine.copy()
    for axis in axes:
        values = samples.signals[axis][known]
        same &= values[1:] == values[:-1]
        if axis == "speed":
            same &= values[1:] > 0
    edges = np.flatnonzero(np.diff(same.view(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    # one that touches an edge of the window may be longer than it looks
    begins = np.append(True, ~mine)
    is_open = begins[starts] | np.append(begins, True)[ends + 1]
    long = is_open | (when[ends] - when[starts] >= least_s * 1e6)
    return starts[long], ends[long]


def _worth_a_look(
    samples: Samples, limits: Limits, other: str, first: Ints, last: Ints, least: Limit
) -> Flags:
    """Runs over which the other signal moves enough, or that may be seen in part only."""
    highest, lowest = (
        of_ranges(of, samples.signals[other], first, last) for of in (np.fmax, np.fmin)
    )
    in_part = samples.is_context[first] | (limits.regime[first] != limits.regime[last])
    return np.asarray(in_part | (highest - lowest >= np.fmin.reduce(np.atleast_1d(least))))


def _span(samples: Samples, other: str, first: Ints, last: Ints, window_s: float) -> Values:
    """Range of another signal over the trailing window of each row, within its run.

    NaN outside of the runs.
    """
    values = np.full(len(samples), np.nan)
    if not len(first):
        return values
    inside = _ranges(first, last + 1)
    run = np.zeros(len(samples), np.int64)
    run[inside] = np.repeat(np.arange(1, len(first) + 1), last - first + 1)
    values[inside] = samples.signals[other][inside]
    highest = rolling(samples, values, window_s, "max", run)
    return np.asarray(highest - rolling(samples, values, window_s, "min", run))


def _ranges(starts: Ints, ends: Ints) -> Ints:
    """All numbers from each start to before its end, one range after the other."""
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(int(lengths.sum())) + np.repeat(starts - offsets, lengths))


def _at(limit: float | Values, rows: Ints) -> float | Values:
    return np.take(limit, rows) if isinstance(limit, np.ndarray) else limit
