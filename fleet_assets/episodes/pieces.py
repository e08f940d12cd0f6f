"""The kernel: from the levels of samples to the pieces of episodes within one window of time.

A window is judged by its own samples alone. What that leaves undecided at its edges is told by the
pieces (`at_left`, `ended_by`), so that `stitch` can join windows in whatever order they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.episodes.levels import HOLD, SET, UNKNOWN, Levels

RUN: Final = 0
"""The condition holds from a sample that sets it."""
LEAD: Final = 1
"""Samples that hold, before any that sets or clears: what was before the window decides."""
MARK: Final = 2
"""The window begins with a sample that clears: nothing goes on from before."""
PARTS: Final = ("run", "lead", "mark")

BY_CLEAR: Final = 0
BY_GAP: Final = 1
BY_SET: Final = 2
"""Only of a lead: a run follows at once."""
BY_EDGE: Final = 3
"""Not ended within the window."""
ENDS: Final = ("clear", "gap", "set", "edge")

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Pieces:
    """Pieces in order of vehicle and time; all arrays but `known` are of the same length.

    Attributes:
        known: indices of the samples that say anything.
        vehicle: code of the vehicle.
        part: RUN, LEAD or MARK.
        first: number of the first sample, among the known ones.
        last: number of the last sample of the piece (the last true one), among the known ones.
        at_left: no known sample of the vehicle lies before it in the window.
        ended_by: BY_CLEAR, BY_GAP, BY_SET or BY_EDGE.
    """

    known: Ints
    vehicle: NDArray[np.int32]
    part: NDArray[np.int8]
    first: Ints
    last: Ints
    at_left: Flags
    ended_by: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def start(self) -> Ints:
        """Index of each piece's first sample."""
        return np.take(self.known, self.first)

    @property
    def end(self) -> Ints:
        """Index of each piece's last sample."""
        return np.take(self.known, self.last)

    @property
    def samples(self) -> Ints:
        """Number of known samples of each piece."""
        return self.last - self.first + 1


def pieces(
    vehicle: NDArray[np.int32],
    time_us: Ints,
    levels: Levels,
    max_gap_us: int | Ints | None,
    *,
    marks: bool = False,
) -> Pieces:
    """Finds the pieces of one condition in a window.

    Args:
        vehicle: code of each sample's vehicle, not decreasing.
        time_us: event time of each sample in µs, increasing within a vehicle.
        levels: what each sample says.
        max_gap_us: longest time between two known samples that an episode survives, for all
            samples or for each (the later of the two decides); None: it survives any silence.
        marks: tell of windows that begin with a clear sample. Needed where silence is survived,
            and for windows that are shorter than the gap.
    """
    known = np.flatnonzero(levels != UNKNOWN) if marks else _worth_looking(vehicle, levels)
    if not len(known):
        return _nothing()
    level = levels[known]
    whose, when = vehicle[known], time_us[known]
    first = np.empty(len(known), np.bool_)
    first[0] = True
    np.not_equal(whose[1:], whose[:-1], out=first[1:])
    silent = _silences(when, first, max_gap_us, known)
    state = _states(level, first, silent)
    starts = np.flatnonzero(_changes(state, first | silent))
    ends = np.append(starts[1:], len(known)) - 1
    part = np.choose(state[starts], [np.int8(-1), np.int8(RUN), np.int8(LEAD)]).astype(np.int8)
    if marks:
        part[(part < 0) & first[starts]] = MARK
    kept = part >= 0
    starts, ends, part = starts[kept], ends[kept], part[kept]
    return Pieces(
        known, whose[starts], part, starts, ends, first[starts],
        _ended_by(part, ends, state, first, silent),
    )  # fmt: skip


def _worth_looking(vehicle: NDArray[np.int32], levels: Levels) -> Ints:
    """Known samples of the vehicles that have any which is not clear; mostly these are few."""
    not_clear = np.flatnonzero((levels == SET) | (levels == HOLD))
    if not len(not_clear):
        return not_clear
    codes = vehicle[not_clear]
    concerned = codes[np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))]
    starts = np.searchsorted(vehicle, concerned)
    lengths = np.searchsorted(vehicle, concerned, side="right") - starts
    offsets = np.cumsum(lengths) - lengths
    rows = np.arange(int(lengths.sum())) + np.repeat(starts - offsets, lengths)
    known: Ints = rows[levels[rows] != UNKNOWN]
    return known


def peaks(values: NDArray[np.float64], found: Pieces) -> tuple[NDArray[np.float64], Ints]:
    """The greatest value within each piece, and the index of the first sample that has it.

    NaN is passed over; a piece with nothing else has NaN and its first sample.
    """
    lengths = found.samples
    offsets = np.cumsum(lengths) - lengths
    rows = np.take(
        found.known, np.arange(int(lengths.sum())) + np.repeat(found.first - offsets, lengths)
    )
    inside = values[rows]
    inside = np.where(np.isnan(inside), -np.inf, inside)
    if not len(found):
        return np.empty(0), np.empty(0, np.int64)
    peak = np.maximum.reduceat(inside, offsets)
    is_peak = inside == np.repeat(peak, lengths)
    at = np.minimum.reduceat(np.where(is_peak, rows, np.iinfo(np.int64).max), offsets)
    return np.where(np.isneginf(peak), np.nan, peak), at


_OFF, _ON, _UNDECIDED = 0, 1, 2


def _states(level: Levels, first: Flags, silent: Flags) -> NDArray[np.int8]:
    """Off, on or undecided, after each known sample."""
    decides = (level != HOLD) | first | silent
    said: NDArray[np.int8] = (level == SET).astype(np.int8)
    said[first & (level == HOLD)] = _UNDECIDED
    if decides.all():
        return said
    last: Ints = np.maximum.accumulate(np.where(decides, np.arange(len(level)), 0))
    return np.take(said, last)


def _silences(when: Ints, first: Flags, max_gap_us: int | Ints | None, known: Ints) -> Flags:
    """Samples before which the vehicle was silent for too long."""
    silent = np.zeros(len(when), np.bool_)
    if max_gap_us is None:
        return silent
    most = max_gap_us if isinstance(max_gap_us, int) else max_gap_us[known[1:]]
    np.greater(np.diff(when), most, out=silent[1:])
    silent[first] = False
    return silent


def _changes(state: NDArray[np.int8], breaks: Flags) -> Flags:
    changes = breaks.copy()
    changes[1:] |= state[1:] != state[:-1]
    return changes


def _ended_by(
    part: NDArray[np.int8], ends: Ints, state: NDArray[np.int8], first: Flags, silent: Flags
) -> NDArray[np.int8]:
    after = np.minimum(ends + 1, len(state) - 1)
    by = np.where(silent[after], BY_GAP, BY_CLEAR)
    by = np.where((part == LEAD) & ~silent[after] & (state[after] == _ON), BY_SET, by)
    by = np.where((ends + 1 == len(state)) | first[after], BY_EDGE, by)
    return np.where(part == MARK, BY_CLEAR, by).astype(np.int8)


def _nothing() -> Pieces:
    none = np.empty(0, np.int64)
    small = np.empty(0, np.int8)
    return Pieces(none, np.empty(0, np.int32), small, none, none, np.empty(0, np.bool_), small)
