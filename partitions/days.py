"""Day (UTC) of event time ↔ partition key ↔ its hours.

A key is text such as ``2026-01-01``: the key of any of its hours begins with it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from partitions.hours import HOUR, hour_key, hour_start

DAY: Final = timedelta(days=1)
_KEY_LENGTH: Final = len("2026-01-01")


def day_of(event_hour: str) -> str:
    """Key of the day that an hour lies in."""
    return event_hour[:_KEY_LENGTH]


def day_start(key: str) -> datetime:
    """First moment of the day, UTC.

    Raises:
        ValueError: the text is not a day key.
    """
    if len(key) != _KEY_LENGTH:
        raise ValueError(f"{key!r} is not a day key such as 2026-01-01")
    return datetime.combine(date.fromisoformat(key), datetime.min.time(), UTC)


def hours_of_day(key: str) -> list[str]:
    """Keys of the hours of a day, in order."""
    start = day_start(key)
    return [hour_key(start + n * HOUR) for n in range(DAY // HOUR)]


def days_before(key: str, days: int) -> list[str]:
    """Keys of so many days before a day, in order."""
    start = day_start(key)
    return [day_of(hour_key(start - n * DAY)) for n in range(days, 0, -1)]


def end_of(key: str) -> datetime:
    """First moment after an hour or a day, by its key.

    Raises:
        ValueError: the text is neither.
    """
    return day_start(key) + DAY if len(key) == _KEY_LENGTH else hour_start(key) + HOUR
