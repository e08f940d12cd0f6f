"""How a finished Parquet file is laid out: the smallest encoding of each column, found by trying.

No fixed table of encodings is best for all fleets: a speed in whole km/h is a small dictionary, one
with decimals is not; positions pack well as differences, noise does not. So a part of the rows is
encoded every way that all readers know, and the smallest is taken (decision 0013).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, BinaryIO, Final, Literal

import pyarrow as arrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

Encoding = Literal["dictionary", "plain", "delta", "split"]

ROW_GROUP: Final = 65_536
"""Rows of a row group: what a reader decodes at least to find one vehicle."""
SMALL_FILE: Final = ROW_GROUP
"""Up to here every byte of overhead counts: columns that are null throughout are left out (readers
fill them in, as for a column that is younger than a file), and packing may take its time."""
_LEVEL: Final = 9
_LEVEL_OF_SMALL: Final = 15
_DICTIONARY_BYTES: Final = 4 * 1024**2
_NAMES: Final = {"delta": "DELTA_BINARY_PACKED", "split": "BYTE_STREAM_SPLIT", "plain": "PLAIN"}


@dataclass(frozen=True)
class Layout:
    """What a file is written with.

    Attributes:
        schema: columns of the file.
        encodings: encoding of each column.
        statistics: columns whose bounds are stored.
        level: level of zstd.
    """

    schema: arrow.Schema
    encodings: Mapping[str, Encoding]
    statistics: tuple[str, ...]
    level: int


def layout_for(sample: arrow.Table, statistics: Iterable[str], *, whole: bool) -> Layout:
    """The smallest layout for rows such as these.

    Args:
        sample: rows in the order in which they will be written.
        statistics: columns whose bounds readers filter by.
        whole: the sample is all of the file.
    """
    small = whole and sample.num_rows <= SMALL_FILE
    level = _LEVEL_OF_SMALL if small else _LEVEL
    kept = [
        field
        for field in sample.schema
        if not (small and field.nullable and sample[field.name].null_count == sample.num_rows)
    ]
    part = sample.slice(0, ROW_GROUP)
    encodings = {field.name: _smallest(part, field, level) for field in kept}
    return Layout(
        arrow.schema(kept), encodings, tuple(n for n in statistics if n in encodings), level
    )


class LayoutWriter:
    """Writes rows, part by part, and keeps what Delta wants to know of the file."""

    def __init__(self, sink: BinaryIO | arrow.NativeFile, layout: Layout) -> None:
        self.rows = 0
        self._layout = layout
        self._bounds: dict[str, tuple[Any, Any, int]] = {}
        self._waiting: list[arrow.Table] = []
        self._writer = parquet.ParquetWriter(sink, layout.schema, **_options(layout))

    def write(self, rows: arrow.Table) -> None:
        """Adds rows, which follow those before."""
        rows = rows.select(self._layout.schema.names).cast(self._layout.schema)
        self.rows += rows.num_rows
        for name in self._layout.statistics:
            self._widen(name, rows[name])
        self._waiting.append(rows)
        if sum(part.num_rows for part in self._waiting) >= ROW_GROUP:
            self._flush(whole_groups=True)

    def close(self) -> None:
        """Ends the file."""
        self._flush(whole_groups=False)
        self._writer.close()

    @property
    def delta_statistics(self) -> str:
        """Statistics of the file as an add action has them."""
        known = {n: b for n, b in self._bounds.items() if b[0] is not None}
        return json.dumps(
            {
                "numRecords": self.rows,
                "minValues": {name: _as_json(low) for name, (low, _, _) in known.items()},
                "maxValues": {name: _as_json(high) for name, (_, high, _) in known.items()},
                "nullCount": {name: nulls for name, (_, _, nulls) in self._bounds.items()},
            }
        )

    def _flush(self, *, whole_groups: bool) -> None:
        if not self._waiting:
            return
        rows = arrow.concat_tables(self._waiting)
        end = rows.num_rows - rows.num_rows % ROW_GROUP if whole_groups else rows.num_rows
        if end:
            self._writer.write_table(rows.slice(0, end), row_group_size=ROW_GROUP)
        rest = rows.slice(end)
        self._waiting = [rest] if rest.num_rows else []

    def _widen(self, name: str, values: arrow.ChunkedArray) -> None:
        found = compute.min_max(values).as_py()
        low, high, nulls = self._bounds.get(name, (None, None, 0))
        lows = [v for v in (low, found["min"]) if v is not None]
        highs = [v for v in (high, found["max"]) if v is not None]
        self._bounds[name] = (
            min(lows, default=None),
            max(highs, default=None),
            nulls + values.null_count,
        )


def _smallest(sample: arrow.Table, field: arrow.Field, level: int) -> Encoding:
    column = sample.select([field.name])
    return min(_candidates(field.type), key=lambda encoding: _size(column, encoding, level))


def _candidates(kind: arrow.DataType) -> tuple[Encoding, ...]:
    """Encodings that DuckDB, Polars, DataFusion and Spark read for this type."""
    if arrow.types.is_boolean(kind):
        return ("plain",)
    if arrow.types.is_integer(kind) or arrow.types.is_timestamp(kind):
        return ("dictionary", "delta", "split", "plain")
    if arrow.types.is_decimal(kind):  # stored as integers
        return ("dictionary", "delta", "split", "plain")
    if arrow.types.is_binary(kind):
        return ("plain",)
    return ("dictionary", "plain")


def _size(column: arrow.Table, encoding: Encoding, level: int) -> int:
    sink = arrow.BufferOutputStream()
    layout = Layout(column.schema, {column.schema.names[0]: encoding}, (), level)
    with parquet.ParquetWriter(sink, column.schema, **_options(layout)) as writer:
        writer.write_table(column, row_group_size=ROW_GROUP)
    return int(sink.getvalue().size)


def _options(layout: Layout) -> dict[str, Any]:
    leaf = {
        field.name: f"{field.name}.list.element" if arrow.types.is_list(field.type) else field.name
        for field in layout.schema
    }
    packed = {leaf[n]: _NAMES[e] for n, e in layout.encodings.items() if e in ("delta", "split")}
    return {
        "compression": "zstd",
        "compression_level": layout.level,
        "use_dictionary": [leaf[n] for n, e in layout.encodings.items() if e == "dictionary"],
        "column_encoding": packed or None,
        "dictionary_pagesize_limit": _DICTIONARY_BYTES,
        "write_statistics": list(layout.statistics),
        "write_page_index": layout.level == _LEVEL and bool(layout.statistics),
        "store_decimal_as_integer": True,
        "store_schema": False,
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return value
