"""How far a condition went within its pieces."""

from __future__ import annotations

from typing import Final

import numpy as np

from fleet_assets.episodes.pieces import Pieces
from fleet_assets.episodes.runs import Flags, Ints, Values, numbers_of, of_ranges

_LONG: Final = 200
"""Rows; runs that are longer are searched one by one, the others together."""


def peaks(values: Values, found: Pieces) -> tuple[Values, Ints]:
    """The greatest value within each piece, and the index of the first sample that has it.

    NaN is passed over; a piece with nothing else has NaN and its first sample.
    """
    if not len(found):
        return np.empty(0), np.empty(0, np.int64)
    lengths = found.last - found.first + 1
    runs = numbers_of(found.first, lengths)
    start, end = found.runs.start[runs], found.runs.end[runs]
    of_run = of_ranges(np.fmax, values, start, end)
    offsets = np.cumsum(lengths) - lengths
    peak = np.fmax.reduceat(of_run, offsets)
    peak[np.isneginf(peak)] = np.nan
    at = found.start
    known = ~np.isnan(peak)
    has_it = _first(of_run == np.repeat(peak, lengths), offsets[known])
    at[known] = _where(values, peak[known], start[has_it], end[has_it])
    return peak, at


def _where(values: Values, peak: Values, start: Ints, end: Ints) -> Ints:
    """The first row of each run that has the peak, which there is."""
    at = np.empty(len(start), np.int64)
    lengths = end - start + 1
    for n in np.flatnonzero(lengths > _LONG):
        run = values[start[n] : end[n] + 1]
        at[n] = start[n] + np.argmax(run == peak[n])
    short = np.flatnonzero(lengths <= _LONG)
    lengths = lengths[short]
    rows = numbers_of(start[short], lengths)
    is_peak = values[rows] == np.repeat(peak[short], lengths)
    at[short] = rows[_first(is_peak, np.cumsum(lengths) - lengths)]
    return at


def _first(flags: Flags, offsets: Ints) -> Ints:
    """The first flag at or after each place; there is one."""
    at = np.flatnonzero(flags)
    return at[np.searchsorted(at, offsets)]
