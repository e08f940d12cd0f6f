"""Trips of a span of the lake, made anew hour by hour: nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fleet_assets.lake.store import TableSnapshot
from fleet_assets.lake.trips import pieces_of_hour
from fleet_assets.lake.vehicle_parts import PART_ROWS
from fleet_assets.trips.limits import trip_limits
from fleet_assets.trips.pieces import TRIP_PIECE_SCHEMA
from fleet_assets.trips.stitch import stitch_trips


def trips_of(
    telemetry: TableSnapshot, event_hours: Iterable[str], *, most_rows: int = PART_ROWS
) -> pl.DataFrame:
    """Trips by motion and by ignition: rows of TRIP_SCHEMA.

    Args:
        telemetry: the table.
        event_hours: keys of the hours, in any order; a trip that goes beyond them is cut.
        most_rows: about how many rows are held at a time.
    """
    found = [pieces_of_hour(telemetry, hour, most_rows) for hour in event_hours]
    return stitch_trips(pl.concat([TRIP_PIECE_SCHEMA.to_frame(), *found]), trip_limits())
