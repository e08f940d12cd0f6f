"""Bringing a vehicle up to date by a few new windows: its forests stay, what is usual moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.frame import INPUTS, matrix
from fleet_assets.models.healthy import QUANTILES, Expectation
from fleet_assets.models.vehicle import MARKS, Vehicle

Values = NDArray[np.float64]
LEAST_WINDOWS: Final = 40
"""Fewer new values of a quantity, or of a regime, move nothing."""
HALF_WEIGHT: Final = 720
"""So many new windows (two hours) weigh as much as what was known."""


def recalibrated(vehicle: Vehicle, frame: pl.DataFrame) -> Vehicle:
    """The vehicle with residual quantiles and ranges moved toward those of new windows.

    Args:
        vehicle: as it was fitted.
        frame: healthy windows that its forests have not seen.
    """
    told = {name: _moved(one, frame) for name, one in vehicle.expectations.items()}
    rows = matrix(frame, INPUTS).astype(np.float64)
    counts = (~np.isnan(rows)).sum(axis=0)
    there = np.flatnonzero((counts >= LEAST_WINDOWS) & ~np.isnan(vehicle.usual))
    low, usual, high = vehicle.low.copy(), vehicle.usual.copy(), vehicle.high.copy()
    if len(there):
        new = np.nanquantile(rows[:, there], MARKS[1:4], axis=0)
        weight = counts[there] / (counts[there] + HALF_WEIGHT)
        spread = np.minimum(usual - low, high - usual)[there]  # never narrower than it was fitted
        usual[there] += weight * (new[1] - usual[there])
        low[there] = _toward(low[there], np.minimum(new[0], usual[there] - spread), weight)
        high[there] = _toward(high[there], np.maximum(new[2], usual[there] + spread), weight)
    return replace(
        vehicle,
        expectations=told,
        lowest=low - (vehicle.low - vehicle.lowest),  # tails keep their length
        low=low,
        usual=usual,
        high=high,
        highest=high + (vehicle.highest - vehicle.high),
    )


def _toward(old: Values, new: Values, weight: Values) -> Values:
    return np.asarray(old + weight * (new - old))


def _moved(one: Expectation, frame: pl.DataFrame) -> Expectation:
    known = frame.filter(pl.col(one.target).is_not_null())
    if known.height < LEAST_WINDOWS:
        return one
    given = matrix(known, (one.target,))[:, 0].astype(np.float64)
    off = given - one.expected(known)
    moved = dict(one.off)
    for name, old in one.off.items():
        mine = off if name == "all" else off[(known["regime"] == name).to_numpy()]
        if len(mine) >= LEAST_WINDOWS:
            weight = len(mine) / (len(mine) + HALF_WEIGHT)
            new = np.nanquantile(mine, QUANTILES[1:4]).tolist()
            low, mid, high = (o + weight * (n - o) for o, n in zip(old[1:4], new, strict=True))
            least = min(old[2] - old[1], old[3] - old[2]) / 2
            low, high = min(low, mid - least), max(high, mid + least)
            tails = old[1] - old[0], old[4] - old[3]  # keep their length
            moved[name] = (low - tails[0], low, mid, high, high + tails[1])
    return replace(one, off=moved)
