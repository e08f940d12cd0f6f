"""The kernel: from the levels of samples to the pieces of episodes within one window of time.

A window is judged by its own samples alone. What that leaves undecided at its edges is told by the
pieces (`at_left`, `ended_by`), so that `stitch` can join windows in whatever order they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.episodes.levels import HOLD, SET, Levels
from fleet_assets.episodes.runs import Flags, Ints, Line, Runs, runs_of

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


@dataclass(frozen=True)
class Pieces:
    """Pieces in order of vehicle and time; all arrays are of the same length.

    Attributes:
        runs: the samples that say anything.
        vehicle: code of the vehicle.
        part: RUN, LEAD or MARK.
        first: number of the first of the piece's runs.
        last: number of its last run (the last true one).
        at_left: no known sample of the vehicle lies before it in the window.
        ended_by: BY_CLEAR, BY_GAP, BY_SET or BY_EDGE.
    """

    runs: Runs
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
        return np.take(self.runs.start, self.first)

    @property
    def end(self) -> Ints:
        """Index of each piece's last sample."""
        return np.take(self.runs.end, self.last)

    @property
    def samples(self) -> Ints:
        """Number of known samples of each piece."""
        upto = np.concatenate([[0], np.cumsum(self.runs.end - self.runs.start + 1)])
        return np.asarray(upto[self.last + 1] - upto[self.first])


def pieces(line: Line, levels: Levels, *, marks: bool = False) -> Pieces:
    """Finds the pieces of one condition in a window.

    Args:
        line: its samples.
        levels: what each sample says.
        marks: tell of windows that begin with a clear sample. Needed where silence is survived,
            and for windows that are shorter than the gap.
    """
    if not marks and not np.any((levels == SET) | (levels == HOLD)):
        return _nothing()
    runs = runs_of(line, levels)
    if not len(runs.level):
        return _nothing()
    whose = line.vehicle[runs.start]
    first = np.ones(len(whose), np.bool_)
    np.not_equal(whose[1:], whose[:-1], out=first[1:])
    silent = np.zeros(len(whose), np.bool_)
    silent[1:] = line.is_silent(runs.end[:-1], runs.start[1:])
    silent[first] = False
    state = _states(runs.level, first, silent)
    starts = np.flatnonzero(_changes(state, first | silent))
    ends = np.append(starts[1:], len(state)) - 1
    part = np.choose(state[starts], [np.int8(-1), np.int8(RUN), np.int8(LEAD)]).astype(np.int8)
    if marks:
        part[(part < 0) & first[starts]] = MARK
    kept = part >= 0
    starts, ends, part = starts[kept], ends[kept], part[kept]
    return Pieces(
        runs, whose[starts], part, starts, ends, first[starts],
        _ended_by(part, ends, state, first, silent),
    )  # fmt: skip


_OFF, _ON, _UNDECIDED = 0, 1, 2


def _states(level: Levels, first: Flags, silent: Flags) -> NDArray[np.int8]:
    """Off, on or undecided, after each run."""
    decides = (level != HOLD) | first | silent
    said: NDArray[np.int8] = (level == SET).astype(np.int8)
    said[first & (level == HOLD)] = _UNDECIDED
    if decides.all():
        return said
    last: Ints = np.maximum.accumulate(np.where(decides, np.arange(len(level)), 0))
    return np.take(said, last)


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
    flags = np.empty(0, np.bool_)
    return Pieces(Runs(none, none, small), np.empty(0, np.int32), small, none, none, flags, small)
