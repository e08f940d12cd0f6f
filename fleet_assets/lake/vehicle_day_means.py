"""Means of all features by vehicle and day, made once for each day and kept among the artifacts.

A day's windows are many, its means few: drift looks at weeks of them. The name of a file says which
windows it was made from, so a day whose windows have changed is made anew.
"""

from __future__ import annotations

import hashlib
import io
import json
from datetime import date, timedelta

import polars as pl

from fleet_assets.features.catalogue import read_features
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.feature_windows import FEATURE_WINDOWS
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.training_data import Span
from partitions.days import hours_of_day


def feature_names() -> list[str]:
    """Features that are measured; z-scores follow from them."""
    return [feature.name for feature in read_features().features if feature.of is None]


def vehicle_day_means(lake: Lake, span: Span) -> pl.DataFrame:
    """Means over the windows of each vehicle-day.

    Args:
        lake: holds `feature_windows`.
        span: the days.

    Returns:
        `vehicle_id`, `day` and the features, in order; no rows where there are no windows.
    """
    empty = pl.DataFrame(
        schema={"vehicle_id": pl.String, "day": pl.Date}
        | dict.fromkeys(feature_names(), pl.Float64)
    )
    table = lake.find(FEATURE_WINDOWS)
    if table is None:
        return empty
    marks, artifacts = all_marks(table.delta), Artifacts(lake.url)
    days = [span.first_day + timedelta(days=n) for n in range(span.days)]
    parts = [_of_day(table, marks, artifacts, day) for day in days]
    return pl.concat([empty, *parts]).sort("vehicle_id", "day")


def _of_day(
    table: TableSnapshot, marks: dict[str, int], artifacts: Artifacts, day: date
) -> pl.DataFrame:
    hours, names = hours_of_day(str(day)), feature_names()
    files = table.files_of(hours)
    mine = sorted((name, mark) for name, mark in marks.items() if name.split("/")[-1] in hours)
    told = json.dumps([mine, names]).encode()
    name = f"vehicle_day_means/{day}-{hashlib.sha256(told).hexdigest()[:12]}.parquet"
    if files.is_empty():
        return pl.DataFrame(
            schema={"vehicle_id": pl.String, "day": pl.Date} | dict.fromkeys(names, pl.Float64)
        )
    if artifacts.exists(name):
        return pl.read_parquet(io.BytesIO(artifacts.read(name)))
    means = (
        table.scan(files)
        .group_by("vehicle_id")
        .agg(pl.col(names).mean())
        .select("vehicle_id", pl.lit(day).alias("day"), *names)
        .collect(engine="streaming")
        .sort("vehicle_id")
    )
    file = io.BytesIO()
    means.write_parquet(file, compression="zstd")
    artifacts.write(name, file.getvalue(), overwrite=True)
    return means
