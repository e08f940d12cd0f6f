"""A lake of many rows to ask, made without messages: closed hours as upkeep leaves them."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet
from deltalake.transaction import AddAction

from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.lake.layout import ROW_GROUP, LayoutWriter, layout_for
from fleet_assets.lake.store import Lake

START = datetime(2026, 3, 2, tzinfo=UTC)
_STEADY = {  # name → grain, most change a second, lowest, highest; in units of the last digit
    "engine_rpm": (100, 4_000, 60_000, 350_000),
    "speed": (10, 150, 0, 8_000),
    "throttle_position": (10, 400, 0, 10_000),
    "coolant_temp": (10, 10, 7_000, 10_500),
    "fuel_level": (10, 2, 500, 9_900),
    "gps_lat": (1, 250, 41_000_000, 42_000_000),
    "gps_lon": (1, 250, -88_000_000, -87_000_000),
    "accel_x": (10, 300, -4_000, 4_000),
    "accel_y": (10, 300, -4_000, 4_000),
    "accel_z": (10, 100, 9_300, 10_300),
    "odometer": (1, 1, 1_000_000, 9_000_000),
    "engine_load": (10, 300, 500, 9_500),
    "battery_voltage": (100, 100, 11_800, 14_800),
    "heading": (10, 200, 0, 36_000),
}


def make(lake: Lake, peer: Path, vehicles: int, hours: int) -> int:
    """Writes `telemetry` with one row per vehicle and second, and returns how many rows.

    Args:
        lake: an empty lake.
        peer: folder that gets the same rows as plain Parquet files, in the order in which they
            would arrive.
        vehicles: how many vehicles.
        hours: how many hours, one after the other.
    """
    peer.mkdir(parents=True)
    table = lake.open("telemetry")
    root = Path(table.delta.table_uri.removeprefix("file://"))
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        written = [pool.submit(_write, root, peer, vehicles, number) for number in range(hours)]
        actions = [
            AddAction(path, size, {"event_hour": key}, int(time.time() * 1000), True, stats)
            for key, path, size, stats in (done.result() for done in written)
        ]
    table.delta.create_write_transaction(actions, "append", table.delta.schema(), ["event_hour"])
    return vehicles * hours * 3600


def _write(root: Path, peer: Path, vehicles: int, number: int) -> tuple[str, str, int, str]:
    """One hour: a file laid out as compaction does, and the peer's."""
    start = START + timedelta(hours=number)
    key = start.strftime("%Y-%m-%dT%H")
    rows = _hour(np.random.default_rng(number), vehicles, start)
    path = f"event_hour={key}/part-00000.zstd.parquet"
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    # the level of zstd costs time to write and none to read
    layout = replace(layout_for(rows, ("vehicle_id", "event_time"), whole=True), level=3)
    with file.open("wb") as sink:
        writer = LayoutWriter(sink, layout)
        for first in range(0, rows.num_rows, ROW_GROUP):
            writer.write(rows.slice(first, ROW_GROUP))
        writer.close()
    arrival = np.arange(vehicles * 3600).reshape(vehicles, 3600).T.ravel()
    as_arrived = rows.take(arrow.array(arrival)).append_column(
        "event_hour", arrow.array([key] * rows.num_rows)
    )
    pyarrow.parquet.write_table(as_arrived, peer / f"{key}.parquet")
    return key, path, file.stat().st_size, writer.delta_statistics


def vehicle(number: int) -> str:
    """Id of a vehicle."""
    return f"truck-{number:05}"


def _hour(random: np.random.Generator, vehicles: int, start: datetime) -> arrow.Table:
    count = vehicles * 3600
    schema = arrow.schema([field for field in TELEMETRY.arrow_schema if field.name != "event_hour"])
    first = int(start.timestamp()) * 1_000_000
    columns = {
        "vehicle_id": arrow.DictionaryArray.from_arrays(
            np.repeat(np.arange(vehicles, dtype=np.int32), 3600),
            [vehicle(number) for number in range(vehicles)],
        ).cast(arrow.string()),
        "event_time": arrow.array(
            np.tile(first + np.arange(3600, dtype=np.int64) * 1_000_000, vehicles),
            arrow.timestamp("us", "UTC"),
        ),
        "ignition": arrow.array(np.ones(count, dtype=bool)),
        "null_signals": arrow.ListArray.from_arrays(
            np.zeros(count + 1, np.int32), arrow.array([], arrow.string())
        ),
        "conflict": arrow.array(np.zeros(count, dtype=bool)),
    }
    for name, (grain, step, low, high) in _STEADY.items():
        walk = random.integers(low, high, (vehicles, 1), dtype=np.int32) + np.cumsum(
            random.integers(-step, step, (vehicles, 3600), dtype=np.int32, endpoint=True), axis=1
        )
        span = high - low  # reflected at the ends, so that it stays within
        folded = low + np.abs((walk - low) % (2 * span) - span)
        grained = folded // grain * grain
        columns[name] = _decimals(grained.ravel().astype(np.int64), schema.field(name).type)
    for field in schema:
        if field.name not in columns:
            columns[field.name] = arrow.nulls(count, field.type)
    return arrow.table(columns).select(schema.names).cast(schema)


def _decimals(unscaled: np.ndarray, kind: arrow.DataType) -> arrow.Array:
    words = np.stack([unscaled, unscaled >> 63], axis=1)
    return arrow.Array.from_buffers(kind, len(unscaled), [None, arrow.py_buffer(words)])
