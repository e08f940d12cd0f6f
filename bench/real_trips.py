"""Trips of the real vehicles, with their distances by three methods side by side.

`python -m bench.real_trips`
"""

from __future__ import annotations

import time

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.real_rules import real_telemetry
from fleet_assets.trips.limits import trip_limits
from fleet_assets.trips.pieces import trip_pieces
from fleet_assets.trips.stitch import stitch_trips

_MILES = ("gps_miles", "speed_miles", "odometer_miles")


def main() -> None:
    """Prints trips by vehicle and kind."""
    telemetry = real_telemetry()
    if telemetry.is_empty():
        Console().print("The real trips are not there.")
        return
    limits = trip_limits()
    started = time.perf_counter()
    trips = stitch_trips(trip_pieces(telemetry, limits), limits)
    took = time.perf_counter() - started
    table = Table("vehicle", "kind", "trips", "hours", *_MILES, "idle h", "top mph",
                  title=f"{telemetry.height / took:,.0f} rows/s")  # fmt: skip
    hours = (pl.col("ended_at") - pl.col("started_at")).dt.total_seconds().sum() / 3600
    by_vehicle = trips.group_by("vehicle_id", "trip_kind").agg(
        pl.len(),
        hours.alias("hours"),
        *(pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()).alias(n) for n in _MILES),
        pl.col("idle_seconds").sum() / 3600,
        pl.col("speed_max_mph").max(),
    )
    for who, kind, count, *numbers in by_vehicle.sort("vehicle_id", "trip_kind").iter_rows():
        told = ("–" if value is None else f"{value:,.1f}" for value in numbers)
        table.add_row(who, kind, f"{count:,}", *told)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
