"""`segments`: what the rules found in an hour, brought in line with its telemetry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import SEGMENTS
from fleet_assets.episodes.stitch import PIECE_SCHEMA
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.rules.detect import Detector, pieces_of
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples, samples_of
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.hours import HOUR, hour_key, hour_start

CONTEXT: Final = timedelta(minutes=10)
"""How far a detector may look back beyond the hour."""
WANTED: Final = [s.name for s in SIGNALS if s.kind in ("number", "boolean")]


def rules_id(event_hour: str) -> str:
    """Fingerprint of the rules and of what they know of the vehicles."""
    return f"rules/{event_hour}"


def context_id(event_hour: str) -> str:
    """Number of the telemetry of the hour before, which the hour looks back into."""
    return f"context/{event_hour}"


@dataclass(frozen=True)
class Ruling:
    """The rules as they are in force in one hour.

    Attributes:
        detectors: what looks for them.
        limits_of: their numbers for some samples.
        fingerprint: changes with anything that the limits depend on.
    """

    detectors: Sequence[Detector]
    limits_of: Callable[[Samples], Limits]
    fingerprint: int


@dataclass(frozen=True)
class SegmentsRefreshed:
    """What became of one hour; `verdict` is None if it was in line already."""

    event_hour: str
    processed_version: int
    rows: int
    verdict: Verdict | None


def refresh_segments(
    lake: Lake,
    event_hour: str,
    ruling: Ruling,
    *,
    force: bool = False,
    most_rows: int = PART_ROWS,
) -> SegmentsRefreshed:
    """Brings an hour's segments in line with its telemetry, the ten minutes before, and the rules.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        ruling: the rules.
        force: make them anew even if nothing has changed.
        most_rows: about how many rows of telemetry are held at a time.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> SegmentsRefreshed:
        telemetry, segments = lake.open("telemetry"), lake.open(SEGMENTS.name)
        marks = _marks(telemetry, event_hour, ruling)
        version = marks[app_id(event_hour)]
        if not force and all(segments.committed(name) == mark for name, mark in marks.items()):
            files = segments.files_of([event_hour])
            there = 0 if files.is_empty() else int(files["num_records"].sum())
            return SegmentsRefreshed(event_hour, version, there, None)
        rows = _rows(telemetry, event_hour, ruling, most_rows)
        verdict = validate(SEGMENTS.name, rows, event_hour)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        fault_point("segments.before_write")
        segments.commit_files({event_hour: [rows]}, segments.files_of([event_hour]), marks)
        fault_point("segments.committed")
        return SegmentsRefreshed(event_hour, version, rows.height, verdict)

    return retrying(f"segments of {event_hour}", attempt)


def _marks(telemetry: TableSnapshot, event_hour: str, ruling: Ruling) -> dict[str, int]:
    before = hour_key(hour_start(event_hour) - HOUR)
    taken_in = telemetry.committed(app_id(event_hour))
    return {
        app_id(event_hour): -1 if taken_in is None else taken_in,
        rows_id(event_hour): telemetry.committed(rows_id(event_hour)) or 0,
        context_id(event_hour): telemetry.committed(rows_id(before)) or 0,
        rules_id(event_hour): ruling.fingerprint,
    }


def _rows(
    telemetry: TableSnapshot, event_hour: str, ruling: Ruling, most_rows: int
) -> pl.DataFrame:
    start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
    parts = [PIECE_SCHEMA.to_frame()]
    for rows in vehicle_parts(telemetry, event_hour, WANTED, context=CONTEXT, most_rows=most_rows):
        samples = samples_of(rows, WANTED, start_us)
        parts.append(pieces_of(samples, ruling.limits_of(samples), ruling.detectors))
        fault_point("segments.mid_read")
    return segment_rows(pl.concat(parts), event_hour)


def segment_rows(pieces: pl.DataFrame, event_hour: str) -> pl.DataFrame:
    """Pieces as rows of `segments`."""
    seconds = {
        f"{name}_seconds": pl.col(name).dt.total_microseconds() / 1e6
        for name in ("max_gap", "min_duration")
    }
    return (
        pieces.with_columns(event_hour=pl.lit(event_hour), **seconds)
        .sort("vehicle_id", "condition", "started_at")
        .select(pl.col(name).cast(kind) for name, kind in SEGMENTS.polars_schema.items())
    )


def pieces_in(segments: pl.DataFrame) -> pl.DataFrame:
    """Rows of `segments` as pieces."""
    limits = {
        name: pl.duration(microseconds=(pl.col(f"{name}_seconds") * 1e6).round().cast(pl.Int64))
        for name in ("max_gap", "min_duration")
    }
    return segments.with_columns(**limits).select(
        pl.col(name).cast(kind) for name, kind in PIECE_SCHEMA.items()
    )
