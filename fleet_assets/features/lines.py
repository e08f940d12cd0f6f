"""Seconds in which some signals are known, with the intervals between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
ALONE_MS: Final = 1
"""What a value counts with that no interval leads to."""


@dataclass(frozen=True)
class Line:
    """Seconds in order of vehicle and time.

    Attributes:
        place: by second of all (and one more), how many seconds of the line lie before it; None:
            the line has all seconds.
        time_ms: of each.
        linked: an interval leads here from the one before: same vehicle, no gap, no failure.
        weight_ms: length of that interval, else ALONE_MS.
        steps: the signals, in whole steps.
    """

    place: Ints | None
    time_ms: Ints
    linked: Flags
    weight_ms: Ints
    steps: tuple[Ints, ...]
    _sums: dict[str, Ints] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.time_ms)

    @cached_property
    def chain_start(self) -> Ints:
        """Index of the first second of each one's stretch."""
        numbers = np.arange(len(self))
        return np.maximum.accumulate(np.where(self.linked, 0, numbers))

    def before(self, signal: int = 0) -> Ints:
        """The signal at the beginning of each interval; where there is none, the value itself."""
        steps = self.steps[signal]
        earlier = steps.copy()
        earlier[1:] = np.where(self.linked[1:], steps[:-1], steps[1:])
        return earlier

    def running(self, name: str, values: Callable[[], Ints]) -> Ints:
        """Running sums with a leading 0, made once; they wrap, differences of them do not."""
        if name not in self._sums:
            sums = np.zeros(len(self) + 1, np.int64)
            np.cumsum(values(), out=sums[1:])
            self._sums[name] = sums
        return self._sums[name]

    def back(self, base_ms: int, chain_start: Ints | None = None) -> Ints:
        """For each second the newest one that lies at least so long before it, in its stretch.

        Args:
            base_ms: the time, at most a few seconds.
            chain_start: first second of each one's stretch, if not those of the line.

        Returns:
            Indices; −1: there is none.
        """
        start = self.chain_start if chain_start is None else chain_start
        found = np.full(len(self), -1)
        numbers = np.arange(len(self))
        most = base_ms // 1000 + 2  # times lie in seconds of their own
        for steps in range(1, min(most, len(self) - 1) + 1):
            earlier = numbers[:-steps]
            far = self.time_ms[steps:] - self.time_ms[:-steps] >= base_ms
            far &= (found[steps:] < 0) & (earlier >= start[steps:])
            found[steps:][far] = earlier[far]
        return found


def line_of(
    vehicle: NDArray[np.int32],
    time_ms: Ints,
    gap_ms: Ints,
    steps: tuple[Ints, ...],
    known: Flags | None,
    failed: Flags | None,
) -> Line | None:
    """A line along some of the seconds; None if none is known.

    Args:
        vehicle: code of each second's vehicle.
        time_ms: of each second.
        gap_ms: longer silences are gaps.
        steps: signals of each second.
        known: seconds that count; None: all.
        failed: seconds that no interval leads across; none of them is known.
    """
    place: Ints | None = None
    new = np.zeros(len(time_ms), np.bool_)
    if known is not None:
        place = np.zeros(len(known) + 1, np.int64)
        np.cumsum(known, out=place[1:])
        at = np.flatnonzero(known)
        if not len(at):
            return None
        vehicle, time_ms, gap_ms = vehicle[at], time_ms[at], gap_ms[at]
        steps = tuple(each[at] for each in steps)
        new = np.zeros(len(at), np.bool_)
        if failed is not None:
            count = np.cumsum(failed)[at]
            new[1:] = count[1:] != count[:-1]
    passed = np.diff(time_ms, prepend=time_ms[:1])
    linked = (passed <= gap_ms) & ~new
    linked[1:] &= vehicle[1:] == vehicle[:-1]
    linked[:1] = False
    return Line(place, time_ms, linked, np.where(linked, passed, ALONE_MS), steps)
