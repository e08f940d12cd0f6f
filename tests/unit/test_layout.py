"""A laid-out file is small, and every reader that people use finds the same rows in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.transaction import AddAction
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_assets.lake.layout import ROW_GROUP, LayoutWriter, layout_for

SCHEMA = arrow.schema(
    [
        arrow.field("vehicle_id", arrow.string(), nullable=False),
        arrow.field("event_time", arrow.timestamp("us", "UTC"), nullable=False),
        arrow.field("steps", arrow.decimal128(8, 6)),
        arrow.field("few", arrow.decimal128(5, 2)),
        arrow.field("noise", arrow.decimal128(7, 2)),
        arrow.field("absent", arrow.decimal128(5, 2)),
        arrow.field("codes", arrow.list_(arrow.string()), nullable=False),
        arrow.field("flag", arrow.bool_(), nullable=False),
        arrow.field("bytes", arrow.binary()),
    ]
)
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> arrow.Table:
    noise = [(i * 7919 + i * i * 31) % 99_991 for i in range(count)]
    return arrow.table(
        {
            "vehicle_id": [f"v{i * 10 // count}" for i in range(count)],
            "event_time": [START + timedelta(microseconds=i * 1_000_003) for i in range(count)],
            "steps": [Decimal(41_000_000 + i * 13).scaleb(-6) for i in range(count)],
            "few": [
                None if i % 7 == 0 else Decimal(noise[i] % 20 * 4_999).scaleb(-2)
                for i in range(count)
            ],
            "noise": [Decimal(n).scaleb(-2) for n in noise],
            "absent": [None] * count,
            "codes": [["P0300"] if i % 50 == 0 else [] for i in range(count)],
            "flag": [i % 100 == 0 for i in range(count)],
            "bytes": [b"\x00\xff" * (i % 3) for i in range(count)],
        },
        schema=SCHEMA,
    )


def written(table: arrow.Table, path: Path, parts: int = 1) -> LayoutWriter:
    layout = layout_for(table, ["vehicle_id", "event_time"], whole=True)
    writer = LayoutWriter(arrow.OSFile(str(path), "wb"), layout)
    size = -(-table.num_rows // parts)
    for part in range(parts):
        writer.write(table.slice(part * size, size))
    writer.close()
    return writer


@pytest.mark.parametrize("count", [1, 3_000, ROW_GROUP + 5_000], ids=["one", "small", "large"])
def test_all_readers_find_the_rows(tmp_path: Path, count: int) -> None:
    table = rows(count)
    delta = tmp_path / "table"
    write_deltalake(str(delta), table.slice(0, 0))
    path = delta / "laid-out.parquet"
    writer = written(table, path, parts=3)
    add = AddAction(path.name, path.stat().st_size, {}, 0, True, writer.delta_statistics)
    handle = DeltaTable(str(delta))
    handle.create_write_transaction([add], "append", handle.schema())

    handle = DeltaTable(str(delta))
    by_delta = QueryBuilder().register("t", handle).execute("SELECT * FROM t ORDER BY event_time")
    assert arrow.table(by_delta.read_all()).cast(SCHEMA).equals(table)
    present = [name for name in SCHEMA.names if name in parquet.read_schema(path).names]
    wanted = table.select(present)
    assert parquet.read_table(path).cast(wanted.schema).equals(wanted)
    assert pl.read_parquet(path).equals(pl.DataFrame(wanted))
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        by_duckdb = db.sql(f"SELECT * FROM '{path}' ORDER BY event_time").to_arrow_table()
    assert by_duckdb.cast(wanted.schema).equals(wanted)


def test_each_column_gets_the_encoding_that_suits_it(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    written(rows(ROW_GROUP + 1), path)
    group = parquet.read_metadata(path).row_group(0)
    found = {
        group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)
    }
    assert "DELTA_BINARY_PACKED" in found["event_time"]
    assert "DELTA_BINARY_PACKED" in found["steps"]
    assert "RLE_DICTIONARY" in found["few"]
    plain = tmp_path / "default.parquet"
    parquet.write_table(rows(ROW_GROUP + 1), plain)
    assert path.stat().st_size < plain.stat().st_size / 2


def test_bounds_are_kept_of_filtered_columns_only(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    statistics = json.loads(written(rows(1_000), path).delta_statistics)
    assert statistics["numRecords"] == 1_000
    assert statistics["minValues"] == {
        "vehicle_id": "v0", "event_time": "2026-01-01T00:00:00.000000Z",
    }  # fmt: skip
    assert statistics["maxValues"]["vehicle_id"] == "v9"
    assert statistics["maxValues"]["event_time"] == "2026-01-01T00:16:39.002997Z"
    group = parquet.read_metadata(path).row_group(0)
    kept = [c.path_in_schema for c in map(group.column, range(group.num_columns)) if c.statistics]
    assert kept == ["vehicle_id", "event_time"]


def test_a_small_file_leaves_out_columns_without_a_value(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    written(rows(1_000), path)
    assert "absent" not in parquet.read_schema(path).names
    written(rows(ROW_GROUP + 1), path)
    assert "absent" in parquet.read_schema(path).names


@settings(deadline=None, max_examples=25)
@given(
    values=st.lists(
        st.one_of(st.none(), st.decimals("-999.99", "999.99", places=2, allow_nan=False)),
        min_size=1, max_size=60,
    )
)  # fmt: skip
def test_any_values_come_back(values: list[Decimal | None]) -> None:
    table = arrow.table({"x": arrow.array(values, arrow.decimal128(5, 2))})
    sink = arrow.BufferOutputStream()
    writer = LayoutWriter(sink, layout_for(table, ["x"], whole=False))
    writer.write(table)
    writer.close()
    assert parquet.read_table(arrow.BufferReader(sink.getvalue())).equals(table)
