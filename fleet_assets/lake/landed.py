"""What has landed, hour by hour, from the statistics of raw_telemetry's files alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fleet_assets.lake.store import Lake, TableSnapshot


@dataclass(frozen=True)
class LandedHour:
    """What raw_telemetry holds of one hour.

    Attributes:
        newest_version: newest version that brought messages.
        messages: number of messages.
        newest_append_time: newest arrival.
    """

    event_hour: str
    newest_version: int
    messages: int
    newest_append_time: datetime


def landed_hours(raw: TableSnapshot) -> list[LandedHour]:
    """All hours that hold messages, in order."""
    if raw.files.is_empty():
        return []
    grouped = raw.files.group_by("event_hour").agg(
        pl.col("max.landing_version").max(),
        pl.col("num_records").sum(),
        pl.col("max.append_time").max(),
    )
    return [LandedHour(*row) for row in grouped.sort("event_hour").iter_rows()]


def waiting_since(raw: TableSnapshot, shown: dict[str, int]) -> dict[str, datetime]:
    """Per hour that is not shown in full, the arrival of its oldest message that is not.

    Args:
        raw: snapshot of `raw_telemetry`.
        shown: per hour the version whose messages are shown.
    """
    if raw.files.is_empty():
        return {}
    known = pl.DataFrame(
        {"event_hour": list(shown), "shown": list(shown.values())},
        schema={"event_hour": pl.String, "shown": pl.Int64},
    )
    waiting = (
        raw.files.join(known, on="event_hour", how="left")
        .with_columns(pl.col("shown").fill_null(-1))
        .filter(pl.col("max.landing_version") > pl.col("shown"))
    )
    # upkeep puts messages that are shown and ones that wait into one file
    is_mixed = pl.col("min.landing_version") <= pl.col("shown")
    plain = waiting.filter(~is_mixed).select("event_hour", pl.col("min.append_time"))
    found = [
        plain,
        *(_waiting_in(raw, files) for _, files in waiting.filter(is_mixed).group_by("event_hour")),
    ]
    oldest = (
        pl.concat(found, how="vertical_relaxed")
        .group_by("event_hour")
        .agg(pl.col("min.append_time").min())
    )
    return dict(oldest.iter_rows())


def _waiting_in(raw: TableSnapshot, files: pl.DataFrame) -> pl.DataFrame:
    """Oldest arrival in files of one hour of which some messages are shown."""
    is_waiting = pl.col("landing_version") > files["shown"][0]
    return (
        raw.scan(files)
        .filter(is_waiting)
        .group_by("event_hour")
        .agg(pl.col("append_time").min().alias("min.append_time"))
        .collect(engine="streaming")
    )


def newest_event(lake: Lake) -> datetime | None:
    """Event time of the newest row of telemetry."""
    files = lake.open("telemetry").files
    newest = None if files.is_empty() else files["max.event_time"].max()
    return newest if isinstance(newest, datetime) else None
