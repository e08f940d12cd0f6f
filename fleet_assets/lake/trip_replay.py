"""Trips of a span of the lake, made anew hour by hour: nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fleet_assets.lake.store import TableSnapshot
from fleet_assets.lake.trips import AS_THEY_ARE, CONTEXT, NUMBERS
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.trips.limits import trip_limits
from fleet_assets.trips.pieces import TRIP_PIECE_SCHEMA, trip_pieces
from fleet_assets.trips.stitch import stitch_trips
from partitions.hours import hour_start


def trips_of(
    telemetry: TableSnapshot, event_hours: Iterable[str], *, most_rows: int = PART_ROWS
) -> pl.DataFrame:
    """Trips by motion and by ignition: rows of TRIP_SCHEMA.

    Args:
        telemetry: the table.
        event_hours: keys of the hours, in any order; a trip that goes beyond them is cut.
        most_rows: about how many rows are held at a time.
    """
    limits = trip_limits()
    found = [TRIP_PIECE_SCHEMA.to_frame()]
    for event_hour in event_hours:
        start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
        found += [
            trip_pieces(part, limits, start_us)
            for part in vehicle_parts(
                telemetry,
                event_hour,
                NUMBERS,
                as_they_are=AS_THEY_ARE,
                context=CONTEXT,
                most_rows=most_rows,
            )
        ]
    return stitch_trips(pl.concat(found), limits)
