"""Dagster's view of time: one partition per hour, or per day (UTC), of event time."""

from __future__ import annotations

from datetime import datetime

from dagster import DailyPartitionsDefinition, HourlyPartitionsDefinition

from partitions.days import day_of
from partitions.hours import KEY_FORMAT, hour_key

_CURRENT_AND_FUTURE_TOLERANCE = 2


def hourly_partitions(start: datetime) -> HourlyPartitionsDefinition:
    """Hours from the first accepted one to the one after now (events may be minutes ahead).

    Args:
        start: first accepted moment, a whole UTC hour.
    """
    return HourlyPartitionsDefinition(
        start_date=start.strftime(KEY_FORMAT),
        fmt=KEY_FORMAT,
        timezone="UTC",
        end_offset=_CURRENT_AND_FUTURE_TOLERANCE,
    )


def daily_partitions(start: datetime) -> DailyPartitionsDefinition:
    """Days from that of the first accepted moment to the one after today.

    Args:
        start: first accepted moment, a whole UTC hour.
    """
    return DailyPartitionsDefinition(
        start_date=day_of(hour_key(start)),
        timezone="UTC",
        end_offset=_CURRENT_AND_FUTURE_TOLERANCE,
    )
