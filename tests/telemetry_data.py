"""Messages, raw rows and small lakes for tests of the telemetry domain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from fleet_assets.contracts.tables import RAW_TELEMETRY
from fleet_assets.lake.landing import Landed, land
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.placement import TimePolicy, place
from fleet_assets.telemetry.source import Source

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, 5, 30, tzinfo=UTC)
HOUR = "2026-02-01T05"
POLICY = TimePolicy(START, timedelta(minutes=5))
LATE_AFTER = timedelta(minutes=5)
SOURCE = Source("cluster", "topic")
TIME = "2026-02-01T05:00:00Z"


def message(vehicle_id: str = "v1", timestamp: Any = TIME, **values: Any) -> bytes:
    return json.dumps({"vehicle_id": vehicle_id, "timestamp": timestamp, **values}).encode()


def arrived(
    values: Sequence[bytes | None],
    *,
    append_time: datetime = NOW,
    keys: Sequence[bytes | None] | None = None,
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "append_time": [append_time] * len(values),
            "key": pl.Series(keys or [None] * len(values), dtype=pl.Binary),
            "value": pl.Series(values, dtype=pl.Binary),
        },
        schema_overrides={"append_time": pl.Datetime("us", "UTC")},
    )


def placed(
    values: Sequence[bytes | None],
    *,
    start: int = 0,
    partition: int = 0,
    append_time: datetime = NOW,
) -> pl.DataFrame:
    """Placed messages of one range of one partition, ready to land."""
    end = start + len(values)
    return place(arrived(values, append_time=append_time), POLICY).with_columns(
        kafka_topic_id=pl.lit(SOURCE.topic_id),
        kafka_partition=pl.lit(partition, dtype=pl.Int32),
        kafka_offset=pl.int_range(start, end, dtype=pl.Int64, eager=True),
        offset_start=pl.lit(start, dtype=pl.Int64),
        offset_end=pl.lit(end, dtype=pl.Int64),
    )


def raw(messages: pl.DataFrame, version: int = 1) -> pl.DataFrame:
    """Placed messages as rows of raw_telemetry."""
    rows = messages.with_columns(landing_version=pl.lit(version, dtype=pl.Int64))
    return rows.select(RAW_TELEMETRY.names).cast(RAW_TELEMETRY.polars_schema)


def land_values(
    lake: Lake,
    values: Sequence[bytes | None],
    start: int = 0,
    partition: int = 0,
    append_time: datetime = NOW,
) -> Landed:
    rows = placed(values, start=start, partition=partition, append_time=append_time)
    return land(lake, SOURCE, {partition: (start, start + len(values))}, rows)


def commit_nothing(lake: Lake, name: str, progress: Mapping[str, int] | None = None) -> None:
    """A commit of somebody else's, which changes no row."""
    table = lake.open(name)
    table.commit_actions([], table.files.clear(), progress or {})


def sorted_rows(frame: pl.DataFrame, drop: Iterable[str] = ()) -> list[tuple[Any, ...]]:
    return sorted(frame.drop(*drop).iter_rows(), key=repr)
