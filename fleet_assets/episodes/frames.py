"""Pieces as a table: with ids and times instead of codes and indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.episodes.peaks import peaks
from fleet_assets.episodes.pieces import ENDS, PARTS, Pieces
from fleet_assets.episodes.runs import Ints, Line
from fleet_assets.episodes.stitch import PIECE_SCHEMA

Columns = Mapping[str, NDArray[Any]]
"""The columns of PIECE_SCHEMA for the pieces of one condition, as numbers."""
_ROW: Final = "row"
"""Index of each piece's first sample; does not come into the table."""
_NONE: Final = np.iinfo(np.int64).min
"""Stands for no time and no limit, until it is null in the table."""


def piece_rows(
    condition: str,
    found: Pieces,
    vehicle_ids: Sequence[str] | pl.Series,
    line: Line,
    measure: NDArray[np.float64] | None = None,
    min_duration_us: int | Ints = 0,
) -> pl.DataFrame:
    """Rows of PIECE_SCHEMA of one condition; arguments as those of the functions below."""
    columns = with_min_duration(piece_columns(found, line, measure), min_duration_us)
    return piece_table([(condition, columns)], vehicle_ids)


def piece_columns(found: Pieces, line: Line, measure: NDArray[np.float64] | None) -> Columns:
    """What the table tells of the pieces of one condition, all but the least duration.

    Args:
        found: the pieces.
        line: the samples that they were found in.
        measure: of each sample, how far the condition went; its greatest value becomes `peak`.
    """
    start = found.start
    if measure is None:
        peak, peak_at = np.full(len(start), np.nan), np.full(len(start), _NONE)
    else:
        peak, at = peaks(measure, found)
        peak_at = line.time_us[at]
    return {
        _ROW: start,
        "vehicle_id": found.vehicle,
        "part": found.part,
        "started_at": line.time_us[start],
        "ended_at": line.time_us[found.end],
        "at_left": found.at_left,
        "ended_by": found.ended_by,
        "max_gap": _at(_NONE if line.max_gap_us is None else line.max_gap_us, start),
        "samples": found.samples,
        "peak": peak,
        "peak_at": peak_at,
    }


def with_min_duration(columns: Columns, min_duration_us: int | Ints) -> Columns:
    """The columns with the least duration.

    Args:
        columns: of `piece_columns`.
        min_duration_us: an episode that begins with the piece counts if it lasts so long; for all
            samples or for each.
    """
    return {**columns, "min_duration": _at(min_duration_us, columns[_ROW])}


def piece_table(
    conditions: Sequence[tuple[str, Columns]], vehicle_ids: Sequence[str] | pl.Series
) -> pl.DataFrame:
    """Rows of PIECE_SCHEMA, in the order of the conditions.

    Args:
        conditions: names of conditions with their columns.
        vehicle_ids: id by code.
    """
    if not conditions:
        return PIECE_SCHEMA.to_frame()
    lengths = [len(columns["samples"]) for _, columns in conditions]
    numbers = {
        name: np.concatenate([columns[name] for _, columns in conditions])
        for name in conditions[0][1]
    } | {"condition": np.repeat(np.arange(len(lengths)), lengths)}
    words = {
        "vehicle_id": vehicle_ids,
        "condition": [condition for condition, _ in conditions],
        "part": PARTS,
        "ended_by": ENDS,
    }
    frame = pl.DataFrame(numbers).with_columns(
        pl.col("max_gap", "peak_at").replace(_NONE, None), pl.col("peak").fill_nan(None)
    )
    return frame.with_columns(
        pl.Series(name, of, dtype=pl.String).gather(numbers[name]) for name, of in words.items()
    ).select(pl.col(name).cast(kind) for name, kind in PIECE_SCHEMA.items())


def _at(limit: int | Ints, rows: Ints) -> Ints:
    return limit[rows] if isinstance(limit, np.ndarray) else np.full(len(rows), limit)
