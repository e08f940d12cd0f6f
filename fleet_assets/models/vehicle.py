"""What is known of one healthy vehicle, or of a group for vehicles that are not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.frame import INPUTS, Matrix, matrix
from fleet_assets.models.habits import STEADY, Table, fit_habits
from fleet_assets.models.healthy import Expectation, chosen_windows, expectations, of_others
from fleet_assets.models.scale import placed

Values = NDArray[np.float64]
MOST_AWAY: Final = 20.0
"""Numbers that compare with the vehicle are cut here."""
GEAR_WIDTH: Final = 0.03
"""Ratios so far from each other, in ln, are of one gear."""
LEAST_GEARS: Final = 100
MOST_GEARS: Final = 2000
MARKS: Final = (0.002, 0.02, 0.5, 0.98, 0.998)
"""Percentiles of healthy windows that inputs are compared with."""
_FLOORS: Final = {"null_share": 0.1, "same_s": 5.0, "share": 0.05, "count": 1.0}
"""Least spreads by the end of a column's name."""


@dataclass(frozen=True)
class Vehicle:
    """A healthy vehicle.

    Attributes:
        expectations: by quantity, what tells it.
        lowest: by column of INPUTS the 0.2nd percentile; NaN: never known.
        low: the 2nd.
        usual: the median.
        high: the 98th.
        highest: the 99.8th.
        gears: ln(rpm/mph) of steps in which a gear was held, in order; few or none: not known.
        habits: see `habits.fit_habits`.
        windows: how many healthy windows it was made from.
    """

    expectations: Mapping[str, Expectation]
    lowest: Values
    low: Values
    usual: Values
    high: Values
    highest: Values
    gears: Values
    habits: Mapping[str, Table]
    windows: int

    def away(self, frame: pl.DataFrame, *, tails: bool = True) -> Matrix:
        """Inputs against what is usual, see `scale.placed`: 1 lies at `high`, 2 at `highest`."""
        rows = matrix(frame, INPUTS).astype(np.float64)
        marks = self.lowest, self.low, self.usual, self.high, self.highest
        return np.clip(placed(rows, *marks, tails=tails), -MOST_AWAY, MOST_AWAY).astype(np.float32)

    def gear_support(self, frame: pl.DataFrame) -> Values:
        """Share of the vehicle's steady steps that had about this ratio, against an even spread.

        Near 0: no gear of the vehicle; NaN: no gear is held, or the gears are not known.
        """
        ratio = matrix(frame, ("gear",))[:, 0].astype(np.float64)
        steady = matrix(frame, ("gear_spread",))[:, 0] <= STEADY
        found = np.full(frame.height, np.nan)
        if len(self.gears) >= LEAST_GEARS:
            upto = np.searchsorted(self.gears, ratio + GEAR_WIDTH)
            share = (upto - np.searchsorted(self.gears, ratio - GEAR_WIDTH)) / len(self.gears)
            found[steady] = np.minimum(share[steady] / (2 * GEAR_WIDTH), 3.0)
        return found


def fit_vehicle(frame: pl.DataFrame, seed: int) -> Vehicle:
    """Learns one vehicle from healthy windows.

    Args:
        frame: its model frame without known faults.
        seed: the same one gives the same vehicle.
    """
    return _made(frame, expectations(frame, seed), _gears(frame, seed), fit_habits(frame))


def fit_group(frame: pl.DataFrame, seed: int) -> Vehicle:
    """Learns what stands for vehicles of a group that are not known yet.

    Its quantiles say how far it is off for a vehicle that it has not seen; gears and habits are not
    known.

    Args:
        frame: healthy windows of the group's vehicles.
        seed: as of `fit_vehicle`.
    """
    made = of_others(frame, seed, expectations(frame, seed))
    return _made(frame, made, np.empty(0), {})


def _made(
    frame: pl.DataFrame,
    told: Mapping[str, Expectation],
    gears: Values,
    habits: Mapping[str, Table],
) -> Vehicle:
    chosen = chosen_windows(frame, 0, most=20_000)
    rows = matrix(chosen, INPUTS).astype(np.float64)
    lowest, low, usual, high, highest = (np.full(len(INPUTS), np.nan) for _ in range(5))
    known = np.flatnonzero((~np.isnan(rows)).any(axis=0))
    marks = np.nanquantile(rows[:, known], MARKS, axis=0)
    lowest[known], low[known], usual[known], high[known], highest[known] = marks
    least = np.array([_floor(name) for name in INPUTS])
    least = np.maximum(least, 0.02 * np.maximum(high - low, np.abs(usual) * 0.1))
    low, high = np.minimum(low, usual - least), np.maximum(high, usual + least)
    return Vehicle(told, lowest, low, usual, high, highest, gears, habits, frame.height)


def _floor(name: str) -> float:
    return next((least for end, least in _FLOORS.items() if end in name), 1e-3)


def _gears(frame: pl.DataFrame, seed: int) -> Values:
    held = frame.filter(pl.col("gear_spread") <= STEADY)["gear"].drop_nulls().to_numpy()
    if len(held) > MOST_GEARS:
        held = np.random.default_rng(seed).choice(held, MOST_GEARS, replace=False)
    return np.sort(held)
