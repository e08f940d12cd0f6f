"""What the job `baselines` does for a small lake, without Dagster and the warehouse."""

from __future__ import annotations

import polars as pl

from fleet_assets.lake.feature_days import days_to_summarise, summarise_day
from fleet_assets.lake.feature_windows import (
    hours_to_window,
    hours_without_windows,
    refresh_feature_windows,
)
from fleet_assets.lake.incidents import SAID_SCHEMA
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_baselines import days_to_compare, make_baselines
from partitions.days import day_of

FLEET = pl.DataFrame({"vehicle_id": ["v1", "v2"], "vehicle_type": ["van", None]})
NOTHING_SAID = SAID_SCHEMA.to_frame()


def waiting(lake: Lake) -> set[str]:
    """Days that still get windows."""
    return {day_of(hour) for hour in hours_without_windows(lake)}


def window(lake: Lake) -> list[str]:
    """Makes the windows that are due; gives the hours."""
    hours = hours_to_window(lake)
    for hour in hours:
        refresh_feature_windows(lake, hour)
    assert hours_to_window(lake) == []
    return hours


def summarise(lake: Lake, said: pl.DataFrame = NOTHING_SAID) -> list[str]:
    """Makes the summaries that are due; gives the days."""
    days = days_to_summarise(lake, said, waiting(lake))
    for day in days:
        summarise_day(lake, day, said)
    assert days_to_summarise(lake, said, waiting(lake)) == []
    return days


def compare(lake: Lake) -> list[str]:
    """Makes the baselines that are due; gives the days."""
    left = {*waiting(lake), *days_to_summarise(lake, NOTHING_SAID, waiting(lake))}
    days = days_to_compare(lake, left)
    return [day for day in days if make_baselines(lake, day, FLEET).version]


def settle(lake: Lake) -> None:
    """All that is due, to the end."""
    while window(lake) or summarise(lake) or compare(lake):
        pass
