"""`vehicle_baselines`: what is usual, by day and in versions that are never changed.

Those of a day are made once, from the thirty days before, when the day has begun and nothing of
those days waits. What comes later changes them no more; `repin` makes another version beside them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.features.baselines import BASELINE_SCHEMA, SUMMARY_SCHEMA
from fleet_assets.features.baselines import vehicle_baselines as baselines_from
from fleet_assets.features.catalogue import read_features
from fleet_assets.lake.by_onset import found_id
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import app_id, by_hour
from fleet_assets.lake.store import Lake, retrying
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate
from partitions.days import day_of, day_start, days_before

FEATURE_DAYS: Final = "feature_days"
VEHICLE_BASELINES: Final = "vehicle_baselines"
_COLUMNS: Final = TABLE_BY_NAME[VEHICLE_BASELINES].polars_schema
_DAY: Final = pl.col("event_day").str.to_date().alias("day")


def version_id(event_day: str) -> str:
    """Newest version of a day's baselines."""
    return f"version/{event_day}"


def looked_id(event_day: str) -> str:
    """Number of the days before that a day's baselines were last made from, or looked for in."""
    return f"looked/{event_day}"


@dataclass(frozen=True)
class BaselinesMade:
    """What became of one day.

    Attributes:
        version: the newest version; 0: there is none, no day before tells anything.
        rows: of that version.
        verdict: none if nothing was made.
    """

    event_day: str
    version: int
    rows: int
    verdict: Verdict | None = None


def versions(lake: Lake) -> dict[str, int]:
    """The newest version of each day that has baselines."""
    table = lake.find(VEHICLE_BASELINES)
    return {} if table is None else by_hour(all_marks(table.delta), version_id)


def baselines_of(lake: Lake, event_day: str, version: int) -> pl.DataFrame:
    """Baselines of a day in one version: rows of BASELINE_SCHEMA, none of version 0."""
    table = lake.find(VEHICLE_BASELINES) if version else None
    if table is None:
        return BASELINE_SCHEMA.to_frame()
    rows = table.read(event_day, where=pl.col("version") == version)
    return rows.with_columns(_DAY).select(BASELINE_SCHEMA.names())


def days_to_compare(lake: Lake, waiting: Collection[str]) -> list[str]:
    """Days that have begun and lack baselines that can be made now, in order.

    Args:
        lake: the lake.
        waiting: days that are not to be taken as they are: nothing is made from them.
    """
    telemetry = lake.find("telemetry")
    if telemetry is None:
        return []
    table = lake.find(VEHICLE_BASELINES)
    done = {} if table is None else all_marks(table.delta)
    numbers = _numbers(lake)
    due = []
    for day in sorted({day_of(hour) for hour in by_hour(all_marks(telemetry.delta), app_id)}):
        before = _before(day)
        if done.get(version_id(day)) or not before.isdisjoint(waiting):
            continue
        number = sum(numbers.get(one, 0) for one in before)
        if number and done.get(looked_id(day)) != number:
            due.append(day)
    return due


def make_baselines(
    lake: Lake, event_day: str, vehicles: pl.DataFrame, *, repin: bool = False
) -> BaselinesMade:
    """Makes baselines of a day from `feature_days` as it is now, unless there are some.

    Args:
        lake: the lake.
        event_day: key of the day.
        vehicles: `vehicle_id`, `vehicle_type` of the fleet.
        repin: make a further version.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> BaselinesMade:
        table = lake.open(VEHICLE_BASELINES)
        newest = table.committed(version_id(event_day)) or 0
        if newest and not repin:
            return BaselinesMade(event_day, newest, baselines_of(lake, event_day, newest).height)
        numbers, before = _numbers(lake), _before(event_day)
        marks = {looked_id(event_day): sum(numbers.get(day, 0) for day in before)}
        made = baselines_from(_summaries(lake, before), vehicles, day_start(event_day).date())
        verdict = None
        if not made.is_empty():
            newest += 1
            marks[version_id(event_day)] = newest
        rows = made.select(
            pl.lit(event_day).alias("event_day"), pl.lit(newest).alias("version"), pl.exclude("day")
        ).select(pl.col(name).cast(kind) for name, kind in _COLUMNS.items())
        verdict = validate(VEHICLE_BASELINES, rows, event_day)
        if not verdict.passed:
            raise InvalidHourError([verdict])
        table.commit_files({event_day: [rows]}, table.files.clear(), marks)
        return BaselinesMade(event_day, newest, rows.height, verdict)

    return retrying(f"vehicle baselines of {event_day}", attempt)


def _before(event_day: str) -> set[str]:
    return set(days_before(event_day, round(read_features().number("baseline_days"))))


def _numbers(lake: Lake) -> dict[str, int]:
    """By day, the number of its summaries."""
    table = lake.find(FEATURE_DAYS)
    return {} if table is None else by_hour(all_marks(table.delta), found_id)


def _summaries(lake: Lake, days: Collection[str]) -> pl.DataFrame:
    table = lake.find(FEATURE_DAYS)
    if table is None:
        return SUMMARY_SCHEMA.to_frame()
    return table.read_files(table.files_of(days)).with_columns(_DAY).select(SUMMARY_SCHEMA.names())
