"""A lake of simulated vehicles, and what tests do to it."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from fleet_assets.fleet_sim.to_lake import START, TANKS, simulated_lake, telemetry_rows
from fleet_assets.lake.marks import rows_id
from fleet_assets.lake.store import Lake

__all__ = ["START", "TANKS", "late", "simulated_lake", "telemetry_rows"]


def late(lake: Lake, hour: str, vehicle_id: str, seconds: int) -> None:
    """Takes the last seconds of a vehicle out of an hour, as if they had not come yet."""
    table = lake.open("telemetry")
    files = table.files_of([hour])
    rows = table.read_files(files)
    mine = rows.filter(vehicle_id=vehicle_id)["event_time"].max()
    assert isinstance(mine, datetime)
    gone = (pl.col("vehicle_id") == vehicle_id) & (
        pl.col("event_time") > mine - timedelta(seconds=seconds)
    )
    mark = (table.committed(rows_id(hour)) or 0) + 1
    table.commit_files({hour: [rows.filter(~gone)]}, files, {rows_id(hour): mark})
