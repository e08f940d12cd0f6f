"""What a detector is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.episodes.frames import Columns, piece_columns, piece_table, with_min_duration
from fleet_assets.episodes.levels import UNKNOWN, Levels, Limit
from fleet_assets.episodes.pieces import MARK, pieces
from fleet_assets.episodes.runs import Ints, Line
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples

FORM: Final = 1
"""Raised when detectors find other things in the same telemetry: all hours are judged anew."""
SURVIVED_US: Final = 7 * 24 * 3600 * 1_000_000
"""Silence that a condition with `max_gap: none` survives (RULES, Gaps), in µs."""
LONG_US: Final = 3600 * 1_000_000
"""A silence that may span whole windows: each has to tell if it began with a clear sample."""
BLOCK_ROWS: Final = 50_000
"""At half a million rows at once every array is new memory, out of the cache: twice the time."""


@dataclass(frozen=True)
class Found:
    """What one rule says of each sample.

    A rule that is a tier has levels of its own, which are set only where those of the rule that it
    belongs to are.

    Attributes:
        rule_id: the rule; after a slash which signal or code, where each is a condition of its own.
        levels: of each sample.
        measure: how far it went, in the unit of the limit; the greatest becomes the peak. A rule
            that looks for small values gives them negated.
        duration: name of the parameter with the least duration.
    """

    rule_id: str
    levels: Levels
    measure: NDArray[np.float64] | None
    duration: str = "duration"

    def among(self, rows: Ints, count: int) -> Found:
        """The same for so many samples, of which it speaks of some rows only."""
        levels = np.full(count, UNKNOWN, np.int8)
        levels[rows] = self.levels
        measure = None
        if self.measure is not None:
            measure = np.full(count, np.nan)
            measure[rows] = self.measure
        return replace(self, levels=levels, measure=measure)


Detector = Callable[[Samples, Limits], Sequence[Found]]
"""Pure: what it says of a sample depends on the vehicle's samples up to it, and on limits."""


def pieces_of(samples: Samples, limits: Limits, detectors: Sequence[Detector]) -> pl.DataFrame:
    """Pieces of all rules in a window: rows of PIECE_SCHEMA, `condition` is the id of the rule."""
    told = [
        (found.rule_id, columns)
        for rows in _blocks(samples)
        for found, columns in _told(samples.at(rows), limits.at(rows), detectors)
    ]
    return piece_table(told, samples.vehicle_ids)


def _blocks(samples: Samples) -> Iterator[slice]:
    """Whole vehicles, so many together that what is computed of them stays in the cache."""
    starts = np.flatnonzero(samples.is_first)
    cuts = starts[np.diff(starts // BLOCK_ROWS, prepend=-1) > 0]
    for start, end in pairwise([*cuts.tolist(), len(samples)]):
        yield slice(start, end)


def _told(
    samples: Samples, limits: Limits, detectors: Sequence[Detector]
) -> Iterator[tuple[Found, Columns]]:
    judge = _Judge(samples, limits)
    for detector in detectors:
        yield from judge.all_of(detector(samples, limits))


class _Judge:
    """Turns what detectors say into pieces, and does once what several rules share."""

    def __init__(self, samples: Samples, limits: Limits) -> None:
        self._samples = samples
        self._limits = limits
        self._lines: dict[bytes, Line] = {}
        self._hidden: Levels | None = None
        if samples.is_context.any():
            self._hidden = samples.is_context * np.int8(UNKNOWN)

    def all_of(self, found: Sequence[Found]) -> Iterator[tuple[Found, Columns]]:
        """What there is to tell of each rule that has any pieces."""
        made: dict[tuple[int, int, bytes, bytes], Columns | None] = {}
        for one in found:
            rule_id = one.rule_id.partition("/")[0]
            # tiers that differ in their duration alone come with the same arrays
            key = (
                id(one.levels),
                id(one.measure),
                self._limits.key(rule_id, "max_gap"),
                self._limits.key_of_eligible(rule_id),
            )
            if key not in made:
                made[key] = self._columns(rule_id, one)
            columns = made[key]
            if columns is not None:
                least = _microseconds(self._limits.of(rule_id, one.duration))
                yield one, with_min_duration(columns, least)

    def _columns(self, rule_id: str, found: Found) -> Columns | None:
        levels = found.levels
        applies = self._limits.applies(rule_id)
        if applies is not None:
            levels = np.where(applies, levels, np.int8(UNKNOWN))
        if self._hidden is not None:
            levels = levels | self._hidden  # UNKNOWN has all bits of the others
        line = self._line(rule_id)
        made = pieces(line, levels, marks=line.longest_us >= LONG_US)
        if not len(made):
            return None
        told = piece_columns(made, line, found.measure)
        wanted = (told["part"] != MARK) | (told["max_gap"] >= LONG_US)  # vehicle by vehicle
        return told if wanted.all() else {name: column[wanted] for name, column in told.items()}

    def _line(self, rule_id: str) -> Line:
        key = self._limits.key(rule_id, "max_gap")
        if key not in self._lines:
            gap_us = _microseconds(self._limits.of(rule_id, "max_gap"))
            self._lines[key] = Line.of(self._samples.vehicle, self._samples.time_us, gap_us)
        return self._lines[key]


def _microseconds(seconds: Limit) -> int | Ints:
    """Of a number of seconds; one that is endless is SURVIVED_US."""
    if isinstance(seconds, float):
        return SURVIVED_US if np.isinf(seconds) else round(seconds * 1e6)
    whole = np.nan_to_num(seconds, nan=0.0, posinf=SURVIVED_US / 1e6)
    return np.rint(whole * 1e6).astype(np.int64)
