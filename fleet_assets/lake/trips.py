"""`trip_segments` and `trips`, kept in line with telemetry hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.by_onset import ByOnset, Following, by_chains, found_id, seen_id
from fleet_assets.lake.chains import Chains, hours_of, read_groups
from fleet_assets.lake.follow import hours_behind, telemetry_marks
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.sealed import is_frozen
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from fleet_assets.trips.limits import TripLimits, trip_limits
from fleet_assets.trips.pieces import TRIP_PIECE_SCHEMA, trip_pieces
from fleet_assets.trips.stitch import stitch_trips
from fleet_assets.trips.told import NAMED
from partitions.hours import hour_start

TRIP_SEGMENTS: Final = "trip_segments"
TRIPS: Final = "trips"
FOLLOWS: Final = Following.of_found(TRIPS, TRIP_SEGMENTS)
_CONTEXT: Final = timedelta(minutes=10)
"""How far a step may come from beyond the hour."""
_NUMBERS: Final = ["speed", "engine_rpm", "odometer", "gps_lat", "gps_lon", "fuel_level"]
_AS_THEY_ARE: Final = ["driver_id", "private", *sorted(set(NAMED.values()) - set(_NUMBERS))]
_GROUP: Final = ("vehicle_id", "trip_kind")
_LONGEST_TRIP: Final = timedelta(days=7)
"""So far back a trip is looked for that spans an hour which has changed."""


@dataclass(frozen=True)
class TripsRefreshed:
    """What became of one hour; no verdict if it was in line already."""

    event_hour: str
    processed_version: int
    rows: int
    verdict: Verdict | None = None


def hours_to_tile(lake: Lake) -> list[str]:
    """Hours whose trip segments are not in line with telemetry, in order."""
    return hours_behind(lake, TRIP_SEGMENTS)


def refresh_trip_segments(
    lake: Lake, event_hour: str, *, force: bool = False, most_rows: int = PART_ROWS
) -> TripsRefreshed:
    """Brings an hour's trip segments in line with its telemetry and the ten minutes before.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> TripsRefreshed:
        telemetry, segments = lake.open("telemetry"), lake.open(TRIP_SEGMENTS)
        marks = telemetry_marks(telemetry.committed, event_hour)
        version = marks[app_id(event_hour)]
        files = segments.files_of([event_hour])
        in_line = all(segments.committed(name) == mark for name, mark in marks.items())
        if is_frozen(telemetry, event_hour) or (not force and in_line):
            return TripsRefreshed(event_hour, version, int(files["num_records"].sum() or 0))
        rows = _tiled(telemetry, event_hour, most_rows)
        verdict = validate(TRIP_SEGMENTS, rows, event_hour)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
        newest = rows["ended_us"].max()
        marks |= {
            seen_id(event_hour): newest if isinstance(newest, int) else start_us,
            found_id(event_hour): (segments.committed(found_id(event_hour)) or 0) + 1,
        }
        fault_point("trip_segments.before_write")
        segments.commit_files({event_hour: [rows]}, files, marks)
        fault_point("trip_segments.committed")
        return TripsRefreshed(event_hour, version, rows.height, verdict)

    return retrying(f"trip segments of {event_hour}", attempt)


def by_travel() -> ByOnset:
    """How `trips` follow from `trip_segments`."""
    limits = trip_limits()
    rest = timedelta(seconds=limits.rest_s)

    def make(rows: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
        found = stitch_trips(rows.select(TRIP_PIECE_SCHEMA.names()), limits)
        is_open = pl.col("is_open") & (pl.col("ended_at") + rest >= horizon)
        return found.with_columns(
            event_hour=pl.col("started_at").dt.strftime("%Y-%m-%dT%H"),
            state=pl.when(is_open).then(pl.lit("open")).otherwise(pl.lit("closed")),
        ).select(pl.col(n).cast(kind) for n, kind in TABLE_BY_NAME[TRIPS].polars_schema.items())

    return ByOnset(
        FOLLOWS,
        TRIP_SEGMENTS,
        "trip_id",
        _GROUP,
        by_chains(lambda segments: _chains(segments, limits)),
        make,
        silent_after=pl.col("ended_at") + rest,
        longest=_LONGEST_TRIP,
    )


def pieces_of_hour(
    telemetry: TableSnapshot, event_hour: str, most_rows: int = PART_ROWS
) -> pl.DataFrame:
    """Pieces of trips in an hour of telemetry: rows of TRIP_PIECE_SCHEMA."""
    start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
    found = [TRIP_PIECE_SCHEMA.to_frame()]
    for part in vehicle_parts(
        telemetry,
        event_hour,
        _NUMBERS,
        as_they_are=_AS_THEY_ARE,
        context=_CONTEXT,
        most_rows=most_rows,
    ):
        found.append(trip_pieces(part, trip_limits(), start_us))
        fault_point("trip_segments.mid_read")
    return pl.concat(found)


def _tiled(telemetry: TableSnapshot, event_hour: str, most_rows: int) -> pl.DataFrame:
    found = pieces_of_hour(telemetry, event_hour, most_rows)
    rows = found.with_columns(event_hour=pl.lit(event_hour))
    columns = TABLE_BY_NAME[TRIP_SEGMENTS].polars_schema
    zeros = [name for name in columns if name.endswith(("_us", "_um"))]
    return (
        rows.with_columns(pl.col(name).fill_null(0) for name in zeros)
        .with_columns(pl.col("is_silent", "is_off", "entry_is_silent").fill_null(value=False))
        .select(pl.col(name).cast(kind) for name, kind in columns.items())
        .sort("vehicle_id", "trip_kind", "started_us")
    )


def _chains(segments: TableSnapshot, limits: TripLimits) -> Chains:
    def read(some: Sequence[str], groups: pl.DataFrame | None) -> pl.DataFrame:
        return read_groups(segments.scan(segments.files_of(some)), groups, _GROUP)

    def edge(rows: pl.DataFrame, moment: datetime, *, leftwards: bool) -> pl.DataFrame:
        """Groups whose outermost rests do not keep a run beyond apart from those that are here."""
        at_us = int(moment.timestamp()) * 1_000_000
        outwards = rows.sort("started_us", descending=not leftwards)
        outer = outwards.with_columns(
            runs=pl.col("is_run").cast(pl.Int64).cum_sum().over(_GROUP)
        ).filter((pl.col("runs") == 0) | (pl.col("is_run") & (pl.col("runs") == 1)))
        rests = ~pl.col("is_run")
        far = "started_us" if leftwards else "ended_us"
        found = outer.group_by(_GROUP).agg(
            rested=pl.col("seen_us").filter(rests).sum(),
            off=pl.col("is_off").filter(rests).any(),
            innermost=pl.col(far).last(),
            outermost=pl.col(far).first(),
        )
        away = (pl.col("innermost") - at_us).abs()
        near = (pl.col("outermost") - at_us).abs() <= limits.rest_us
        joins = (pl.col("rested") <= limits.rest_us) & ~pl.col("off")
        return found.filter(near | (joins & (away <= limits.longest_silence_s * 1e6))).select(
            _GROUP
        )

    return Chains(
        _GROUP,
        hours_of(segments),
        read,
        lambda rows, moment: edge(rows, moment, leftwards=True),
        lambda rows, moment: edge(rows, moment, leftwards=False),
    )
