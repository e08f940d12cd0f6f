"""Which hour a window belongs to."""

from __future__ import annotations

from datetime import timedelta

import polars as pl


def by_hour(windows: pl.DataFrame) -> pl.DataFrame:
    """Feature windows as rows of `feature_windows`: with the hour that their step lies in."""
    last_moment = pl.col("window_end") - timedelta(microseconds=1)
    hour = last_moment.dt.strftime("%Y-%m-%dT%H").alias("event_hour")
    return windows.select(hour, pl.all())
