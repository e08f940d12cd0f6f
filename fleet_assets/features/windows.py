"""Trailing windows over seconds, and what is summed in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet_assets.features.cells import Cells
from fleet_assets.features.lines import Flags, Ints, Line
from fleet_assets.rules.samples import Values


@dataclass(frozen=True)
class Windows:
    """Windows [end − horizon, end) of vehicles that have sent in the last step of them.

    Attributes:
        vehicle: code of each window's vehicle.
        end_ms: since 1970.
        first: by horizon in s, index of the first second that may lie in the window.
        stop: one after its last second.
    """

    vehicle: NDArray[np.int32]
    end_ms: Ints
    first: Mapping[int, Ints]
    stop: Ints

    def __len__(self) -> int:
        return len(self.stop)

    def where(self, flags: Flags) -> Windows:
        """Those that are flagged."""
        return Windows(
            self.vehicle[flags],
            self.end_ms[flags],
            {horizon: first[flags] for horizon, first in self.first.items()},
            self.stop[flags],
        )

    def among(self, line: Line, horizon_s: int) -> Ranges:
        """The part of a line that lies in each window."""
        first, stop = self.first[horizon_s], self.stop
        if line.place is not None:
            first, stop = line.place[first], line.place[stop]
        return Ranges(first, stop)


def windows_over(cells: Cells, step_s: int, horizons_s: list[int]) -> Windows:
    """One window a step in which the vehicle has sent, ending with the step.

    Args:
        cells: the seconds.
        step_s: steps are counted from 1970.
        horizons_s: lengths.
    """
    step = cells.second // step_s
    last = np.ones(len(cells), np.bool_)
    last[:-1] = (step[1:] != step[:-1]) | (cells.vehicle[1:] != cells.vehicle[:-1])
    at = np.flatnonzero(last)
    vehicle, end_s = cells.vehicle[at], (step[at] + 1) * step_s
    origin = int(cells.second.min(initial=0)) - max(horizons_s)
    span = int(cells.second.max(initial=0)) + step_s + 1 - origin
    keys = cells.vehicle.astype(np.int64) * span + (cells.second - origin)
    ends = vehicle.astype(np.int64) * span + (end_s - origin)
    first = {each: np.searchsorted(keys, ends - each) for each in horizons_s}
    return Windows(vehicle, end_s * 1000, first, at + 1)


@dataclass(frozen=True)
class Ranges:
    """Ranges [first, stop) of a line, one for each window; they may be empty."""

    first: Ints
    stop: Ints

    @property
    def count(self) -> Ints:
        """Seconds in each."""
        return self.stop - self.first

    def sums(self, running: Ints) -> Ints:
        """Sums from running sums."""
        return np.asarray(running[self.stop] - running[self.first])

    def largest(self, values: Ints | Values, least: float) -> Ints | Values:
        """Largest value of each; the least where it is empty.

        Args:
            values: of the line.
            least: no value is smaller.
        """
        extended = np.append(values, np.asarray([least], values.dtype))
        pairs = np.column_stack([self.first, self.stop]).ravel()
        found = np.maximum.reduceat(extended, pairs)[::2]
        return np.where(self.count > 0, found, np.asarray(least, values.dtype))


def ratio(over: Ints | Values, under: Ints | Values, valid: Flags | None = None) -> Values:
    """A quotient; NaN where the divisor is 0, or where it is not valid."""
    out = np.full(len(under), np.nan)
    where = under != 0 if valid is None else valid & (under != 0)
    np.divide(over, under, out=out, where=where)
    return out
