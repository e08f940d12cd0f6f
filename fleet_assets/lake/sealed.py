"""Hours that take nothing in any more, because their telemetry has gone to the archive.

An hour is sealed in `raw_telemetry` before its telemetry goes: what arrives for it afterwards is
refused and lies under the hour of its arrival, instead of meeting rows that are not there. The hour
after it is sealed, too: it looks back into the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, expired_id
from fleet_assets.lake.store import Lake, TableSnapshot
from partitions.hours import HOUR, hour_key, hour_start

REFUSED: Final = "too_late"
_DETAIL: Final = "the telemetry of this hour, or of the hour before it, has gone to the archive"


def sealed_id(event_hour: str) -> str:
    """In `raw_telemetry`: the hour takes nothing in any more."""
    return f"sealed/{event_hour}"


def hour_after(event_hour: str) -> str:
    """Key of the next hour."""
    return hour_key(hour_start(event_hour) + HOUR)


def seal(raw: TableSnapshot, event_hour: str) -> bool:
    """Seals an hour and the one after it; whether they were not sealed yet.

    Raises:
        CommitConflictError: another commit stands in the way.
    """
    missing = [
        hour
        for hour in (event_hour, hour_after(event_hour))
        if raw.committed(sealed_id(hour)) is None
    ]
    if missing:
        progress = {sealed_id(hour): raw.version + 1 for hour in missing}
        raw.commit_actions([], raw.files.clear(), progress)
    return bool(missing)


def is_frozen(telemetry: TableSnapshot, event_hour: str) -> bool:
    """Whether the hour cannot be made anew: its telemetry, or that before it, has gone."""
    before = hour_key(hour_start(event_hour) - HOUR)
    return any(telemetry.committed(expired_id(hour)) is not None for hour in (event_hour, before))


def frozen_hours(marks: Mapping[str, int]) -> set[str]:
    """All such hours.

    Args:
        marks: all marks of `telemetry`.
    """
    gone = by_hour(marks, expired_id)
    return {*gone, *(hour_after(hour) for hour in gone)}


def frozen_in(lake: Lake) -> set[str]:
    """All such hours of a lake."""
    telemetry = lake.find("telemetry")
    return set() if telemetry is None else frozen_hours(all_marks(telemetry.delta))


def refuse_sealed(messages: pl.DataFrame, raw: TableSnapshot) -> pl.DataFrame:
    """Placed messages, those of sealed hours refused.

    Args:
        messages: placed messages with `append_time`.
        raw: the version that they are to be committed to.
    """
    hours = messages["event_hour"].unique().to_list()
    sealed = [hour for hour in hours if raw.committed(sealed_id(hour)) is not None]
    if not sealed:
        return messages
    is_late = pl.col("event_hour").is_in(sealed)
    arrivals = messages.filter(is_late)["append_time"].dt.strftime("%Y-%m-%dT%H").unique()
    open_hour = {hour: _open_from(hour, raw) for hour in arrivals}
    arrival = pl.col("append_time").dt.strftime("%Y-%m-%dT%H").replace_strict(
        open_hour, default=None, return_dtype=pl.String
    )  # fmt: skip
    fresh = is_late & pl.col("reject_reason").is_null()
    return messages.with_columns(
        event_hour=pl.when(is_late).then(arrival).otherwise("event_hour"),
        reject_reason=pl.when(fresh).then(pl.lit(REFUSED)).otherwise("reject_reason"),
        reject_detail=pl.when(fresh).then(pl.lit(_DETAIL)).otherwise("reject_detail"),
    )


def _open_from(event_hour: str, raw: TableSnapshot) -> str:
    """The hour, or the first one after it that is not sealed."""
    while raw.committed(sealed_id(event_hour)) is not None:
        event_hour = hour_after(event_hour)
    return event_hour
