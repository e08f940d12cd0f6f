"""Forests that say what a healthy vehicle would show: each of some quantities from the others.

A forest is fitted on at most 2,000 windows of the vehicle, spread over its days and regimes. How
far it is usually off is told by windows that its trees have not seen (out of bag), by regime: a
residual of 1 lies at the 95th percentile, 2 at the 99.5th, −1 at the 5th, 0 at the median.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.forests import predict
from fleet_assets.models.frame import matrix
from fleet_assets.models.scale import placed

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

Values = NDArray[np.float64]
TARGETS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "rpm": ("engine_rpm_mean", (
        "speed_mean", "speed_change", "speed_mean_60s", "throttle_position_mean",
        "throttle_mean_60s", "engine_load_mean", "accel_x_mean", "gps_speed", "coolant_temp_mean",
    )),
    "speed": ("speed_mean", (
        "engine_rpm_mean", "rpm_mean_60s", "rpm_slope_10s", "throttle_position_mean",
        "throttle_mean_60s", "engine_load_mean", "accel_x_mean", "gps_speed",
    )),
    "speed_change": ("speed_change", (
        "engine_rpm_mean", "rpm_slope_10s", "throttle_position_mean", "throttle_mean_60s",
        "engine_load_mean", "accel_x_mean", "gps_speed",
    )),
    "coolant_change": ("coolant_slope_60s", (
        "coolant_max_300s", "rpm_mean_60s", "speed_mean_60s", "throttle_mean_60s", "load_mean_60s",
        "idle_share_300s", "ambient_temp_mean",
    )),
    "coolant_trend": ("coolant_slope_300s", (
        "coolant_max_300s", "rpm_mean_60s", "speed_mean_300s", "throttle_mean_60s",
        "load_mean_60s", "idle_share_300s", "ambient_temp_mean",
    )),
    "coolant": ("coolant_temp_mean", (
        "coolant_slope_300s", "rpm_mean_60s", "speed_mean_300s", "throttle_mean_60s",
        "load_mean_60s", "idle_share_300s", "ambient_temp_mean", "intake_air_temp_mean",
    )),
    "throttle": ("throttle_position_mean", (
        "engine_rpm_mean", "rpm_slope_10s", "speed_mean", "speed_change", "engine_load_mean",
        "accel_x_mean",
    )),
    "acceleration": ("accel_x_mean", (
        "speed_change", "speed_mean", "rpm_slope_10s", "engine_rpm_mean", "throttle_position_mean",
        "gps_speed",
    )),
    "gps_speed": ("gps_speed", (
        "speed_mean", "engine_rpm_mean", "throttle_position_mean", "accel_x_mean",
    )),
}  # fmt: skip
"""By quantity: its column, and the columns that it is told from (those that the vehicle has)."""
MOST_WINDOWS: Final = 2000
LEAST_WINDOWS: Final = 100
"""Fewer known values of a quantity make no forest."""
QUANTILES: Final = (0.005, 0.05, 0.5, 0.95, 0.995)
Marks = tuple[float, float, float, float, float]
ALL: Final = "all"
_LEAST_OF_REGIME: Final = 40
_LEAST_KNOWN: Final = 0.3
"""A column is told from where at least this share of the windows has it."""
_TREES: Final = 16
_LEAST_LEAF: Final = 8
_LEFT_OUT: Final = 10
"""A group's vehicles are left out one by one, or in so many parts if there are more."""
_MOST_LEAVES: Final = 64


@dataclass(frozen=True)
class Expectation:
    """What one quantity should be.

    Attributes:
        target: column of the quantity.
        columns: what it is told from, in order.
        forest: tells it.
        off: by regime (and ALL), the residual's quantiles of QUANTILES, in the target's unit.
    """

    target: str
    columns: tuple[str, ...]
    forest: RandomForestRegressor
    off: Mapping[str, Marks]

    def expected(self, frame: pl.DataFrame) -> Values:
        """What it should be, in its unit, for each row of a model frame."""
        return predict(self.forest, matrix(frame, self.columns))[:, 0]

    def residuals(self, frame: pl.DataFrame, *, tails: bool = True) -> Values:
        """How far it is off, on the scale of what is usual; NaN where it is not known."""
        given = matrix(frame, (self.target,))[:, 0].astype(np.float64)
        return self.scaled(given - self.expected(frame), frame["regime"], tails=tails)

    def scaled(self, off: Values, regimes: pl.Series, *, tails: bool = True) -> Values:
        """Residuals in the target's unit on the scale of the usual ones, see `scale.placed`."""
        numbers = {name: number for number, name in enumerate(self.off)}
        which = regimes.replace_strict(numbers, default=numbers[ALL], return_dtype=pl.UInt32)
        marks = np.array(list(self.off.values()))[which.to_numpy()]
        return placed(off, *marks.T, tails=tails)


