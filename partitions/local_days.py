"""Hours of UTC ↔ days of the world's time zones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from partitions.hours import HOUR, hour_key, hour_start, hours_between

BEHIND: Final = timedelta(hours=12)
AHEAD: Final = timedelta(hours=14)
"""How far the clocks of the world are from UTC, at most."""
_DAY: Final = timedelta(days=1)


def local_days_of(hours: Iterable[str]) -> list[date]:
    """Days that these hours may belong to, whatever the time zone, in order.

    >>> local_days_of(["2026-03-02T10"])
    [datetime.date(2026, 3, 1), datetime.date(2026, 3, 2), datetime.date(2026, 3, 3)]
    """
    found: set[date] = set()
    for hour in hours:
        start = hour_start(hour)
        last = (start + HOUR + AHEAD - timedelta(seconds=1)).date()
        day = (start - BEHIND).date()
        while day <= last:
            found.add(day)
            day += _DAY
    return sorted(found)


def hours_of_local_days(days: Iterable[date]) -> list[str]:
    """Hours that may belong to these days, whatever the time zone, in order.

    >>> hours = hours_of_local_days([date(2026, 3, 2)])
    >>> hours[0], hours[-1], len(hours)
    ('2026-03-01T10', '2026-03-03T11', 50)
    """
    found: set[str] = set()
    for day in days:
        midnight = datetime.combine(day, time(), UTC)
        first, last = midnight - AHEAD, midnight + _DAY + BEHIND - HOUR
        found.update(hours_between(hour_key(first), hour_key(last)))
    return sorted(found)
