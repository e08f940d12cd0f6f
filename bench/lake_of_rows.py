"""A lake of many rows to ask, made without messages: closed hours as upkeep leaves them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet
from deltalake.transaction import AddAction

from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.lake.store import Lake

ROW_GROUP = 131_072
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


def make(lake: Lake, vehicles: int, hours: int) -> int:
    """Writes `telemetry` with one row per vehicle and second, and returns how many rows."""
    table = lake.open("telemetry")
    random = np.random.default_rng(4)
    for number in range(hours):
        start = START + timedelta(hours=number)
        key = start.strftime("%Y-%m-%dT%H")
        path = f"event_hour={key}/part-{number:05}.zstd.parquet"
        file = Path(table.delta.table_uri.removeprefix("file://")) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = _hour(random, vehicles, start)
        _write(rows, file)
        stats = {
            "numRecords": rows.num_rows,
            "minValues": {"vehicle_id": vehicle(0), "event_time": f"{start:%Y-%m-%dT%H:%M:%S}Z"},
            "maxValues": {
                "vehicle_id": vehicle(vehicles - 1),
                "event_time": f"{start:%Y-%m-%dT%H}:59:59Z",
            },
            "nullCount": {"vehicle_id": 0, "event_time": 0},
        }
        action = AddAction(
            path, file.stat().st_size, {"event_hour": key}, int(time.time() * 1000), True,
            json.dumps(stats),
        )  # fmt: skip
        table.delta.create_write_transaction(
            [action], "append", table.delta.schema(), ["event_hour"]
        )
        table = lake.open("telemetry")
    return vehicles * hours * 3600


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


def _write(rows: arrow.Table, file: Path) -> None:
    packed = [n for n in ("event_time", "gps_lat", "gps_lon", "odometer") if n in rows.schema.names]
    leaf = ["null_signals.list.element", "dtc.list.element"]
    pyarrow.parquet.write_table(
        rows, file, compression="zstd", compression_level=3, row_group_size=ROW_GROUP,
        use_dictionary=[n for n in rows.schema.names if n not in packed] + leaf,
        column_encoding=dict.fromkeys(packed, "DELTA_BINARY_PACKED"),
        write_statistics=["vehicle_id", "event_time"], store_decimal_as_integer=True,
        store_schema=False, write_page_index=True,
    )  # fmt: skip
