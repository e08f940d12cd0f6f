"""`feature_windows`, in line with telemetry and the vehicles' usual intervals, hour by hour.

An hour is pinned to the baselines (`vehicle_baselines`) that it is scored by first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fault_points import fault_point
from fleet_assets.features.blocks import CONTEXT
from fleet_assets.features.catalogue import read_features
from fleet_assets.features.kernel import RAW_SIGNALS, feature_windows
from fleet_assets.features.scores import with_z_scores
from fleet_assets.features.tables import by_hour
from fleet_assets.lake.by_onset import found_id
from fleet_assets.lake.follow import hours_behind, telemetry_marks
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.marks import by_hour as marks_by_hour
from fleet_assets.lake.sealed import frozen_in, is_frozen
from fleet_assets.lake.segments import ELIGIBILITY, pins_id
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.usual_intervals import UNKNOWN_S
from fleet_assets.lake.vehicle_baselines import baselines_of, versions
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.days import day_of
from partitions.hours import hour_start

FEATURE_WINDOWS: Final = "feature_windows"
_COLUMNS: Final = TABLE_BY_NAME[FEATURE_WINDOWS].polars_schema


def baselines_id(event_hour: str) -> str:
    """Version of the baselines of its day that an hour is pinned to; 0: there were none."""
    return f"baselines/{event_hour}"


def catalogue_id(event_hour: str) -> str:
    """Fingerprint of the catalogue of features that the hour's windows were made by."""
    return f"catalogue/{event_hour}"


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
    judged = marks_by_hour(all_marks(eligibility.delta), pins_id).keys()
    stale = hours_without_windows(lake) | _hours_without_scores(lake)
    return sorted((stale & judged) - set(hours_behind(lake, ELIGIBILITY)))


def hours_without_windows(lake: Lake) -> set[str]:
    """Hours whose windows are not in line with telemetry and usual intervals, judged or not."""
    windows, eligibility = lake.find(FEATURE_WINDOWS), lake.find(ELIGIBILITY)
    pins = {} if eligibility is None else marks_by_hour(all_marks(eligibility.delta), pins_id)
    made = {} if windows is None else marks_by_hour(all_marks(windows.delta), pins_id)
    late = {hour for hour, pin in pins.items() if made.get(hour) != pin}
    return (late - frozen_in(lake)) | set(hours_behind(lake, FEATURE_WINDOWS))


def _hours_without_scores(lake: Lake) -> set[str]:
    """Hours whose windows were made before there were baselines of their day."""
    windows = lake.find(FEATURE_WINDOWS)
    if windows is None:
        return set()
    marks, known = all_marks(windows.delta), versions(lake)
    return {
        hour
        for hour in marks_by_hour(marks, app_id)
        if day_of(hour) in known and not marks.get(baselines_id(hour))
    } - frozen_in(lake)


def refresh_feature_windows(
    lake: Lake,
    event_hour: str,
    *,
    force: bool = False,
    repin: bool = False,
    most_rows: int = PART_ROWS,
) -> WindowsRefreshed:
    """Brings an hour's feature windows in line with its telemetry and the minutes before.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        force: make them even if nothing has changed.
        repin: take the newest baselines of the day instead of those that the hour is pinned to.
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
        if is_frozen(telemetry, event_hour):
            return WindowsRefreshed(event_hour, version, int(files["num_records"].sum() or 0))
        changed = force or any(windows.committed(name) != mark for name, mark in marks.items())
        pin = _pin(lake, windows, event_hour, repin=repin)
        if not changed and (windows.committed(baselines_id(event_hour)) or 0) == pin:
            return WindowsRefreshed(event_hour, version, int(files["num_records"].sum() or 0))
        marks[baselines_id(event_hour)] = pin
        marks[catalogue_id(event_hour)] = read_features().fingerprint
        # z-scores are nothing that baselines are made of: new ones alone do not count here
        number = windows.committed(found_id(event_hour)) or 0
        marks[found_id(event_hour)] = number + changed
        usual = baselines_of(lake, day_of(event_hour), pin)
        intervals = known_intervals(eligibility, event_hour)
        parts = [
            with_z_scores(part, usual)
            for part in _parts(telemetry, event_hour, intervals, most_rows)
        ]
        rows = pl.concat([_COLUMNS.to_frame(), *parts])
        verdict = validate(FEATURE_WINDOWS, rows, event_hour)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        fault_point("feature_windows.before_write")
        windows.commit_files({event_hour: [rows]}, files, marks)
        fault_point("feature_windows.committed")
        return WindowsRefreshed(event_hour, version, rows.height, verdict)

    return retrying(f"feature windows of {event_hour}", attempt)


def _pin(lake: Lake, windows: TableSnapshot, event_hour: str, *, repin: bool) -> int:
    """The version that the hour is pinned to, else the newest one of its day; 0: there is none."""
    pinned = windows.committed(baselines_id(event_hour)) or 0
    if pinned and not repin:
        return pinned
    return versions(lake).get(day_of(event_hour), 0)


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
