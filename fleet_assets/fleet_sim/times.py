"""Times and durations as people write them, and rates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from fleet_assets.errors import FleetError

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
Rate = float | Literal["1x", "max"]
"""Messages a second, in step with the clock, or flat out."""


def parse_duration(text: str) -> timedelta:
    """A duration such as ``90s``, ``10m``, ``2h``, ``1d`` or ``1h30m``.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)", text)
    if not parts or "".join(n + u for n, u in parts) != text.replace(" ", ""):
        raise FleetError(f"{text!r} is no duration: write for example 90s, 10m, 2h or 1d.")
    return sum((float(n) * _UNITS[u] for n, u in parts), timedelta(0))


def parse_range(text: str) -> tuple[timedelta, timedelta]:
    """Two durations such as ``10s..2h``; one alone is the upper end, from a tenth of it."""
    low, dots, high = text.partition("..")
    if not dots:
        end = parse_duration(low)
        return end / 10, end
    start, end = parse_duration(low), parse_duration(high)
    if not timedelta(0) < start <= end:
        raise FleetError(f"{text!r} is no range of durations: write for example 10s..2h.")
    return start, end


def parse_rate(text: str) -> Rate:
    """``1x``, ``max`` or messages a second."""
    if text in ("1x", "max"):
        return "1x" if text == "1x" else "max"
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise FleetError(f"{text!r} is no rate: write 1x, max or messages a second, e.g. 5000.")
    return rate


def parse_time(text: str) -> int:
    """Epoch milliseconds of ``now`` or an ISO 8601 time; without a zone it is UTC."""
    if text == "now":
        return now_ms()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise FleetError(
            f"{text!r} is no time: write now or for example 2026-01-01T00:00:00Z."
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return round(time.timestamp() * 1000)


def now_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return int(datetime.now(UTC).timestamp() * 1000)


def iso(time_ms: float) -> str:
    """``2026-01-01T00:00:00.000Z`` of epoch milliseconds.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(time_ms))
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
