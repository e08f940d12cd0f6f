"""Parquet files of the lake's tables, written by ourselves and committed as a set.

delta-rs replaces whole partitions; naming the files that a commit adds and removes lets a change
of a few rows rewrite only the files that hold them, and lets many hours share one commit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import polars as pl
import pyarrow.fs
import pyarrow.parquet
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.table import Table
from fleet_assets.lake.object_store import ObjectStore
from fleet_assets.lake.room import room_explained

ROW_GROUP: Final = 131_072
"""Rows of a row group: small enough that one vehicle's hours are a few of them."""


@dataclass(frozen=True)
class Encodings:
    """How a hot table's columns are written: quickly; upkeep makes the smallest of them later.

    Attributes:
        delta: integers, times and decimals that change in small steps.
        dictionary: columns with few different values.
        level: of zstd.
        statistics: columns whose bounds are kept in the file and in the table's log.
        plain: columns that are not compressed: hardly anything is left of them once they are
            encoded, and a compressor for each costs more than a small file's rows.
    """

    delta: tuple[str, ...] = ()
    dictionary: tuple[str, ...] = ()
    level: int = 1
    statistics: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()


def write_file(
    delta: DeltaTable, contract: Table, key: str | None, rows: pl.DataFrame
) -> AddAction:
    """Writes rows of one hour or day (or of a table without either) as a file nobody sees yet.

    Args:
        delta: the table that it is to be committed to.
        contract: its contract.
        key: the hour or day that all rows belong to; None: the table is not partitioned.
        rows: rows of the contract, in the order to be written.
    """
    encodings = ENCODINGS.get(contract.name, Encodings())
    by = contract.partition_by
    names = [name for name in contract.names if name != by]
    arrow_schema = contract.arrow_schema
    schema = pyarrow.schema([arrow_schema.field(name) for name in names])
    data = rows.select(names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)
    folder = f"{by}={key}/" if by else ""
    path = f"{folder}part-{uuid4()}.zstd.parquet"
    store = filesystem(delta)
    with room_explained(delta.table_uri):
        if folder and isinstance(store, pyarrow.fs.SubTreeFileSystem):
            store.create_dir(folder)  # object stores have no folders
        with whole_or_gone(store, path) as out:
            write_parquet(data, out, encodings)
            size = out.tell()
    return AddAction(
        path=path,
        size=size,
        partition_values={by: key} if by else {},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(rows, encodings)),
    )


def write_parquet(data: pyarrow.Table, out: pyarrow.NativeFile, encodings: Encodings) -> None:
    """Writes a table into a file that is open."""
    codec: Any = "zstd"
    level: Any = encodings.level
    if encodings.plain:
        packed = [name for name in data.column_names if name not in encodings.plain]
        codec = dict.fromkeys(encodings.plain, "none") | dict.fromkeys(packed, "zstd")
        level = dict.fromkeys(packed, encodings.level)
    pyarrow.parquet.write_table(
        data,
        out,
        compression=codec,
        compression_level=level,
        row_group_size=ROW_GROUP,
        use_dictionary=list(encodings.dictionary) or True,
        column_encoding=dict.fromkeys(encodings.delta, "DELTA_BINARY_PACKED") or None,
        write_statistics=list(encodings.statistics) or False,
        store_decimal_as_integer=True,
        store_schema=False,
    )


@contextmanager
def whole_or_gone(store: pyarrow.fs.FileSystem, path: str) -> Iterator[pyarrow.NativeFile]:
    """A file to write; if that fails nothing of it stays, which matters most on a full disk."""
    stream = store.open_output_stream(path)
    try:
        with stream as out:
            yield out
    except BaseException:
        with suppress(OSError):
            store.delete_file(path)
        raise


def removal(delta: DeltaTable, files: pl.DataFrame, *, data_change: bool) -> list[RemoveAction]:
    """What removes these files (rows of `TableSnapshot.files`) from the table."""
    now = int(time.time() * 1000)
    by = list(delta.metadata().partition_columns)
    return [
        RemoveAction(
            path=row["path"],
            data_change=data_change,
            deletion_timestamp=now,
            size=row["size_bytes"],
            partition_values={name: row[name] for name in by},
        )
        for row in files.select("path", "size_bytes", *by).iter_rows(named=True)
    ]


