"""Small lakes of some days, and what the job `baselines` does for them without Dagster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from judging import bring_up
from telemetry_data import land_values, message

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

FIRST = datetime(2026, 1, 20, 8, tzinfo=UTC)
DAYS = [(FIRST + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(4)]
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


def hour_of(day: int) -> str:
    return f"{DAYS[day]}T08"


def drive(day: int, vehicle_id: str = "v1", rpm: int = 1500, seconds: int = 160) -> list[bytes]:
    """A message every 10 s."""
    return [
        message(
            vehicle_id,
            (FIRST + timedelta(days=day, seconds=second)).isoformat(),
            speed=30,
            engine_rpm=rpm + second % 70,
            coolant_temp=85 + day,
        )
        for second in range(0, seconds, 10)
    ]


def arrive(lake: Lake, messages: list[bytes]) -> None:
    raw = lake.open("raw_telemetry").files
    start = 0 if raw.is_empty() else int(raw["num_records"].sum())
    land_values(lake, messages, start=start)
    bring_up(lake)


def lake_of(path: Path, days: int) -> Lake:
    lake = Lake(str(path))
    for day in range(days):
        arrive(lake, [*drive(day, rpm=1500 + 10 * day), *drive(day, "v2", 2000)])
        settle(lake)
    return lake
