"""Habits of a vehicle: which ratios it has at which speed, and how long its signals stand still.

A car has few ratios of engine speed to wheel speed, each at some speeds; its wheels agree with its
positions; its throttle hardly ever stands still while it drives, or always does. Forests of
expected values blur that (a ratio between two gears is near to both), and one number among two
hundred is drowned in votes. So it is counted how often the vehicle's healthy windows had each
value, by how fast it drove, and what is said against them is a likelihood ratio, in log10:

- ratios: how much likelier the value would be if it were spread evenly. Windows add up to the
  largest sum up to now (CUSUM, Page 1954), so that what was usual before dilutes nothing.
- standing still: how rare it is on the vehicle to stand still for so long. Beyond what was seen,
  tails go on as they fell.

A sum of log likelihood ratios that has reached log10(n) is reached by chance not more often than
about once in n windows (Lorden 1971): so `NEED` follows from the alarm budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]
Table = NDArray[np.float16]
STEADY: Final = 0.1
"""A gear is held where ln(rpm/mph) moves by no more than this within a step."""
LEAST_WINDOWS: Final = 100
"""Fewer windows with a value make no habit."""
MOST_SURPRISE: Final = 2.0
"""Of one window, where windows add up."""
MOST_RARE: Final = 8.0
LOOKED_BACK: Final = "180s"
"""Surprises of so long add up."""
_OF_ALL: Final = 10
"""A band counts as if it had so many more windows, lying as those of all bands: few say little."""
_BINARY: Final = 64
"""Surprises are multiples of 1/64, so that their sums are exact wherever a history is cut."""
_MPH: Final = 10.0
_IDLE_RPM: Final = 300.0
_WORKING_RPM: Final = 1000.0
"""Below it an engine may idle while a vehicle rolls in neutral, with its throttle at the stop."""
_WARM_C: Final = 60.0
_STILL_S: Final = 10.0
_STILL_BINS: Final = 13
_SEEN: Final = 10
"""So many windows tell how often a signal stands still for that long; fewer do not."""


@dataclass(frozen=True)
class Habit:
    """What is counted.

    Attributes:
        value: of a row of a model frame; null: nothing is said.
        band: number of what the vehicle does, from 0.
        bands: how many.
        lowest: value at the begin of the first bin; what lies outside counts at the ends.
        width: of a bin.
        bins: how many.
        devices: that may lie where it is unusual.
        spread: bins that a faulty value might as well lie in; 0: it is a time without a change.
    """

    value: pl.Expr
    band: pl.Expr
    bands: int
    lowest: float
    width: float
    bins: int
    devices: tuple[str, ...]
    spread: int = 0

    @property
    def adds_up(self) -> bool:
        """Windows tell more together; a time without a change has added up by itself."""
        return self.spread > 0


def _above(column: str, edges: Sequence[float]) -> pl.Expr:
    """The number of edges that a column has reached."""
    return pl.sum_horizontal((pl.col(column) >= edge).cast(pl.Int64) for edge in edges)


def _log_band(column: str, first: float, width: float, bands: int) -> pl.Expr:
    """Bands of a column of the same width in ln, from 0."""
    number = ((pl.col(column).clip(lower_bound=first) / first).log() / width).floor()
    return number.clip(0, bands - 1)


def _gear() -> Habit:
    """ln(rpm/mph) of held gears by wheel speed; ln(rpm) of a warm, even idle."""
    rpm, held = pl.col("engine_rpm_mean"), pl.col("gear_spread") <= STEADY
    stands = (pl.col("speed_mean") == 0) & (pl.col("speed_spread") == 0)
    warm = (pl.col("coolant_temp_mean") >= _WARM_C).fill_null(value=False)
    idles = stands & warm & (rpm >= _IDLE_RPM) & (pl.col("engine_rpm_spread") <= 0.1 * rpm)
    value = pl.when(held & (rpm >= _WORKING_RPM)).then("gear").when(idles).then(rpm.log())
    band = pl.when(held).then(1 + _log_band("speed_mean", _MPH, 0.15, 19)).otherwise(0)
    return Habit(value, band, 20, 1.5, 0.03, 234, ("engine_rpm", "speed"), 60)


def _wheels() -> Habit:
    """ln(speed by positions / wheel speed), while both say that it drives, by wheel speed."""
    by_fix, mph = pl.col("gps_speed"), pl.col("speed_mean")
    value = pl.when((mph >= _MPH) & (by_fix >= 1)).then((by_fix / mph).log())
    band = _log_band("speed_mean", _MPH, 0.3, 9)
    return Habit(value, band, 9, -1.5, 0.03, 100, ("speed", "gps"), 60)


def _still(signal: str, while_: pl.Expr | None = None) -> Habit:
    """Seconds that a signal has stood still, by wheel speed."""
    value, band = pl.col(f"{signal}_same_s"), _above("speed_mean", (5.0, 20.0, 40.0))
    value = value if while_ is None else pl.when(while_).then(value)
    return Habit(value, band, 4, 0.0, _STILL_S, _STILL_BINS, (signal,))


HABITS: Final[Mapping[str, Habit]] = {
    "gear": _gear(),
    "wheels": _wheels(),
    "rpm_still": _still("engine_rpm"),
    "speed_still": _still("speed"),
    "throttle_still": _still("throttle_position", pl.col("engine_rpm_mean") >= _WORKING_RPM),
}
AGAINST: Final = tuple(f"{name}_against" for name in HABITS)
"""What is said against windows by each habit, log10; from `NEED` on it is enough for an alarm."""
NEED: Final = 4.6
"""log10 of the windows between alarms of one habit that were none: ten times those between alarms
of a budget of 0.7 in 8 hours, so that all five together take half of it."""


def fit_habits(frame: pl.DataFrame) -> dict[str, Table]:
    """Learns the habits of a vehicle.

    Args:
        frame: its model frame without known faults.

    Returns:
        By name of HABITS, for those with enough windows, what each bin says against a window, by
        band.
    """
    found = {}
    for name, (habit, band, bins, known) in _places(frame, list(HABITS)).items():
        if known.sum() >= LEAST_WINDOWS:
            counts = np.zeros((habit.bands, habit.bins))
            np.add.at(counts, (band[known], bins[known]), 1.0)
            told = _surprises(counts, habit.spread) if habit.adds_up else _rarities(counts)
            found[name] = (np.round(told * _BINARY) / _BINARY).astype(np.float16)
    return found


def _places(
    frame: pl.DataFrame, names: Sequence[str]
) -> dict[str, tuple[Habit, Numbers, Numbers, NDArray[np.bool_]]]:
    """Of some habits the band and the bin of each window, and whether it has a value."""
    told = frame.select(
        expression.cast(pl.Float64).alias(f"{name} {what}")
        for name in names
        for what, expression in (("value", HABITS[name].value), ("band", HABITS[name].band))
    )
    found = {}
    for name in names:
        habit, value = HABITS[name], told[f"{name} value"].to_numpy()
        known = ~np.isnan(value)
        bins = np.floor((np.where(known, value, habit.lowest) - habit.lowest) / habit.width)
        band = np.nan_to_num(told[f"{name} band"].to_numpy()).astype(np.int64)
        bins = np.clip(bins, 0, habit.bins - 1).astype(np.int64)
        found[name] = (habit, band, bins, known)
    return found


def _surprises(counts: Values, spread: int) -> Values:
    """log10 of how much likelier each bin is if values are spread evenly."""
    padded = np.pad(counts, ((0, 0), (1, 1)))  # values move by less than a bin for no reason
    counts = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    own = counts.copy()  # and so do bands; the first one may be another matter, as an idle is
    own[2:] += counts[1:-1] / 2
    own[1:-1] += counts[2:] / 2
    of_all = counts.sum(axis=0) / counts.sum()
    own = (own + _OF_ALL * of_all) / (own.sum(axis=1, keepdims=True) + _OF_ALL)
    floor = 10.0**-MOST_SURPRISE
    return np.asarray(-np.log10((1 - floor) * own * spread + floor))


def _rarities(counts: Values) -> Values:
    """−log10 of the share of windows that stand still for so long; beyond those seen, as it fell.

    A band with few windows says nothing.
    """
    told = np.zeros_like(counts)
    for band, row in enumerate(counts):
        longer = row[::-1].cumsum()[::-1]
        seen = np.flatnonzero(longer >= _SEEN)
        if row.sum() < LEAST_WINDOWS or len(seen) < 2:
            continue
        last = int(seen[-1])
        told[band, : last + 1] = -np.log10(longer[: last + 1] / row.sum())
        further = np.arange(1, len(row) - last)
        told[band, last + 1 :] = told[band, last] * (1 + further / last)
    return np.minimum(told, MOST_RARE)


def said(habits: Mapping[str, Table], frame: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """What each window alone says against its vehicle, by AGAINST; NaN: nothing is known.

    Args:
        habits: of the vehicle.
        frame: model frame of the vehicle.
    """
    found = {name: np.full(frame.height, np.nan, np.float32) for name in AGAINST}
    for name, (_, band, bins, known) in _places(frame, list(habits)).items():
        found[f"{name}_against"][known] = habits[name][band[known], bins[known]]
    return found


def added_up(frame: pl.DataFrame) -> pl.DataFrame:
    """With sums in place of what each window says alone, where windows add up.

    Args:
        frame: `vehicle_id`, `window_end` and AGAINST as `said` gives it, in order of vehicle and
            time; LOOKED_BACK before the wanted windows makes sums whole.
    """
    sums = [f"{name}_against" for name, habit in HABITS.items() if habit.adds_up]
    given = {name: pl.col(name).fill_null(0).cast(pl.Float64) for name in sums}
    rows = frame.with_columns(one.cum_sum().alias(f"{name} upto") for name, one in given.items())
    lowest = {
        name: (pl.col(f"{name} upto") - one).rolling_min_by("window_end", LOOKED_BACK)
        for name, one in given.items()
    }
    heard = {
        name: pl.col(name).is_not_null().cast(pl.Int64).rolling_sum_by("window_end", LOOKED_BACK)
        for name in sums
    }
    largest = [
        pl.when(heard[name].over("vehicle_id") > 0)
        .then((pl.col(f"{name} upto") - lowest[name].over("vehicle_id")).clip(lower_bound=0))
        .cast(pl.Float32)
        .alias(name)
        for name in sums
    ]
    return rows.with_columns(largest).drop(f"{name} upto" for name in sums)
