"""Bounds of alarms by messages: a window only says that a fault began within its step.

A fault usually begins and ends with a leap of the sensor that it is about: a jump, or the first
message without a value. Where there is no such leap (drift), the bounds stay with the first and the
last message of the alarm's steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import polars as pl

from fleet_assets.features.kernel import STEP, in_order
from fleet_assets.injection.signals import signals_of

LEAP: Final = 4.0
"""A change so many times as large as usual around it is a leap."""
LOST: Final = 1e6
"""Size of the leap between a value and none."""
_AROUND: Final = timedelta(seconds=20)


def refined(
    alarms: pl.DataFrame, telemetry: pl.DataFrame, *, step: timedelta = STEP
) -> pl.DataFrame:
    """Alarms with `started_at` and `ended_at` at messages.

    Args:
        alarms: rows of ALARM_SCHEMA with `fault` (kind/subject).
        telemetry: rows of the vehicles and times of the alarms, and _AROUND on both sides.
        step: length of steps.

    Returns:
        The same alarms. Both bounds are times of messages of the vehicle, never the wrong way
        round, and never more than two steps outside of what the windows say.
    """
    if alarms.is_empty():
        return alarms
    rows = in_order(telemetry)
    found = [_refined(alarm, rows, step) for alarm in alarms.iter_rows(named=True)]
    return alarms.with_columns(
        pl.Series("started_at", [start for start, _ in found], alarms.schema["started_at"]),
        pl.Series("ended_at", [end for _, end in found], alarms.schema["ended_at"]),
    )


def _refined(alarm: dict[str, Any], rows: pl.DataFrame, step: timedelta) -> tuple[Any, Any]:
    start, end = alarm["started_at"], alarm["ended_at"]
    near = rows.filter(
        pl.col("vehicle_id") == alarm["vehicle_id"],
        pl.col("event_time").is_between(start - _AROUND, end + _AROUND),
    )
    times = near["event_time"]
    inside = times.filter((times >= start) & (times < end))
    first, last = (inside[0], inside[-1]) if len(inside) else (start, end)
    names = [name for name in signals_of(str(alarm["fault"]).split("/")[1]) if name in near.columns]
    leaps = _leaps(near, names)
    begins = leaps.filter(pl.col("event_time").is_between(start - 2 * step, start + step))
    stops = leaps.filter(pl.col("event_time").is_between(end - step, end + 2 * step))
    known_again = leaps.filter(pl.col("size") >= LOST, pl.col("event_time") > first)
    if known_again.height:  # whatever speaks for the alarm after that looks back on it
        stops = known_again.tail(1)
    if begins.height:
        first = begins.sort("size", descending=True)["event_time"][0]
    if stops.height:
        last = stops.sort("size", descending=True)["before"][0]
    return (first, last) if first <= last else (first, max(first, end))


def _leaps(near: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Messages at which any of the signals leaps, how much, and the message before each."""
    if not names:
        return pl.DataFrame(schema={"event_time": near.schema["event_time"], "before":
                                    near.schema["event_time"], "size": pl.Float64()})  # fmt: skip
    size = pl.max_horizontal(_size(name) for name in names)
    told = near.select("event_time", before=pl.col("event_time").shift(1), size=size)
    return told.filter(pl.col("size") >= LEAP)


def _size(name: str) -> pl.Expr:
    """Change against its usual size; becoming null or known again is a leap beyond all."""
    value = pl.col(name).cast(pl.Float64)
    change = value.diff().abs()
    usual = pl.max_horizontal(change.mean(), pl.lit(1e-9))
    is_lost = value.is_null() != value.is_null().shift(1)
    return pl.when(is_lost.fill_null(value=False)).then(pl.lit(LOST)).otherwise(change / usual)
