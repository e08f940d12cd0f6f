"""Which local day of a vehicle an hour belongs to."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

LONGEST_DAY: Final = timedelta(hours=26)
"""An hour begins at most so long after its local day, which may have 25 hours."""
_MIDDLE: Final = timedelta(minutes=30)


def in_local_days(hours: pl.DataFrame, vehicles: pl.DataFrame) -> pl.DataFrame:
    """Hours with the beginning and the end of their local day.

    An hour counts for the day in which its middle lies: in zones that are off by half an hour,
    half an hour may count for the day beside. The zone is the one in force at that time.

    Args:
        hours: `event_hour` and `vehicle_id`.
        vehicles: rows of VEHICLE_SCHEMA.

    Returns:
        The same with `started_at` and `ended_at`, the local midnights around it, in UTC.
    """
    text = pl.col("event_hour") + ":00"
    middle = text.str.to_datetime("%Y-%m-%dT%H:%M", time_unit="us", time_zone="UTC")
    placed = with_attributes(hours.with_columns(at=middle + _MIDDLE), vehicles, "at", ["time_zone"])
    in_zones = [
        mine.with_columns(
            started_at=_midnight(zone), ended_at=_midnight(zone, days=1)
        )
        for (zone,), mine in placed.with_columns(
            pl.col("time_zone").fill_null("UTC")
        ).partition_by("time_zone", as_dict=True).items()
    ]  # fmt: skip
    nothing = placed.clear().with_columns(started_at="at", ended_at="at")
    return pl.concat([nothing, *in_zones]).drop("at", "time_zone")


def with_attributes(
    rows: pl.DataFrame, vehicles: pl.DataFrame, at: str, attributes: list[str]
) -> pl.DataFrame:
    """Rows with what is known of the vehicle at a time; its first version counts from ever.

    Args:
        rows: `vehicle_id` and the column `at`.
        vehicles: rows of VEHICLE_SCHEMA.
        at: column of the time.
        attributes: columns that are wanted.
    """
    first = pl.col("valid_from") == pl.col("valid_from").min().over("vehicle_id")
    ever = pl.datetime(1970, 1, 1, time_unit="us", time_zone="UTC")
    versions = vehicles.select("vehicle_id", "valid_from", *attributes).with_columns(
        valid_from=pl.when(first).then(ever).otherwise("valid_from")
    )
    return (
        rows.sort(at)
        .join_asof(
            versions.sort("valid_from"),
            left_on=at,
            right_on="valid_from",
            by="vehicle_id",
            check_sortedness=False,
        )
        .drop("valid_from")
    )


def _midnight(zone: object, days: int = 0) -> pl.Expr:
    """Beginning of the local day of `at`, or of one after it; where clocks skip it, an hour on."""
    name = str(zone)
    date = pl.col("at").dt.convert_time_zone(name).dt.date() + timedelta(days=days)
    local = date.cast(pl.Datetime("us"))
    start = local.dt.replace_time_zone(name, ambiguous="earliest", non_existent="null")
    skipped = (local + timedelta(hours=1)).dt.replace_time_zone(
        name, ambiguous="earliest", non_existent="null"
    )
    return pl.coalesce(start, skipped).dt.convert_time_zone("UTC")
