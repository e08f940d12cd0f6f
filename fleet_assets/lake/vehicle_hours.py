"""Keeping `vehicle_hours` in step with `telemetry`, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.refresh import app_id, rows_id
from fleet_assets.lake.store import Lake, retrying
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from fleet_assets.telemetry.vehicle_hours import NEEDED, vehicle_hours


@dataclass(frozen=True)
class VehicleHoursRefreshed:
    """What became of one hour; `verdict` is None if nothing had to be done."""

    event_hour: str
    processed_version: int
    rows: pl.DataFrame
    verdict: Verdict | None


def refresh_vehicle_hours(
    lake: Lake, event_hour: str, tanks: pl.DataFrame, *, force: bool = False
) -> VehicleHoursRefreshed:
    """Computes the hour again if its rows of telemetry have changed since.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        tanks: columns `vehicle_id`, `tank_gallons`.
        force: compute even if nothing has moved on.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> VehicleHoursRefreshed:
        telemetry, table = lake.open("telemetry"), lake.open("vehicle_hours")
        mark = telemetry.committed(app_id(event_hour))
        version = -1 if mark is None else mark
        rows_version = telemetry.committed(rows_id(event_hour)) or 0
        in_step = (
            table.committed(app_id(event_hour)) == version
            and table.committed(rows_id(event_hour)) == rows_version
        )
        if in_step and not force:
            return VehicleHoursRefreshed(event_hour, version, table.read(event_hour), None)
        rows = vehicle_hours(telemetry.read(event_hour, columns=NEEDED), tanks, event_hour)
        verdict = validate("vehicle_hours", rows, event_hour)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        progress = {app_id(event_hour): version, rows_id(event_hour): rows_version}
        fault_point("hours.before_write")
        table.replace_hour(rows, event_hour, progress)
        fault_point("hours.committed")
        return VehicleHoursRefreshed(event_hour, version, rows, verdict)

    return retrying(f"vehicle_hours of {event_hour}", attempt)
