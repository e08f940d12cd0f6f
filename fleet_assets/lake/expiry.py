"""Raw messages of hours long past go, once all they said stands in telemetry and the rejects.

What has gone stays on record in Delta transactions of `raw_telemetry`, in the very commit that
removes the files: up to which landing the hour's messages are gone, and how many they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.conservation import account
from fleet_assets.lake.expired import expired_rows, expired_rows_id, expired_upto
from fleet_assets.lake.hour_tables import HourTables
from fleet_assets.lake.landed import landed_hours
from fleet_assets.lake.marks import expired_id
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot
from partitions.hours import HOUR, hour_start


@dataclass(frozen=True)
class Expired:
    """What became of one hour whose raw messages are old enough.

    Attributes:
        rows: messages removed.
        kept_because: why nothing was removed; None: it was.
    """

    event_hour: str
    rows: int
    files: int
    kept_because: str | None = None


def hours_to_expire(raw: TableSnapshot, retention: timedelta, now: datetime) -> list[str]:
    """Hours that ended, and whose newest message arrived, longer ago than the retention."""
    latest = now - retention
    return [
        hour.event_hour
        for hour in landed_hours(raw)
        if hour_start(hour.event_hour) + HOUR <= latest and hour.newest_append_time <= latest
    ]


def out_of_line(lake: Lake, event_hours: Iterable[str]) -> set[str]:
    """Hours of these whose tables stand at different marks: a refresh is at work or was cut off.

    What it left may have to be repaired from older versions, so nothing of theirs is touched.
    """
    hours = list(event_hours)
    if not hours or lake.find("telemetry") is None:
        return set()
    tables = HourTables.open(lake)
    return {hour for hour in hours if tables.lagging(hour)}


def expire_hour(lake: Lake, event_hour: str) -> Expired:
    """Removes the raw messages of one hour if every one of them is accounted for elsewhere.

    An hour that is not wholly taken in, or whose counts do not agree, is left as it is.
    """
    # raw first: the accounts are newer, so what they call taken in covers all of these files
    raw = lake.open("raw_telemetry")
    files = raw.files.filter(pl.col("event_hour") == event_hour)
    rows = int(files["num_records"].sum())
    (found,) = account(lake, [event_hour])
    if not files.height:
        return Expired(event_hour, 0, 0, "nothing is there")
    if found.pending:
        return Expired(event_hour, 0, 0, f"{found.pending:,} messages are not taken in yet")
    if found.differences:
        return Expired(event_hour, 0, 0, "; ".join(found.differences))
    progress = {
        expired_id(event_hour): int(files["max.landing_version"].max()),  # type: ignore[arg-type]
        expired_rows_id(event_hour): expired_rows(raw, event_hour) + rows,
    }
    try:
        raw.commit_actions([], files, progress)
    except CommitConflictError:
        return Expired(event_hour, 0, 0, "another writer changed its files meanwhile")
    fault_point("expiry.committed")
    return Expired(event_hour, rows, files.height)


__all__ = ["Expired", "expire_hour", "expired_rows", "expired_upto", "hours_to_expire"]
