"""Looking back over a window of time, within a vehicle and not across silence."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values

_STEPS_TRIED: Final = 4
LONGEST_STEP_S: Final = 60.0
"""Where a rule survives any silence, differences and medians still end at one of this length."""
Ints = NDArray[np.int64]
Rows = Ints | slice
"""Indices of some rows; a slice where they are all rows, which costs nothing."""


def known_rows(*signals: Values) -> Rows:
    """Rows at which all of these are known."""
    unknown = np.isnan(signals[0])
    for values in signals[1:]:
        unknown |= np.isnan(values)
    return np.flatnonzero(~unknown) if unknown.any() else slice(None)


def rows_at(known: Rows, positions: Ints) -> Ints:
    """Rows of some positions among known ones."""
    return positions if isinstance(known, slice) else known[positions]


def stretches(samples: Samples, values: Values, limits: Limits, rule_id: str) -> Ints:
    """Number of the stretch that each sample belongs to; a new one after a silence of the signal.

    Args:
        samples: the samples.
        values: the signal; NaN where it is unknown.
        limits: gives the longest silence (`max_gap`) of the rule.
        rule_id: the rule.
    """
    known = np.flatnonzero(~np.isnan(values))
    begins = np.zeros(len(values), np.bool_)
    if len(known):
        most = np.minimum(limits.of(rule_id, "max_gap"), LONGEST_STEP_S)
        if isinstance(most, np.ndarray) and most.ndim:
            most = most[known[1:]]
        new = np.ones(len(known), np.bool_)
        new[1:] = (np.diff(samples.time_us[known]) > most * 1e6) | (
            samples.vehicle[known[1:]] != samples.vehicle[known[:-1]]
        )
        begins[known[new]] = True
    begins |= samples.is_first
    return np.cumsum(begins)


def rolling(
    samples: Samples,
    values: Values,
    window_s: float,
    what: Literal["min", "max", "median"],
    stretch: Ints,
    closed: Literal["right", "both"] = "right",
) -> Values:
    """A statistic of the known values of the trailing window (t − window, t] of each sample.

    NaN where the sample's own value is unknown. The window has its beginning, too, if it is closed
    on both sides.
    """
    known = np.flatnonzero(~np.isnan(values))
    out = np.full(len(values), np.nan)
    if not len(known):
        return out
    window_us = round(window_s * 1e6)
    apart = _apart(samples.time_us[known], stretch[known], window_us)
    frame = pl.DataFrame({"v": values[known], "t": pl.Series(apart).cast(pl.Datetime("us"))})
    window = f"{window_us}us"
    by = {
        "min": pl.col("v").rolling_min_by("t", window, closed=closed),
        "max": pl.col("v").rolling_max_by("t", window, closed=closed),
        "median": pl.col("v").rolling_median_by("t", window, closed=closed),
    }[what]
    out[known] = frame.select(by).to_series().to_numpy()
    return out


def _apart(when: Ints, stretch: Ints, window_us: int) -> Ints:
    """Times with stretches moved so that no window reaches from one into another."""
    begins = np.flatnonzero(np.diff(stretch)) + 1
    moved = np.zeros(len(when), np.int64)
    moved[begins] = when[begins] - when[begins - 1] - window_us - 1
    return when - np.cumsum(moved)


def age_s(samples: Samples, values: Values, stretch: Ints) -> Values:
    """Seconds since the first known value of each sample's stretch; NaN where it is unknown."""
    known = np.flatnonzero(~np.isnan(values))
    out = np.full(len(values), np.nan)
    if not len(known):
        return out
    mine = stretch[known]
    first = np.ones(len(known), np.bool_)
    first[1:] = mine[1:] != mine[:-1]
    start = np.maximum.accumulate(np.where(first, np.arange(len(known)), 0))
    when = samples.time_us[known]
    out[known] = (when - when[start]) / 1e6
    return out


def near_any(samples: Samples, flags: Flags, seconds: float) -> Flags:
    """Rows within so many seconds before or after a flagged one of the same vehicle."""
    near = np.zeros(len(samples), np.bool_)
    at = np.flatnonzero(flags)
    if not len(at):
        return near
    most = round(seconds * 1e6)
    numbers = np.arange(len(at))
    place = np.repeat(
        np.append(numbers, len(at)), np.diff(np.concatenate([[0], at + 1, [len(samples)]]))
    )  # how many flagged rows lie before each row
    for other in (at[np.maximum(place - 1, 0)], at[np.minimum(place, len(at) - 1)]):
        near |= (np.abs(samples.time_us[other] - samples.time_us) <= most) & (
            samples.vehicle[other] == samples.vehicle
        )
    return near


def whole_vehicles(samples: Samples, flags: Flags) -> Flags:
    """Rows of the vehicles of which any row is flagged."""
    starts = np.flatnonzero(samples.is_first)
    if not len(starts):
        return flags
    concerned = np.logical_or.reduceat(flags, starts)
    return np.repeat(concerned, np.diff(np.append(starts, len(samples))))


def earlier(samples: Samples, known: Rows, base_s: float) -> Ints:
    """For each known sample the newest known one that lies at least so long before it.

    Args:
        samples: the samples.
        known: indices of the samples that count.
        base_s: seconds.

    Returns:
        Positions within `known`; −1: the vehicle has none.
    """
    when, whose = samples.time_us[known], samples.vehicle[known]
    if not len(when):
        return np.empty(0, np.int64)
    base_us = round(base_s * 1e6)
    found = np.full(len(when), -1)
    for step in range(1, _STEPS_TRIED + 1):  # samples that come evenly are done after a few
        if step < len(when):
            far = when[step:] - when[:-step] >= base_us
            far &= (found[step:] < 0) & (whose[step:] == whose[:-step])
            reached = np.flatnonzero(far)
            found[reached + step] = reached
        left = np.flatnonzero(found < 0)
        if len(left) * 50 < len(when):
            break
    if not len(left):
        return found
    origin = int(when.min()) - base_us - 1
    span = int(when.max()) - origin + 1
    keys = whose.astype(np.int64) * span + (when - origin)
    at = np.searchsorted(keys, keys[left] - base_us, side="right") - 1
    same = (at >= 0) & (whose[np.maximum(at, 0)] == whose[left])
    found[left] = np.where(same, at, -1)
    return found


def after_failure(samples: Samples, signal: str, known: Rows) -> Flags:
    """Known samples of a signal before which it has failed, so that no difference is taken.

    It has failed where it is an explicit null and where the message is in conflict. Messages that
    do not name it are no failure: signals may come at rates of their own.

    Args:
        samples: the samples.
        signal: name of the signal.
        known: indices of its known samples.
    """
    failed = samples.nulls.get(signal)
    if samples.in_conflict is not None:
        failed = samples.in_conflict if failed is None else failed | samples.in_conflict
    after = np.zeros(len(samples.time_us[known]), np.bool_)
    if failed is not None:
        rows = np.flatnonzero(failed)
        places = rows if isinstance(known, slice) else np.searchsorted(known, rows)
        after[places[(places > 0) & (places < len(after))]] = True
    return after
