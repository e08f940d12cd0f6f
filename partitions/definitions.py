"""Dagster's view of the hours: one partition per hour of event time."""

from __future__ import annotations

from datetime import datetime

from dagster import HourlyPartitionsDefinition

from partitions.hours import KEY_FORMAT

_CURRENT_HOUR_AND_FUTURE_TOLERANCE = 2


def hourly_partitions(start: datetime) -> HourlyPartitionsDefinition:
    """Hours from the first accepted one to the one after now (events may be minutes ahead).

    Args:
        start: first accepted moment, a whole UTC hour.
    """
    return HourlyPartitionsDefinition(
        start_date=start.strftime(KEY_FORMAT),
        fmt=KEY_FORMAT,
        timezone="UTC",
        end_offset=_CURRENT_HOUR_AND_FUTURE_TOLERANCE,
    )
