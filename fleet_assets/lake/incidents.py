"""Known incidents: what rules have found to be wrong with vehicles, unless people say otherwise."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from hashlib import sha256
from typing import Final

import polars as pl

from fleet_assets.anomalies.incidents import IS_INCIDENT
from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, rows_id
from fleet_assets.lake.rule_anomalies import RULE_ANOMALIES
from fleet_assets.lake.store import Lake
from partitions.days import day_of, day_start, days_before, end_of, hours_of_day

SAID_SCHEMA: Final = pl.Schema(
    {
        "feedback_id": pl.Int64(), "vehicle_id": pl.String(), "condition": pl.String(),
        "started_at": UTC_MICROSECONDS, "ended_at": UTC_MICROSECONDS, "is_true": pl.Boolean(),
    }
)  # fmt: skip
"""What people have said of anomalies, as they were then; later words have higher numbers."""
_SPAN: Final = ["vehicle_id", "started_at", "ended_at"]
_REACH: Final = timedelta(minutes=5)
"""Windows look back no further; an incident shortly before a day still touches its first ones."""
_DAYS: Final = 8
"""An anomaly lasts for seven days at most, and is kept under the hour of its onset."""


class IncidentNumbers:
    """By day a number that changes whenever its incidents may have changed.

    Args:
        lake: the lake.
        said: rows of SAID_SCHEMA.
    """

    def __init__(self, lake: Lake, said: pl.DataFrame) -> None:
        found = lake.find(RULE_ANOMALIES)
        numbers = {} if found is None else by_hour(all_marks(found.delta), rows_id)
        self._of_onset: Counter[str] = Counter(said["started_at"].dt.strftime("%Y-%m-%d").to_list())
        for hour, number in numbers.items():
            self._of_onset[day_of(hour)] += number

    def of(self, event_day: str) -> int:
        """The number of one day."""
        return sum(self._of_onset[day] for day in _onsets(event_day))


def incidents_of(lake: Lake, event_day: str, said: pl.DataFrame) -> pl.DataFrame:
    """Spans (`vehicle_id`, `started_at`, `ended_at`) of the incidents that windows of a day see.

    A live rule's finding counts that is an incident (`anomalies.incidents`), unless what was said
    last of one that it overlaps (of the same vehicle and condition) is that it was false. Spans are
    cut at the day, so that one that goes on does not change the days before.

    Args:
        lake: the lake.
        event_day: key of the day.
        said: rows of SAID_SCHEMA.
    """
    table = lake.find(RULE_ANOMALIES)
    if table is None:
        return pl.DataFrame(schema={name: SAID_SCHEMA[name] for name in _SPAN})
    first, end = day_start(event_day) - _REACH, end_of(event_day)
    hours = [hour for day in _onsets(event_day) for hour in hours_of_day(day)]
    counts = (
        IS_INCIDENT
        & (pl.col("stage") == "live")
        & (pl.col("started_at") < end)
        & (pl.col("ended_at") >= first)
    )
    found = table.read_files(
        table.files_of(hours), ["anomaly_id", "condition", *_SPAN], where=counts
    )
    words = said.rename({name: f"said_{name}" for name in ("started_at", "ended_at")})
    last = (
        found.join(words, on=["vehicle_id", "condition"])
        .filter(
            pl.col("said_started_at") <= pl.col("ended_at"),
            pl.col("said_ended_at") >= pl.col("started_at"),
        )
        .sort("feedback_id")
        .group_by("anomaly_id")
        .agg(pl.col("is_true").last())
    )
    false = last.filter(~pl.col("is_true"))
    return (
        found.join(false, on="anomaly_id", how="anti")
        .select("vehicle_id", pl.col("started_at", "ended_at").clip(first, end))
        .unique()
        .sort(_SPAN)
    )


def fingerprint(incidents: pl.DataFrame) -> int:
    """A number of 48 bits that changes with the incidents of a day."""
    return int.from_bytes(sha256(incidents.write_csv().encode()).digest()[:6])


def _onsets(event_day: str) -> list[str]:
    return [*days_before(event_day, _DAYS), event_day]
