"""Rows of a frame into a table of the warehouse, by COPY: binary where the types allow it.

PostgreSQL takes binary rows in less than half the time of text: it parses no numbers and no times
(`bench/questions.py`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Final

import polars as pl
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import LargeStringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql

from fleet_assets.contracts.table import UTC_MICROSECONDS

ROWS_PER_CHUNK: Final = 50_000  # bounds what is held in memory beside the frame
_NULL: Final = r"\N"
_JSON: Final = "jsonb"
_BINARY: Final[Mapping[str, pl.DataType]] = {
    "bigint": pl.Int64(),
    "integer": pl.Int32(),
    "double precision": pl.Float64(),
    "boolean": pl.Boolean(),
    "text": pl.String(),
    "date": pl.Date(),
    "timestamp with time zone": UTC_MICROSECONDS,
    _JSON: pl.String(),
}
"""Types of PostgreSQL whose binary form is that of a column of this type."""


def copy_rows(connection: psycopg.Connection, table: sql.Identifier, rows: pl.DataFrame) -> None:
    """Adds rows to a table.

    Args:
        connection: within whose transaction.
        table: its name, with the schema if it has one.
        rows: named as the table's columns, or some of them; lists and JSON have to be text.

    Raises:
        psycopg.Error: the server refuses a row; none is added.
        polars.exceptions.PolarsError: a value does not fit its column; none is added.
    """
    if rows.is_empty():
        return
    names = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    types = _types(connection, table)
    how: sql.Composable = sql.SQL("format csv, null {}").format(sql.Literal(_NULL))
    pieces: Iterator[bytes | memoryview] = _text(rows)
    if all(types.get(name) in _BINARY for name in rows.columns):
        how, pieces = sql.SQL("format binary"), _binary(rows, types)
    statement = sql.SQL("copy {} ({}) from stdin ({})").format(table, names, how)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in pieces:
            copy.write(piece)


def _types(connection: psycopg.Connection, table: sql.Identifier) -> dict[str, str]:
    """Type of each of its columns, as PostgreSQL calls it."""
    return dict(connection.execute(_TYPES, [table.as_string(connection)]).fetchall())


def _binary(rows: pl.DataFrame, types: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    rows = rows.select(pl.col(name).cast(_BINARY[types[name]]) for name in rows.columns)
    schema = _arrow(rows.head(0)).schema
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(
        schema,
        {
            field.name: LargeStringEncoderBuilder.new_with_output(field, Jsonb())
            if types[field.name] == _JSON
            else ArrowToPostgresBinaryEncoder.infer_encoder(field)
            for field in schema
        },
    )
    yield encoder.write_header()
    for chunk in rows.iter_slices(ROWS_PER_CHUNK):
        for batch in _arrow(chunk).to_batches():
            yield encoder.write_batch(batch)
    yield encoder.finish()


def _arrow(rows: pl.DataFrame) -> pa.Table:
    """With plain strings, not views of them."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def _text(rows: pl.DataFrame) -> Iterator[bytes | memoryview]:
    for chunk in rows.iter_slices(ROWS_PER_CHUNK):
        text = io.BytesIO()
        chunk.write_csv(text, include_header=False, null_value=_NULL, quote_style="non_numeric")
        yield text.getbuffer()


_TYPES: Final = """
select attname, format_type(atttypid, null)
from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""
