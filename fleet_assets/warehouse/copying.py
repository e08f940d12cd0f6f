"""Rows of a frame into a table of the warehouse, by COPY."""

from __future__ import annotations

import io
from typing import Final

import polars as pl
import psycopg
from psycopg import sql

ROWS_PER_CHUNK: Final = 50_000  # bounds the CSV text held in memory
_NULL: Final = r"\N"


def copy_rows(connection: psycopg.Connection, table: sql.Identifier, rows: pl.DataFrame) -> None:
    """Adds rows to a table.

    Args:
        connection: within whose transaction.
        table: its name, with the schema if it has one.
        rows: named as the table's columns, or some of them; lists have to be text.

    Raises:
        psycopg.Error: the server refuses a row; none is added.
    """
    if rows.is_empty():
        return
    statement = sql.SQL("copy {} ({}) from stdin (format csv, null {})").format(
        table, sql.SQL(", ").join(map(sql.Identifier, rows.columns)), sql.Literal(_NULL)
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in rows.iter_slices(ROWS_PER_CHUNK):
            text = io.BytesIO()
            chunk.write_csv(text, include_header=False, null_value=_NULL, quote_style="non_numeric")
            copy.write(text.getbuffer())