def chosen_windows(frame: pl.DataFrame, seed: int, most: int = MOST_WINDOWS) -> pl.DataFrame:
    """At most so many windows, from each regime and day alike as far as they have any."""
    if frame.height <= most:
        return frame
    order = np.random.default_rng(seed).permutation(frame.height)
    keys = frame.select("vehicle_id", "regime", day=pl.col("window_end").dt.date())
    rank = pl.int_range(pl.len()).over("vehicle_id", "regime", "day")
    mixed = keys.with_row_index("row")[order].with_columns(rank=rank)
    rows = mixed.sort("rank", maintain_order=True).head(most)["row"]
    return frame[rows.sort()].sort("vehicle_id", "window_end")


def expectations(frame: pl.DataFrame, seed: int) -> dict[str, Expectation]:
    """Fits the forests of one vehicle (or of a group's vehicles) on healthy windows.

    Args:
        frame: a model frame without known faults.
        seed: makes the choice of windows and the forests.

    Returns:
        By quantity of TARGETS; those that cannot be told from the vehicle's signals are missing.
    """
    chosen = chosen_windows(frame, seed)
    found = {name: _fitted(chosen, *what, seed) for name, what in TARGETS.items()}
    return {name: made for name, made in found.items() if made is not None}


def _fitted(
    frame: pl.DataFrame, target: str, columns: tuple[str, ...], seed: int
) -> Expectation | None:
    from sklearn.ensemble import RandomForestRegressor

    known = frame.filter(pl.col(target).is_not_null())
    there = tuple(n for n in columns if known[n].count() >= _LEAST_KNOWN * known.height)
    if known.height < LEAST_WINDOWS or not there:
        return None
    forest = RandomForestRegressor(
        _TREES, min_samples_leaf=_LEAST_LEAF, max_leaf_nodes=_MOST_LEAVES, max_features=0.6,
        oob_score=True, n_jobs=1, random_state=seed,
    )  # fmt: skip
    given = matrix(known, (target,))[:, 0].astype(np.float64)
    with warnings.catch_warnings():  # a window that every tree has seen does not count
        warnings.simplefilter("ignore", UserWarning)
        forest.fit(matrix(known, there), given)
    off = given - forest.oob_prediction_
    del forest.oob_prediction_  # large, and never asked for again
    return Expectation(target, there, forest, _usual(off, known["regime"], given))


def _usual(off: Values, regimes: pl.Series, given: Values) -> dict[str, Marks]:
    """Quantiles of residuals by regime; never narrower than a hundredth of the quantity's range."""
    least = max(0.01 * float(np.subtract(*np.nanquantile(given, [0.95, 0.05]))), 1e-6)
    found = {ALL: _quantiles(off, least)}
    for name in regimes.unique().sort().to_list():
        mine = off[(regimes == name).to_numpy()]
        if len(mine) >= _LEAST_OF_REGIME:
            found[name] = _quantiles(mine, least)
    return found


def _quantiles(off: Values, least: float) -> Marks:
    lowest, low, mid, high, highest = np.nanquantile(off, QUANTILES).tolist()
    return lowest, min(low, mid - least), mid, max(high, mid + least), highest


def of_others(
    frame: pl.DataFrame, seed: int, made: Mapping[str, Expectation]
) -> dict[str, Expectation]:
    """A group's forests with residuals as usual for a vehicle that they have not seen.

    Out-of-bag windows of a group come from vehicles that the trees know. So each vehicle (a tenth
    of them, where there are many) is told by forests of the others, and its residuals say how far
    the group's are off for a stranger.

    Args:
        frame: the group's healthy windows.
        seed: as of the group's forests.
        made: the group's forests.

    Returns:
        The same forests with wider quantiles; unchanged where the group has only one vehicle.
    """
    ids = frame["vehicle_id"].unique().sort().to_list()
    if len(ids) < 2:
        return dict(made)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in made}
    for number in range(min(_LEFT_OUT, len(ids))):
        left_out = pl.col("vehicle_id").is_in(ids[number::_LEFT_OUT])
        mine = chosen_windows(frame.filter(left_out), seed)
        for name, fit in expectations(frame.filter(~left_out), seed).items():
            if name in made and mine[fit.target].count() >= LEAST_WINDOWS:
                given = matrix(mine, (fit.target,))[:, 0].astype(np.float64)
                off = pl.DataFrame({"off": given - fit.expected(mine), "regime": mine["regime"]})
                parts[name].append(off.with_columns(given=pl.Series(given)).fill_nan(None))
    return {name: _widened(one, parts[name]) for name, one in made.items()}


def _widened(one: Expectation, parts: list[pl.DataFrame]) -> Expectation:
    if not parts:
        return one
    every = pl.concat(parts).drop_nulls()
    off, given = every["off"].to_numpy(), every["given"].to_numpy()
    strange = _usual(off, every["regime"], given)
    wider = {
        name: _hull(marks, one.off[name]) if name in one.off else marks
        for name, marks in strange.items()
    }
    return Expectation(one.target, one.columns, one.forest, wider)


def _hull(one: Marks, other: Marks) -> Marks:
    """The wider marks of two, with the median of the first."""
    (lowest, low), (high, highest) = map(min, one[:2], other[:2]), map(max, one[3:], other[3:])
    return lowest, low, one[2], high, highest
