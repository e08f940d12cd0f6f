"""Tables that are made from an hour's telemetry and the last minutes of the hour before."""

from __future__ import annotations

from collections.abc import Callable

from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, by_hour, rows_id
from fleet_assets.lake.sealed import frozen_hours
from fleet_assets.lake.store import Lake
from partitions.hours import HOUR, hour_key, hour_start


def context_id(event_hour: str) -> str:
    """Number of the telemetry of the hour before, which the hour looks back into."""
    return f"context/{event_hour}"


def telemetry_marks(committed: Callable[[str], int | None], event_hour: str) -> dict[str, int]:
    """What an hour of such a table is made from, by the names of the marks.

    Args:
        committed: gives the mark of a name in `telemetry`.
        event_hour: key of the hour.
    """
    before = hour_key(hour_start(event_hour) - HOUR)
    taken_in = committed(app_id(event_hour))
    return {
        app_id(event_hour): -1 if taken_in is None else taken_in,
        rows_id(event_hour): committed(rows_id(event_hour)) or 0,
        context_id(event_hour): committed(rows_id(before)) or 0,
    }


def hours_behind(lake: Lake, table: str) -> list[str]:
    """Hours of a table that are not in line with telemetry and can be made so, in order."""
    telemetry = lake.find("telemetry")
    if telemetry is None:
        return []
    follower = lake.find(table)
    truth = all_marks(telemetry.delta)
    made = {} if follower is None else all_marks(follower.delta)
    return [
        hour
        for hour in sorted(by_hour(truth, app_id).keys() - frozen_hours(truth))
        if any(made.get(name) != mark for name, mark in telemetry_marks(truth.get, hour).items())
    ]
