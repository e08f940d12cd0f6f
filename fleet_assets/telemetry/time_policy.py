"""Which event times are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class TimePolicy:
    """Which event times are accepted, against the time of arrival.

    Attributes:
        partitions_start: first accepted moment, a whole UTC hour.
        future_tolerance: how far an event may lie ahead of its arrival.
        max_lateness: how far it may lie behind; None: any.
    """

    partitions_start: datetime
    future_tolerance: timedelta
    max_lateness: timedelta | None = None


ANY_TIME = TimePolicy(datetime(1, 1, 1, tzinfo=UTC), timedelta(days=10_000 * 366))
"""Accepts every moment that can be written."""
