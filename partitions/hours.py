"""Hour of event time ↔ partition key ↔ window.

A key is text such as ``2026-01-01T05`` (UTC). Text, because timestamp partition values of a Delta
table are written without a zone and other readers take them for local time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

HOUR: Final = timedelta(hours=1)
KEY_FORMAT: Final = "%Y-%m-%dT%H"


def hour_key(moment: datetime) -> str:
    """Key of the hour that a moment (with a time zone) lies in."""
    return moment.astimezone(UTC).strftime(KEY_FORMAT)


def hour_start(key: str) -> datetime:
    """First moment of the hour, UTC.

    Raises:
        ValueError: the text is not an hour key.
    """
    start = datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC)
    if start.strftime(KEY_FORMAT) != key:
        raise ValueError(f"{key!r} is not an hour key such as 2026-01-01T05")
    return start


def is_hour(key: str) -> bool:
    """Whether a text is the key of an hour; that of a day is not."""
    try:
        hour_start(key)
    except ValueError:
        return False
    return True


def hour_window(key: str) -> tuple[datetime, datetime]:
    """The hour as a half-open interval [start, end), UTC."""
    start = hour_start(key)
    return start, start + HOUR


def hours_between(first: str, last: str) -> Iterator[str]:
    """Keys of all hours from the first to the last, both included."""
    moment, end = hour_start(first), hour_start(last)
    while moment <= end:
        yield hour_key(moment)
        moment += HOUR


def contiguous_ranges(keys: Iterable[str], longest: int) -> list[tuple[str, str]]:
    """Groups keys into runs of neighbouring hours, each at most `longest` hours.

    Args:
        keys: hour keys in any order.
        longest: most hours in one range.

    Returns:
        (first, last) of each range, in order of time.
    """
    ranges: list[list[str]] = []
    for key in sorted(set(keys)):
        current = ranges[-1] if ranges else None
        follows = current is not None and hour_start(key) - hour_start(current[-1]) == HOUR
        if current is not None and follows and len(current) < longest:
            current.append(key)
        else:
            ranges.append([key])
    return [(group[0], group[-1]) for group in ranges]


def windows(keys: Iterable[str]) -> list[tuple[datetime, datetime]]:
    """Half-open windows that cover exactly the given hours, neighbours joined."""
    ranges = contiguous_ranges(keys, longest=10**9)
    return [(hour_start(first), hour_start(last) + HOUR) for first, last in ranges]
