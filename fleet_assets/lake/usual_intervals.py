"""How often each vehicle usually sends, from the days before: how long a silence it may keep."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.lake.store import TableSnapshot
from partitions.hours import hour_key, hour_start

UNKNOWN_S: Final = 1.0
"""A vehicle that was not seen on a day before is taken to send so often (RULES, Gaps)."""
DAYS: Final = 7
"""The newest of so many days before on which the vehicle was seen."""
_LAST: Final = -1
_PER_SECOND: Final = 10


def intervals_by(
    states: TableSnapshot, event_hour: str, vehicle_ids: pl.Series, pins: Mapping[str, float]
) -> dict[str, float]:
    """What an hour is judged by: a pin stays, others are found, who has none gets UNKNOWN_S.

    Args:
        states: the table vehicle_hour_states.
        event_hour: the hour that it is for.
        vehicle_ids: whose is wanted.
        pins: what the hour was judged by before, by vehicle.
    """
    new = vehicle_ids.filter(~vehicle_ids.is_in(list(pins)))
    found = usual_intervals(states, event_hour, new) if new.len() else {}
    return {name: pins.get(name) or found.get(name, UNKNOWN_S) for name in vehicle_ids}


def usual_intervals(
    states: TableSnapshot, event_hour: str, vehicle_ids: pl.Series
) -> Mapping[str, float]:
    """Median time between messages (s) by vehicle; who has none is left out.

    Args:
        states: the table vehicle_hour_states.
        event_hour: the hour that it is for: only days (UTC) before its own count.
        vehicle_ids: whose is wanted.
    """
    midnight = hour_start(event_hour).replace(hour=0)
    found: dict[str, float] = {}
    missing = vehicle_ids
    for back in range(1, DAYS + 1):
        day = midnight - timedelta(days=back)
        files = states.files_of([hour_key(day + timedelta(hours=n)) for n in range(24)])
        if files.is_empty() or missing.is_empty():
            continue
        gaps = (
            states.scan(files)
            .filter(pl.col("vehicle_id").is_in(missing.implode()))
            .select("vehicle_id", "gaps")
            .explode("gaps", empty_as_null=False)
            .unnest("gaps")
            .filter(pl.col("gap") != _LAST)
            .group_by("vehicle_id", "gap")
            .agg(pl.col("samples").sum())
            .sort("vehicle_id", "gap")
            .collect(engine="streaming")
        )
        half = pl.col("samples").cum_sum() * 2 >= pl.col("samples").sum()
        medians = (
            gaps.filter(half.over("vehicle_id"))
            .group_by("vehicle_id")
            .agg(pl.col("gap").min() / _PER_SECOND)
        )
        found |= dict(medians.iter_rows())
        missing = missing.filter(~missing.is_in(medians["vehicle_id"].implode()))
    return found
