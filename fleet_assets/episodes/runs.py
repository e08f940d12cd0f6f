"""Samples in a row that say the same: what pieces are made of.

A condition changes seldom, so that runs are few where samples are many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet_assets.episodes.levels import UNKNOWN, Levels

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """Samples of a window in order of vehicle and time, with the silences between them.

    Many conditions share one: what it holds is told once.

    Attributes:
        vehicle: code of each sample's vehicle, not decreasing.
        time_us: event time of each sample in µs, increasing within a vehicle.
        max_gap_us: longest time between two known samples that an episode survives, for all
            samples or for each (the later of the two decides); None: it survives any silence.
        breaks: another vehicle begins here, or this one was silent for too long.
    """

    vehicle: NDArray[np.int32]
    time_us: Ints
    max_gap_us: int | Ints | None
    breaks: Flags

    @classmethod
    def of(cls, vehicle: NDArray[np.int32], time_us: Ints, max_gap_us: int | Ints | None) -> Line:
        """A line along some samples."""
        breaks = np.ones(len(vehicle), np.bool_)
        np.not_equal(vehicle[1:], vehicle[:-1], out=breaks[1:])
        line = cls(vehicle, time_us, max_gap_us, breaks)
        breaks[1:] |= line.is_silent(slice(None, -1), slice(1, None))
        return line

    @property
    def longest_us(self) -> float:
        """The longest silence that is survived anywhere; infinite if any is."""
        most = self.max_gap_us
        return np.inf if most is None else float(np.max(most, initial=0))

    def is_silent(self, before: Ints | slice, after: Ints | slice) -> Flags | np.bool_:
        """Whether too much time passed between samples, of whatever vehicles."""
        most = self.max_gap_us
        if most is None:
            return np.False_
        passed = self.time_us[after] - self.time_us[before]
        return np.asarray(passed > (most if isinstance(most, int) else most[after]))


@dataclass(frozen=True)
class Runs:
    """Stretches of rows that all say the same without a break, but for those that say nothing.

    Attributes:
        start: index of each run's first row.
        end: index of its last row.
        level: what its rows say.
    """

    start: Ints
    end: Ints
    level: Levels


def runs_of(line: Line, levels: Levels) -> Runs:
    """Runs of what the samples of a line say."""
    begins = line.breaks.copy()
    begins[1:] |= levels[1:] != levels[:-1]
    start = np.flatnonzero(begins)
    end = np.append(start[1:], len(levels)) - 1
    level = levels[start]
    known = level != UNKNOWN
    return Runs(start[known], end[known], level[known])


def numbers_of(first: Ints, lengths: Ints) -> Ints:
    """Ranges of so many numbers from each first one, one range after the other."""
    offsets = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(int(lengths.sum())) + np.repeat(first - offsets, lengths))


def of_ranges(most: np.ufunc, values: Values, start: Ints, end: Ints) -> Values:
    """A reduction over the rows from each start to each end; the ranges are in order.

    Args:
        most: `np.fmax` or `np.fmin`.
        values: of each row.
        start: first rows.
        end: last rows.
    """
    bounds = np.column_stack([start, end + 1]).ravel()
    if bounds[-1] == len(values):
        bounds = bounds[:-1]
    return np.asarray(most.reduceat(values, bounds)[::2])
