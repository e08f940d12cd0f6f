"""Moves recorded trips close together and to another time, keeping the timing within each.

A trip ends where a vehicle is silent for longer than TRIP_GAP. Trips of one vehicle that lie on
the same times are one stretch, so they stay on the same times.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np

from fleet_assets.fleet_sim.draws import Ints

TRIP_GAP: Final = timedelta(minutes=30)
PAUSE: Final = timedelta(minutes=5)
"""Silence between two trips of a vehicle after the move."""
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)([Tt ])(\d\d:\d\d:\d\d)(?:([.,])(\d+))?([Zz]|[+-]\d\d(?::?\d\d)?)",
    re.ASCII,
)

_USUAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
"""Written so nearly everywhere, and much quicker to read by the minute."""


@lru_cache(maxsize=4096)
def _minute_ms(text: str) -> int | None:
    """Epoch milliseconds of ``2026-01-01T00:00:``; None where there is no such minute."""
    try:
        return (datetime.fromisoformat(text + "00+00:00") - _EPOCH) // _MS
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _minute_text(minute: int) -> str:
    """``2026-01-01T00:00:`` of minutes since the epoch."""
    return (_EPOCH + timedelta(minutes=minute)).isoformat()[:17]


def shifts(vehicle: Ints, time_ms: Ints, coarse: np.ndarray, end_ms: int) -> Ints:
    """Milliseconds by which each message moves, so that every vehicle's last trip ends at a time.

    Args:
        vehicle: number of the vehicle of each message.
        time_ms: event time of each message, epoch milliseconds.
        coarse: for each message, whether its text has no room for milliseconds; the shifts of
            such a vehicle are whole seconds.
        end_ms: where the last trips end, epoch milliseconds.
    """
    if vehicle.size == 0:
        return np.empty(0, np.int64)
    order = np.lexsort((time_ms, vehicle))
    v, t = vehicle[order], time_ms[order]
    new_vehicle = np.append(True, v[1:] != v[:-1])
    gap = np.append(0, np.diff(t))
    opens = new_vehicle | (gap > TRIP_GAP // _MS)
    trip = np.cumsum(opens) - 1
    first = np.flatnonzero(opens)
    last = np.append(first[1:], t.size) - 1
    trip_vehicle, begin, end = v[first], t[first], t[last]

    # Counted back from the end: what each vehicle still has to drive after a trip began.
    length = end - begin + PAUSE // _MS
    until_end = np.cumsum(length[::-1])[::-1]
    vehicle_end = np.append(trip_vehicle[1:] != trip_vehicle[:-1], True)
    after_vehicle = np.append(until_end[1:], 0)[vehicle_end]  # what belongs to later vehicles
    number = np.cumsum(np.append(False, vehicle_end[:-1]))
    remaining = until_end - after_vehicle[number] - PAUSE // _MS
    shift = end_ms - remaining - begin
    whole_seconds = np.bincount(v, weights=coarse[order], minlength=int(v.max()) + 1) > 0
    shift = np.where(whole_seconds[trip_vehicle], shift // 1000 * 1000, shift)
    result = np.empty_like(shift, shape=t.size)
    result[order] = shift[trip]
    return np.asarray(result)


def parse_timestamp(value: str | int | float) -> tuple[int, bool] | None:
    """Epoch milliseconds (floor) of a timestamp, and whether its text lacks milliseconds.

    None where it names no moment: no zone, no date, or a type that is no timestamp.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value, False
    if not isinstance(value, str):
        return None
    if _USUAL.fullmatch(value) and value[17:19] < "60":
        minute = _minute_ms(value[:17])
        if minute is not None:
            return minute + int(value[17:19]) * 1000 + int(value[20:23]), False
    parts = _ISO.fullmatch(value)
    if parts is None:
        return None
    date, _, clock, _, fraction, zone = parts.groups()
    fraction = fraction or ""
    try:
        time = datetime.fromisoformat(f"{date}T{clock}{zone.upper()}")
    except ValueError:
        return None
    milliseconds = int(fraction[:3].ljust(3, "0"))
    return (time - _EPOCH) // _MS + milliseconds, len(fraction) < 3


def move_timestamp(value: str | int, shift_ms: int) -> str:
    """JSON text of a timestamp moved by whole milliseconds, written as it was.

    >>> move_timestamp("2019-05-01T00:00:02.5000+02:00", 1000)
    '"2019-05-01T00:00:03.5000+02:00"'
    """
    if isinstance(value, int):
        return str(value + shift_ms)
    if _USUAL.fullmatch(value) and (start := _minute_ms(value[:17])) is not None:
        rest = start + int(value[17:19]) * 1000 + int(value[20:23]) + shift_ms
        minute, rest = divmod(rest, 60_000)
        return f'"{_minute_text(minute)}{rest // 1000:02d}.{rest % 1000:03d}Z"'
    parts = _ISO.fullmatch(value)
    if parts is None:
        raise ValueError(f"{value!r} is no timestamp that parse_timestamp understands")
    date, letter, clock, point, fraction, zone = parts.groups()
    carry = int((fraction or "")[:3].ljust(3, "0")) + shift_ms
    moved = datetime.fromisoformat(f"{date}T{clock}") + timedelta(seconds=carry // 1000)
    text = moved.isoformat()
    if letter != "T":
        text = text.replace("T", letter)
    if fraction:
        text += point + f"{carry % 1000:03d}"[: len(fraction)] + fraction[3:]
    return f'"{text}{zone}"'
