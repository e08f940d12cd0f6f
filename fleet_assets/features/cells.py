"""Telemetry by whole seconds: what a vehicle's signals are in each, in whole steps.

Means over a second make features alike at 1 and at 50 Hz. Steps are those of the contract's
decimals; sums of them are exact, so that they do not depend on where a history is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.features.lines import Flags, Ints, Line, line_of
from fleet_assets.rules.samples import Samples, Values

LAT: Final = "gps_lat"
LON: Final = "gps_lon"
_TURN: Final = 360 * 10 ** SIGNAL_BY_NAME[LON].scale


def steps_in(signal: str) -> int:
    """Whole steps in one unit of a signal."""
    return int(10 ** SIGNAL_BY_NAME[signal].scale)


@dataclass(frozen=True)
class _Known:
    """A signal by seconds.

    Attributes:
        steps: mean of its known values of the second, in whole steps; anything where unknown.
        known: seconds with a known value; None: all.
    """

    steps: Ints
    known: Flags | None


class Cells:
    """The seconds in which vehicles have sent something, in order of vehicle and time.

    Attributes:
        samples: the messages.
        starts: index of each second's first message.
        vehicle: code of each second's vehicle.
        second: since 1970.
        time_ms: mean time of its messages, in ms since 1970.
        gap_ms: by second, the silence that makes a gap for its vehicle.
    """

    def __init__(self, samples: Samples, gap_ms_of_vehicle: Ints) -> None:
        """Takes whole vehicles.

        Args:
            samples: their messages.
            gap_ms_of_vehicle: by code.
        """
        self.samples = samples
        time_ms = samples.time_us // 1000
        second = time_ms // 1000
        begins = samples.is_first
        begins[1:] |= second[1:] != second[:-1]
        self.starts = np.flatnonzero(begins)
        self._counts = np.diff(np.append(self.starts, len(samples)))
        self._is_plain = len(self.starts) == len(samples)
        self.vehicle = samples.vehicle[self.starts]
        self.second = second[self.starts]
        offset = self._sums(time_ms - second * 1000) // self._counts
        self.time_ms = self.second * 1000 + offset
        self.gap_ms = gap_ms_of_vehicle[self.vehicle]
        self._signals: dict[str, _Known | None] = {}
        self._lines: dict[tuple[str, ...], Line | None] = {}

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def vehicle_ids(self) -> pl.Series:
        """Id by code."""
        return self.samples.vehicle_ids

    def line(self, *signals: str) -> Line | None:
        """The seconds in which all of these are known; None: there are none.

        No signals: all seconds. `steps` of the line are in the order of the signals.
        """
        if signals not in self._lines:
            self._lines[signals] = self._made(signals)
        return self._lines[signals]

    def _made(self, signals: tuple[str, ...]) -> Line | None:
        found = [self._signal(name) for name in signals]
        if any(one is None for one in found):
            return None
        masks = [one.known for one in found if one is not None and one.known is not None]
        known = np.logical_and.reduce(masks) if masks else None
        steps = tuple(one.steps for one in found if one is not None)
        failed = self._failed(signals)
        return line_of(self.vehicle, self.time_ms, self.gap_ms, steps, known, failed)

    def _failed(self, signals: tuple[str, ...]) -> Flags | None:
        """Seconds in which one of the signals is a null or in conflict, without a value beside."""
        failed: Flags | None = None
        for name in signals:
            one = self._signal(name)
            if one is None or one.known is None:
                continue
            bad = self.samples.nulls.get(name)
            if self.samples.in_conflict is not None:
                conflict = self.samples.in_conflict
                bad = conflict if bad is None else bad | conflict
            if bad is not None:
                mine = self._any(bad) & ~one.known
                failed = mine if failed is None else failed | mine
        return failed

    def extremes(self, signal: str, sign: int) -> Ints:
        """Highest value of any message of each second (lowest, negated, if the sign is −1).

        In whole steps, negated with the sign; of what is unknown the least number there is.
        """
        values = self.samples.of(signal)
        known = ~np.isnan(values)
        least = np.iinfo(np.int64).min
        steps = np.full(len(values), least)
        steps[known] = sign * np.rint(values[known] * steps_in(signal)).astype(np.int64)
        return steps if self._is_plain else np.maximum.reduceat(steps, self.starts)

    @cached_property
    def has_null(self) -> Flags:
        """Seconds in which any signal is an explicit null."""
        flags = np.zeros(len(self.samples), np.bool_)
        for mine in self.samples.nulls.values():
            flags |= mine
        return self._any(flags)

    def names(self, signal: str) -> Flags:
        """Seconds in which a signal is named, be it as null."""
        named = ~np.isnan(self.samples.of(signal))
        if signal in self.samples.nulls:
            named |= self.samples.nulls[signal]
        return self._any(named)

    def _signal(self, name: str) -> _Known | None:
        if name not in self._signals:
            given = self.samples.signals.get(name)
            self._signals[name] = None if given is None else self._by_second(name, given)
        return self._signals[name]

    def _by_second(self, name: str, values: Values) -> _Known | None:
        known = ~np.isnan(values)
        if name in (LAT, LON):  # a fix at 0,0 is none
            known &= (self.samples.of(LAT) != 0) | (self.samples.of(LON) != 0)
            known &= ~np.isnan(self.samples.of(LON if name == LAT else LAT))
        every = bool(known.all())
        shown = values if every else np.where(known, values, 0.0)
        steps = np.rint(shown * steps_in(name)).astype(np.int64)
        if not every and not known.any():
            return None
        if self._is_plain:
            return _Known(steps, None if every else known)
        count = self._counts if every else self._sums(known.astype(np.int64))
        if name == LON:
            first = np.repeat(self._firsts(steps, known), self._counts)
            apart = (steps - first + _TURN // 2) % _TURN - _TURN // 2
            steps = np.where(known, first + apart, 0)
        mean = np.rint(self._sums(steps) / np.maximum(count, 1)).astype(np.int64)
        has = count > 0
        return _Known(mean, None if has.all() else has)

    def _firsts(self, steps: Ints, known: Flags) -> Ints:
        """First known value of each second."""
        at = np.where(known, np.arange(len(steps)), len(steps) - 1)
        return steps[np.minimum.reduceat(at, self.starts)]

    def _sums(self, values: Ints) -> Ints:
        return values if self._is_plain else np.add.reduceat(values, self.starts)

    def _any(self, flags: Flags) -> Flags:
        return flags if self._is_plain else np.logical_or.reduceat(flags, self.starts)
