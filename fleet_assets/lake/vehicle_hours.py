"""Keeping `vehicle_hours` in step with `telemetry`, hour by hour.

The commit to `vehicle_hour_states` is the truth: it carries the version of telemetry that it
includes, and is brought up to date by the rows that have come since. `vehicle_hours` follows with
the same marks; it is made from the states alone, so after a crash between the two commits it is
simply made again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.hour_states import states_after
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.hour_states import FORM
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from fleet_assets.telemetry.vehicle_hours import vehicle_hours


@dataclass(frozen=True)
class VehicleHoursRefreshed:
    """What became of one hour.

    Attributes:
        verdicts: the checks that ran before the commits; none if nothing had to be done.
        rows_added: rows of telemetry that were taken in; None: all of the hour's were read.
    """

    event_hour: str
    processed_version: int
    rows: pl.DataFrame
    verdicts: tuple[Verdict, ...]
    rows_added: int | None = 0


def states_id(event_hour: str) -> str:
    """Name of the Delta transaction that holds the version of telemetry which states include."""
    return f"states-{FORM}/{event_hour}"


def tanks_id(event_hour: str) -> str:
    """Name of the Delta transaction that tells which sizes of tanks were used."""
    return f"tanks/{event_hour}"


def refresh_vehicle_hours(
    lake: Lake, event_hour: str, tanks: pl.DataFrame, *, force: bool = False
) -> VehicleHoursRefreshed:
    """Brings the hour up to date if its rows of telemetry have changed since.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        tanks: columns `vehicle_id`, `tank_gallons`, as of the hour's start.
        force: make it anew from all rows, even if nothing has moved on.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    anew = force

    def attempt() -> VehicleHoursRefreshed:
        nonlocal anew
        telemetry = lake.open("telemetry")
        states_table, table = lake.open("vehicle_hour_states"), lake.open("vehicle_hours")
        mark = telemetry.committed(app_id(event_hour))
        marks = {
            app_id(event_hour): -1 if mark is None else mark,
            rows_id(event_hour): telemetry.committed(rows_id(event_hour)) or 0,
        }
        version = marks[app_id(event_hour)]
        states = states_table.read(event_hour)
        base = states_table.committed(states_id(event_hour))
        verdicts: list[Verdict] = []
        added: int | None = 0
        if anew or base is None or not _holds(states_table, marks):
            changed = states_after(telemetry, None if anew else base, states, event_hour)
            states, added = changed.states, changed.rows_added
            verdicts.append(_checked("vehicle_hour_states", states, event_hour))
            fault_point("hours.before_states")
            progress = marks | {states_id(event_hour): telemetry.version}
            states_table.replace_hour(states, event_hour, progress)
            fault_point("hours.states_committed")
            anew = False
        marks[tanks_id(event_hour)] = _fingerprint(states, tanks)
        if not verdicts and _holds(table, marks):
            return VehicleHoursRefreshed(event_hour, version, table.read(event_hour), ())
        rows = vehicle_hours(states, tanks, event_hour)
        verdicts.append(_checked("vehicle_hours", rows, event_hour))
        fault_point("hours.before_write")
        table.replace_hour(rows, event_hour, marks)
        fault_point("hours.committed")
        return VehicleHoursRefreshed(event_hour, version, rows, tuple(verdicts), added)

    return retrying(f"vehicle_hours of {event_hour}", attempt)


def _holds(table: TableSnapshot, marks: dict[str, int]) -> bool:
    return all(table.committed(name) == version for name, version in marks.items())


def _checked(table: str, rows: pl.DataFrame, event_hour: str) -> Verdict:
    verdict = validate(table, rows, event_hour)
    if not verdict.passed:
        raise InvalidHourError([verdict])
    return verdict


def _fingerprint(states: pl.DataFrame, tanks: pl.DataFrame) -> int:
    """Of the tanks of the hour's vehicles: another size makes the hour anew."""
    mine = tanks.select("vehicle_id", "tank_gallons").join(states, on="vehicle_id", how="semi")
    text = mine.sort("vehicle_id").write_csv(include_header=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
