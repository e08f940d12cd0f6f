"""Pieces as a table: with ids and times instead of codes and indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.episodes.pieces import ENDS, PARTS, Ints, Pieces, peaks
from fleet_assets.episodes.stitch import PIECE_SCHEMA


def piece_rows(
    condition: str,
    found: Pieces,
    vehicle_ids: Sequence[str] | pl.Series,
    time_us: Ints,
    max_gap_us: int | Ints | None,
    measure: NDArray[np.float64] | None = None,
    min_duration_us: int | Ints = 0,
) -> pl.DataFrame:
    """Rows of PIECE_SCHEMA.

    Args:
        condition: name of the condition.
        found: its pieces.
        vehicle_ids: id by code.
        time_us: event time of each sample in µs.
        max_gap_us: as given to `pieces`.
        measure: of each sample, how far the condition went; its greatest value becomes `peak`.
        min_duration_us: an episode that begins with the piece counts if it lasts so long; for all
            samples or for each.
    """
    if measure is None:
        peak = peak_at = None
    else:
        highest, at = peaks(measure, found)
        peak = pl.Series(highest, dtype=pl.Float64).fill_nan(None)
        peak_at = pl.Series(time_us[at])
    gap, least = (
        pl.Series(limit[found.start]) if isinstance(limit, np.ndarray) else pl.lit(limit)
        for limit in (max_gap_us, min_duration_us)
    )
    rows = pl.DataFrame(
        {
            "vehicle_id": pl.Series(vehicle_ids, dtype=pl.String).gather(found.vehicle),
            "part": pl.Series(PARTS, dtype=pl.String).gather(found.part),
            "started_at": pl.Series(time_us[found.start]),
            "ended_at": pl.Series(time_us[found.end]),
            "at_left": pl.Series(found.at_left),
            "ended_by": pl.Series(ENDS, dtype=pl.String).gather(found.ended_by),
            "samples": pl.Series(found.samples),
        }
    )
    return rows.with_columns(
        condition=pl.lit(condition), max_gap=gap, min_duration=least, peak=peak, peak_at=peak_at
    ).select(pl.col(name).cast(kind) for name, kind in PIECE_SCHEMA.items())
