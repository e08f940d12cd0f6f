"""An hour that holds tens of millions of rows already, in all tables and with accounts that add up.

The rows are made here, not decoded: to get them through Kafka would take longer than the
benchmark that needs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from fleet_assets.contracts.tables import LANDINGS, RAW_TELEMETRY, TELEMETRY, TELEMETRY_OUTCOMES
from fleet_assets.contracts.tables import VEHICLE_OUTCOMES as VEHICLES
from fleet_assets.lake.files import write_file
from fleet_assets.lake.marks import app_id, base_id, rows_id
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.source import Source
from partitions.hours import hour_start

SOURCE = Source("bench", "prefill")
CHUNK_SECONDS = 60


def prefill(
    lake: Lake, event_hour: str, vehicle_ids: list[str], rows: int, until: datetime
) -> None:
    """Fills an hour as if so many messages had been taken in.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        vehicle_ids: vehicles; each has the same number of rows, evenly over the time.
        rows: how many, rounded to whole vehicles.
        until: end of the time, within the hour.
    """
    each = rows // len(vehicle_ids)
    step = (until - hour_start(event_hour)) / each
    raw, telemetry = lake.open("raw_telemetry"), lake.open("telemetry")
    version = raw.version + 1
    total = each * len(vehicle_ids)
    raw_files, telemetry_files, offset = [], [], 0
    for times in _chunks(event_hour, each, step, max(1, 600_000 // len(vehicle_ids))):
        keys = _keys(vehicle_ids, times)
        offset += keys.height
        for table, files, frame in (
            (raw, raw_files, _raw(keys, event_hour, version, offset - keys.height, total)),
            (telemetry, telemetry_files, _telemetry(keys, event_hour, seed=offset)),
        ):
            files.append(write_file(table.delta, table.contract, event_hour, frame))
    raw.commit_actions(raw_files, raw.files.clear(), {SOURCE.app_id(0): total})
    _record_landing(lake, version, total)
    marks = {app_id(event_hour): version, rows_id(event_hour): telemetry.version + 1}
    counts = {"read": total, "accepted": total, "landing_version": version, "offset_end": total}
    by_range = pl.DataFrame([counts | {"kafka_topic_id": SOURCE.topic_id}])
    by_vehicle = pl.DataFrame({"vehicle_id": vehicle_ids}).with_columns(
        read=pl.lit(each), accepted=pl.lit(each),
        newest_append_time=pl.lit(hour_start(event_hour) + timedelta(hours=1)),
    )  # fmt: skip
    telemetry.commit_actions(
        telemetry_files, telemetry.files.clear(), marks | {base_id(event_hour): telemetry.version}
    )
    for name, frame in (
        ("telemetry_rejects", None),
        ("telemetry_outcomes", _zeros(by_range, TELEMETRY_OUTCOMES.polars_schema, event_hour)),
        ("vehicle_outcomes", _zeros(by_vehicle, VEHICLES.polars_schema, event_hour)),
    ):
        table = lake.open(name)
        written = (
            [] if frame is None else [write_file(table.delta, table.contract, event_hour, frame)]
        )
        table.commit_actions(
            written, table.files.clear(), marks | {base_id(event_hour): table.version}
        )


def _chunks(event_hour: str, each: int, step: timedelta, size: int) -> Iterator[list[datetime]]:
    start = hour_start(event_hour)
    for first in range(0, each, size):
        yield [start + step * n for n in range(first, min(first + size, each))]


def _keys(vehicle_ids: list[str], times: list[datetime]) -> pl.DataFrame:
    moments = pl.DataFrame({"event_time": times}, schema={"event_time": pl.Datetime("us", "UTC")})
    return moments.join(pl.DataFrame({"vehicle_id": vehicle_ids}), how="cross")


def _raw(keys: pl.DataFrame, hour: str, version: int, first: int, total: int) -> pl.DataFrame:
    rows = keys.with_columns(
        event_hour=pl.lit(hour), landing_version=pl.lit(version), offset_start=pl.lit(0),
        kafka_topic_id=pl.lit(SOURCE.topic_id), kafka_partition=pl.lit(0),
        kafka_offset=pl.int_range(first, first + keys.height), offset_end=pl.lit(total),
        append_time=pl.col("event_time"), value=pl.lit(b"{}"),
    )  # fmt: skip
    return _filled(rows, RAW_TELEMETRY.polars_schema)


def _telemetry(keys: pl.DataFrame, hour: str, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)

    def drawn(low: float, high: float, digits: int) -> pl.Series:
        return pl.Series(np.round(random.uniform(low, high, keys.height), digits))

    rows = keys.with_columns(
        event_hour=pl.lit(hour), conflict=pl.lit(False), ignition=pl.lit(True),
        engine_rpm=drawn(600, 3000, 2), speed=drawn(0, 80, 2), throttle_position=drawn(0, 100, 2),
        coolant_temp=drawn(80, 95, 0), fuel_level=drawn(40, 60, 1), gps_lat=drawn(41, 42, 6),
        gps_lon=drawn(-96, -95, 6), accel_x=drawn(-1, 1, 3), accel_y=drawn(-1, 1, 3),
        accel_z=drawn(9, 10, 3), odometer=drawn(1000, 2000, 1), engine_load=drawn(10, 80, 2),
        battery_voltage=drawn(13, 14, 2), intake_air_temp=drawn(10, 20, 0),
        ambient_temp=drawn(5, 10, 0), heading=drawn(0, 359, 1),
        null_signals=pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, keys.height),
    )  # fmt: skip
    return _filled(rows, TELEMETRY.polars_schema)


def _zeros(rows: pl.DataFrame, schema: pl.Schema, event_hour: str) -> pl.DataFrame:
    """Counts that are not given are 0."""
    rows = rows.with_columns(event_hour=pl.lit(event_hour), rejected_by_reason=pl.lit("{}"))
    missing = [n for n, kind in schema.items() if n not in rows.columns and kind.is_integer()]
    return _filled(rows.with_columns(pl.lit(0).alias(name) for name in missing), schema)


def _filled(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    missing = [pl.lit(None).alias(name) for name in schema if name not in rows.columns]
    return rows.with_columns(missing).select(list(schema)).cast(schema)


def _record_landing(lake: Lake, version: int, total: int) -> None:
    landings = lake.open("landings")
    row = {
        "kafka_topic_id": SOURCE.topic_id, "cluster_id": SOURCE.cluster_id, "kafka_partition": 0,
        "offset_start": 0, "offset_end": total, "messages": total, "holes": 0, "lost": 0,
        "landing_version": version,
    }  # fmt: skip
    frame = _filled(pl.DataFrame([row]), LANDINGS.polars_schema)
    file = write_file(landings.delta, LANDINGS, None, frame)
    landings.commit_actions([file], landings.files.clear(), {SOURCE.app_id(0): total})
