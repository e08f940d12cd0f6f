"""`feature_windows`, in line with telemetry and the vehicles' usual intervals, hour by hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fault_points import fault_point
from fleet_assets.features.blocks import CONTEXT
from fleet_assets.features.kernel import RAW_SIGNALS, feature_windows
from fleet_assets.features.tables import by_hour
from fleet_assets.lake.follow import hours_behind, telemetry_marks
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.marks import by_hour as marks_by_hour
from fleet_assets.lake.segments import ELIGIBILITY, pins_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.usual_intervals import UNKNOWN_S
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.hours import hour_start

FEATURE_WINDOWS: Final = "feature_windows"
_COLUMNS: Final = TABLE_BY_NAME[FEATURE_WINDOWS].polars_schema


@dataclass(frozen=True)
class WindowsRefreshed:
    """What became of one hour; no verdict if it was in line already."""

    event_hour: str
    processed_version: int
    rows: int
    verdict: Verdict | None = None


def hours_to_window(lake: Lake) -> list[str]:
    """Hours whose windows are not in line with what they are made of, in order.

    Hours that the rules have not looked at yet are left out: a vehicle's usual interval is pinned
    then.
    """
    eligibility = lake.find(ELIGIBILITY)
    if eligibility is None:
        return []
    windows = lake.find(FEATURE_WINDOWS)
    pins = marks_by_hour(all_marks(eligibility.delta), pins_id)
    made = {} if windows is None else marks_by_hour(all_marks(windows.delta), pins_id)
    stale = set(hours_behind(lake, FEATURE_WINDOWS))
    stale |= {hour for hour, pin in pins.items() if made.get(hour) != pin}
    return sorted((stale & pins.keys()) - set(hours_behind(lake, ELIGIBILITY)))


def refresh_feature_windows(
    lake: Lake, event_hour: str, *, force: bool = False, most_rows: int = PART_ROWS
) -> WindowsRefreshed:
    """Brings an hour's feature windows in line with its telemetry and the minutes before.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        force: make them even if nothing has changed.
        most_rows: about how many rows of telemetry are held at a time.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> WindowsRefreshed:
        windows, eligibility = lake.open(FEATURE_WINDOWS), lake.open(ELIGIBILITY)
        telemetry = lake.open("telemetry")
        marks = telemetry_marks(telemetry.committed, event_hour)
        marks[pins_id(event_hour)] = eligibility.committed(pins_id(event_hour)) or 0
        version = marks[app_id(event_hour)]
        files = windows.files_of([event_hour])
        if not force and all(windows.committed(name) == mark for name, mark in marks.items()):
            return WindowsRefreshed(event_hour, version, int(files["num_records"].sum() or 0))
        intervals = known_intervals(eligibility, event_hour)
        parts = list(_parts(telemetry, event_hour, intervals, most_rows))
        rows = pl.concat([_COLUMNS.to_frame(), *parts])
        verdict = validate(FEATURE_WINDOWS, rows, event_hour)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        fault_point("feature_windows.before_write")
        windows.commit_files({event_hour: [rows]}, files, marks)
        fault_point("feature_windows.committed")
        return WindowsRefreshed(event_hour, version, rows.height, verdict)

    return retrying(f"feature windows of {event_hour}", attempt)


def known_intervals(eligibility: TableSnapshot, event_hour: str) -> dict[str, float]:
    """Usual intervals that are pinned for an hour, in s.

    The one that the rules assume of unknown vehicles is left out: features assume another one.
    """
    pins = eligibility.read(event_hour, ["vehicle_id", "usual_interval_seconds"])
    return dict(pins.filter(pl.col("usual_interval_seconds") != UNKNOWN_S).iter_rows())


def _parts(
    telemetry: TableSnapshot, event_hour: str, intervals: dict[str, float], most_rows: int
) -> Iterator[pl.DataFrame]:
    """Windows of the hour, some vehicles at a time."""
    start = hour_start(event_hour)
    for rows in vehicle_parts(
        telemetry, event_hour, RAW_SIGNALS, context=CONTEXT, most_rows=most_rows
    ):
        made = by_hour(feature_windows(rows, first_step=start, usual_intervals=intervals))
        yield made.select(pl.col(name).cast(kind) for name, kind in _COLUMNS.items())
        fault_point("feature_windows.mid_read")
