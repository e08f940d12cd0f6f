"""Many hours (or days) written at once, a file each: what a landing of history is made of.

Converting and counting is done once for all hours, so that an hour costs little more than its file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.fs
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from fleet_assets.contracts.table import Table
from fleet_assets.lake.files import (
    ENCODINGS,
    Encodings,
    filesystem,
    in_json,
    whole_or_gone,
    write_parquet,
)


def write_hours(delta: DeltaTable, contract: Table, rows: pl.DataFrame) -> list[AddAction]:
    """Writes a file for each hour, which nobody sees before it is committed.

    Args:
        delta: the table that they are to be committed to.
        contract: its contract, by hour or by day.
        rows: rows of the contract; those of an hour keep their order.
    """
    by = contract.partition_by
    if rows.is_empty() or by is None:
        return []
    rows = rows if rows[by].is_sorted() else rows.sort(by, maintain_order=True)
    encodings = ENCODINGS.get(contract.name, Encodings())
    data = _arrow(rows.drop(by), contract)
    store = filesystem(delta)
    now_ms = int(time.time() * 1000)
    actions: list[AddAction] = []
    for key, start, length, statistics in _hours(rows, by, encodings):
        path = f"{by}={key}/part-{uuid4()}.zstd.parquet"
        packed = pa.BufferOutputStream()  # one write for a file instead of one for each page
        write_parquet(data.slice(start, length), packed, encodings)
        content = packed.getvalue()
        _put(store, path, content)
        actions.append(AddAction(path, content.size, {by: key}, now_ms, True, statistics))
    return actions


def _put(store: pyarrow.fs.FileSystem, path: str, content: pa.Buffer) -> None:
    try:
        _write(store, path, content)
    except FileNotFoundError:  # the first file of its folder; object stores have none
        store.create_dir(path.rpartition("/")[0])
        _write(store, path, content)


def _write(store: pyarrow.fs.FileSystem, path: str, content: pa.Buffer) -> None:
    with whole_or_gone(store, path) as out:
        out.write(content)


def _arrow(rows: pl.DataFrame, contract: Table) -> pa.Table:
    """Rows in Arrow, with what may be null as the contract says; in Parquet all sizes are alike."""
    data = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    nullable = {column.name: column.nullable for column in contract.columns}
    fields = [field.with_nullable(nullable[field.name]) for field in data.schema]
    return pa.Table.from_arrays(data.columns, schema=pa.schema(fields))


def _hours(
    rows: pl.DataFrame, by: str, encodings: Encodings
) -> Iterator[tuple[str, int, int, str]]:
    """Per hour its key, its first row, its number of rows and its statistics as Delta's JSON."""
    names = encodings.statistics
    found = rows.group_by(by, maintain_order=True).agg(
        pl.len().alias("rows"),
        *(pl.col(name).min().name.prefix("min.") for name in names),
        *(pl.col(name).max().name.prefix("max.") for name in names),
        *(pl.col(name).null_count().name.prefix("nulls.") for name in names),
    )
    start = 0
    for hour in found.iter_rows(named=True):
        statistics = {
            "numRecords": hour["rows"],
            "minValues": _known("min.", hour, names),
            "maxValues": _known("max.", hour, names),
            "nullCount": {name: hour[f"nulls.{name}"] for name in names},
        }
        yield hour[by], start, hour["rows"], json.dumps(statistics)
        start += hour["rows"]


def _known(prefix: str, hour: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: in_json(hour[prefix + name]) for name in names if hour[prefix + name] is not None}
