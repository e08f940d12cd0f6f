"""`feature_days`: what each vehicle's features were on a day, in line with its feature windows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.features.baselines import daily_summaries
from fleet_assets.features.catalogue import read_features
from fleet_assets.lake.by_onset import found_id
from fleet_assets.lake.feature_windows import FEATURE_WINDOWS
from fleet_assets.lake.incidents import IncidentNumbers, fingerprint, incidents_of
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, by_hour
from fleet_assets.lake.sealed import is_frozen
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.lake.vehicle_baselines import FEATURE_DAYS
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_ranges
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.days import day_of, hours_of_day

_COLUMNS: Final = TABLE_BY_NAME[FEATURE_DAYS].polars_schema
_REGIME_OF: Final = ("speed_mean_60s", "rpm_mean_60s")


def windows_id(event_day: str) -> str:
    """Number of the day's windows that its summaries were made from."""
    return f"windows/{event_day}"


def incidents_id(event_day: str) -> str:
    """Number of the anomalies and words that its incidents were looked for in."""
    return f"incidents/{event_day}"


def spans_id(event_day: str) -> str:
    """Fingerprint of the incidents that were left out."""
    return f"spans/{event_day}"


@dataclass(frozen=True)
class DaySummarised:
    """What became of one day; no verdict if it was in line already."""

    event_day: str
    rows: int
    verdict: Verdict | None = None


def days_to_summarise(
    lake: Lake, said: pl.DataFrame, waiting: Collection[str], *, by_incidents: bool = True
) -> list[str]:
    """Days that are over, with windows that are all there and not in `feature_days`, in order.

    A day is over when a later one has begun, by event time.

    Args:
        lake: the lake.
        said: what people have said of anomalies (`incidents.SAID_SCHEMA`).
        waiting: days that still get windows.
        by_incidents: also days whose incidents alone may have changed.
    """
    windows, telemetry = lake.find(FEATURE_WINDOWS), lake.find("telemetry")
    if windows is None or telemetry is None:
        return []
    newest = max(map(day_of, by_hour(all_marks(telemetry.delta), app_id)), default="")
    numbers = _numbers(windows)
    incidents = IncidentNumbers(lake, said)
    table = lake.find(FEATURE_DAYS)
    done = {} if table is None else all_marks(table.delta)
    return sorted(
        day
        for day, number in numbers.items()
        if day < newest
        and day not in waiting
        and (
            done.get(windows_id(day)) != number
            or (by_incidents and done.get(incidents_id(day)) != incidents.of(day))
        )
    )


def summarise_day(
    lake: Lake,
    event_day: str,
    said: pl.DataFrame,
    *,
    force: bool = False,
    most_rows: int = PART_ROWS,
) -> DaySummarised:
    """Brings a day in line with its windows and incidents.

    Args:
        lake: the lake.
        event_day: key of the day.
        said: what people have said of anomalies (`incidents.SAID_SCHEMA`).
        force: make it even if nothing has changed.
        most_rows: about how many windows are held at a time.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> DaySummarised:
        table, windows = lake.open(FEATURE_DAYS), lake.open(FEATURE_WINDOWS)
        marks = {
            windows_id(event_day): _numbers(windows).get(event_day, 0),
            incidents_id(event_day): IncidentNumbers(lake, said).of(event_day),
        }
        files = table.files_of([event_day])
        rows_before = 0 if files.is_empty() else int(files["num_records"].sum())
        if not force and all(table.committed(name) == mark for name, mark in marks.items()):
            return DaySummarised(event_day, rows_before)
        incidents = incidents_of(lake, event_day, said)
        marks[spans_id(event_day)] = fingerprint(incidents)
        same = (windows_id(event_day), spans_id(event_day))
        telemetry = lake.open("telemetry")
        frozen = any(is_frozen(telemetry, hour) for hour in hours_of_day(event_day))
        if frozen or (not force and all(table.committed(name) == marks[name] for name in same)):
            table.commit_files({}, files.clear(), marks)
            return DaySummarised(event_day, rows_before)
        parts = _parts(windows, event_day, incidents, most_rows)
        rows = pl.concat([_COLUMNS.to_frame(), *parts])
        verdict = validate(FEATURE_DAYS, rows, event_day)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        if not rows.equals(table.read_files(files)):
            marks[found_id(event_day)] = (table.committed(found_id(event_day)) or 0) + 1
        table.commit_files({event_day: [rows]}, files, marks)
        return DaySummarised(event_day, rows.height, verdict)

    return retrying(f"feature days of {event_day}", attempt)


def _numbers(windows: TableSnapshot) -> dict[str, int]:
    """By day the number of its windows: it changes whenever some of them are made otherwise."""
    marks = all_marks(windows.delta)
    found: dict[str, int] = {}
    for hour in by_hour(marks, app_id):  # windows of before there were numbers count as well
        found[day_of(hour)] = found.get(day_of(hour), 0) + marks.get(found_id(hour), 0) + 1
    return found


def _parts(
    windows: TableSnapshot, event_day: str, incidents: pl.DataFrame, most_rows: int
) -> Iterator[pl.DataFrame]:
    """Summaries in order of vehicles, some at a time."""
    names = [feature.name for feature in read_features().with_baseline]
    wanted = list(dict.fromkeys(["vehicle_id", "window_end", *names, *_REGIME_OF]))
    rows = windows.scan(windows.files_of(hours_of_day(event_day)))
    for first, last in vehicle_ranges(rows, most_rows):
        mine = pl.col("vehicle_id").is_between(pl.lit(first), pl.lit(last))
        some = rows.filter(mine).select(wanted).collect(engine="streaming")
        made = daily_summaries(some, incidents)
        yield made.with_columns(event_day=pl.lit(event_day)).select(
            pl.col(name).cast(kind) for name, kind in _COLUMNS.items()
        )
