"""What a detector is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.episodes.frames import piece_rows
from fleet_assets.episodes.levels import UNKNOWN, Levels, Limit
from fleet_assets.episodes.pieces import Ints, pieces
from fleet_assets.episodes.stitch import PIECE_SCHEMA
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples

FORM: Final = 1
"""Raised when detectors find other things in the same telemetry: all hours are judged anew."""
SURVIVED_US: Final = 7 * 24 * 3600 * 1_000_000
"""Silence that a condition with `max_gap: none` survives (RULES, Gaps), in µs."""
LONG_US: Final = 3600 * 1_000_000
"""A silence that may span whole windows: each has to tell if it began with a clear sample."""


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


Detector = Callable[[Samples, Limits], Sequence[Found]]
"""Pure: what it says of a sample depends on the vehicle's samples up to it, and on limits."""


def pieces_of(samples: Samples, limits: Limits, detectors: Sequence[Detector]) -> pl.DataFrame:
    """Pieces of all rules in a window: rows of PIECE_SCHEMA, `condition` is the id of the rule."""
    parts = [PIECE_SCHEMA.to_frame()]
    for detector in detectors:
        for found in detector(samples, limits):
            levels = found.levels
            rule_id = found.rule_id.partition("/")[0]
            applies = limits.applies(rule_id)
            if applies is not None:
                levels = np.where(applies, levels, np.int8(UNKNOWN))
            if samples.is_context.any():
                levels = np.where(samples.is_context, np.int8(UNKNOWN), levels)
            gap = _microseconds(limits.of(rule_id, "max_gap"))
            least = _microseconds(limits.of(rule_id, found.duration))
            made = pieces(
                samples.vehicle, samples.time_us, levels, gap, marks=bool(np.max(gap) >= LONG_US)
            )
            if len(made):
                parts.append(
                    piece_rows(
                        found.rule_id,
                        made,
                        samples.vehicle_ids,
                        samples.time_us,
                        gap,
                        found.measure,
                        least,
                    )
                )
    return pl.concat(parts)


def _microseconds(seconds: Limit) -> int | Ints:
    """Of a number of seconds; one that is endless is SURVIVED_US."""
    if isinstance(seconds, float):
        return SURVIVED_US if np.isinf(seconds) else round(seconds * 1e6)
    whole = np.nan_to_num(seconds, nan=0.0, posinf=SURVIVED_US / 1e6)
    return np.rint(whole * 1e6).astype(np.int64)