def filesystem(delta: DeltaTable) -> pyarrow.fs.FileSystem:
    """The table's folder, local or in an object store."""
    uri = delta.table_uri
    if uri.startswith(("/", "file://")):
        root, path = pyarrow.fs.FileSystem.from_uri(uri if "://" in uri else f"file://{uri}")
        return pyarrow.fs.SubTreeFileSystem(path, root)
    return pyarrow.fs.PyFileSystem(ObjectStore.from_table(delta._table))


def _statistics(rows: pl.DataFrame, encodings: Encodings) -> dict[str, Any]:
    names = [name for name in encodings.statistics if name in rows.columns]
    found = rows.select(
        *(pl.col(name).min().name.prefix("min.") for name in names),
        *(pl.col(name).max().name.prefix("max.") for name in names),
        *(pl.col(name).null_count().name.prefix("nulls.") for name in names),
    )
    values: Mapping[str, Any] = found.row(0, named=True) if names else {}
    return {
        "numRecords": rows.height,
        "minValues": _bounds("min.", names, values),
        "maxValues": _bounds("max.", names, values),
        "nullCount": {name: values[f"nulls.{name}"] for name in names},
    }


def _bounds(prefix: str, names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: in_json(values[f"{prefix}{name}"])
        for name in names
        if values[f"{prefix}{name}"] is not None
    }


_TIMES = ("event_time", "append_time")
ENCODINGS: Final[Mapping[str, Encodings]] = {
    "raw_telemetry": Encodings(
        delta=(*_TIMES, "kafka_offset"),
        dictionary=(
            "landing_version",
            "kafka_topic_id",
            "kafka_partition",
            "offset_start",
            "offset_end",
            "vehicle_id",
            "key",
            "reject_reason",
            "reject_detail",
            "replay_of",
        ),
        statistics=(
            "landing_version",
            "kafka_partition",
            "kafka_offset",
            "append_time",
            "replay_of",
        ),
        plain=(
            "landing_version",
            "kafka_topic_id",
            "kafka_partition",
            "offset_start",
            "offset_end",
            "reject_reason",
            "reject_detail",
            "replay_of",
        ),
    ),
    "telemetry": Encodings(
        delta=(*_TIMES, *(signal.name for signal in SIGNALS if signal.kind == "number")),
        dictionary=("vehicle_id", "driver_id", "null_signals.list.element", "dtc.list.element"),
        statistics=("vehicle_id", "event_time"),
    ),
    "telemetry_rejects": Encodings(
        delta=(*_TIMES, "kafka_offset"),
        dictionary=("reason", "vehicle_id", "kafka_topic_id"),
        statistics=("landing_version",),
    ),
    "vehicle_hour_states": Encodings(statistics=("vehicle_id",)),
    "vehicle_hours": Encodings(statistics=("vehicle_id",)),
    "segments": Encodings(dictionary=("vehicle_id", "condition"), statistics=("vehicle_id",)),
    "vehicle_codes": Encodings(dictionary=("vehicle_id", "code"), statistics=("vehicle_id",)),
    "rule_eligibility": Encodings(dictionary=("ineligible",), statistics=("vehicle_id",)),
    "trip_segments": Encodings(dictionary=("vehicle_id",), statistics=("vehicle_id",)),
    "trips": Encodings(statistics=("state",)),
    "feature_windows": Encodings(statistics=("vehicle_id",)),
    "rule_anomalies": Encodings(statistics=("state", "closes_at")),
    "model_segments": Encodings(statistics=("vehicle_id",)),
    "model_anomalies": Encodings(statistics=("state", "closes_at")),
}
"""By table; one that is not named has nothing special."""


def in_json(value: Any) -> Any:
    """A value as Delta's statistics write it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
