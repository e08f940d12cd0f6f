"""Answers of SQL as text and files: CSV, JSON, Parquet, a table to look at.

Answers are streamed, so their size does not matter (a table to look at is cut, and says so).
Times are ISO 8601 in UTC, decimals exact, lists and structs JSON, bytes text with ``\\x`` escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import duckdb
import polars as pl
import pyarrow as arrow
import pyarrow.parquet

_BATCH: Final = 20_000
TABLE_ROWS: Final = 1_000
"""Most rows of a table to look at."""
_WIDEST: Final = 60
_NUMBERS: Final = ("decimal", "bigint", "integer", "double", "float", "smallint", "tinyint")


def write_csv(answer: duckdb.DuckDBPyRelation, out: TextIO) -> None:
    """CSV with a header; null is an empty field, an empty text is quoted."""
    header = True
    for batch in _batches(_texts(answer)):
        out.write(batch.write_csv(include_header=header))
        header = False


def write_json(answer: duckdb.DuckDBPyRelation, out: TextIO) -> None:
    """An array of objects, one row a line; a number that is not finite is null."""
    fields = [
        f"{_identifier(name)} := {_json_value(position, kind)}"
        for position, name, kind in _columns(answer)
    ]
    rows = answer.project(f"CAST(to_json(struct_pack({', '.join(fields)})) AS VARCHAR) AS line")
    before = "[\n"
    for batch in _batches(rows):
        for line in batch["line"]:
            out.write(before + line)
            before = ",\n"
    out.write("\n]\n" if before != "[\n" else "[]\n")


def write_parquet(answer: duckdb.DuckDBPyRelation, path: Path) -> None:
    """A Parquet file with DuckDB's types."""
    renamed = answer.project(
        ", ".join(f"#{position} AS {_identifier(name)}" for position, name, _ in _columns(answer))
    )
    reader = renamed.to_arrow_reader(_BATCH)
    with arrow.parquet.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def write_table(answer: duckdb.DuckDBPyRelation, out: TextIO, say: Callable[[str], None]) -> None:
    """A table for eyes; `say` is told if rows are left out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    kinds = {name: kind for _, name, kind in _columns(answer)}
    rows = pl.concat(list(_batches(_texts(answer).limit(TABLE_ROWS + 1))))
    console = Console(file=out)
    table = Table(box=None)
    for name, kind in kinds.items():
        right = kind.startswith(_NUMBERS)
        table.add_column(
            Text(name),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,
            max_width=_WIDEST if console.is_terminal else None,
        )
    for row in rows.head(TABLE_ROWS).iter_rows():
        table.add_row(*(Text("" if value is None else value) for value in row))
    natural = Console(file=out, width=1_000_000).measure(table).maximum
    Console(file=out, width=max(natural, 1)).print(table)
    if rows.height > TABLE_ROWS:
        say(f"Only the first {TABLE_ROWS:,} rows are shown: --format csv gives all of them.")


def _columns(answer: duckdb.DuckDBPyRelation) -> list[tuple[int, str, str]]:
    """Position, a name that no other column has, and type of each column."""
    names: list[str] = []
    for name in answer.columns:
        unique, number = name, 0
        while unique.lower() in (known.lower() for known in names):
            number += 1
            unique = f"{name}_{number}"
        names.append(unique)
    kinds = [str(kind).lower() for kind in answer.types]
    return list(zip(range(1, len(names) + 1), names, kinds, strict=True))


def _texts(answer: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The answer with every column as text."""
    return answer.project(
        ", ".join(
            f"{_text(position, kind)} AS {_identifier(name)}"
            for position, name, kind in _columns(answer)
        )
    )


def _text(position: int, kind: str) -> str:
    if kind == "timestamp with time zone":
        return _moment(position)
    if _is_nested(kind):
        return f"CAST(to_json(#{position}) AS VARCHAR)"
    return f"CAST(#{position} AS VARCHAR)"


def _json_value(position: int, kind: str) -> str:
    if kind == "timestamp with time zone":
        return _moment(position)
    if kind == "blob":
        return f"CAST(#{position} AS VARCHAR)"
    if kind in ("double", "float"):
        return f"CASE WHEN isfinite(#{position}) THEN #{position} END"
    return f"#{position}"


def _moment(position: int) -> str:
    written = f"strftime(#{position}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return rf"regexp_replace({written}, '\.?0*Z$', 'Z')"


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("struct", "map", "union"))


def _batches(texts: duckdb.DuckDBPyRelation) -> Iterator[pl.DataFrame]:
    """The rows in parts; at least one part, so that an empty answer has its header."""
    reader = texts.to_arrow_reader(_BATCH)
    empty = True
    for batch in reader:
        empty = False
        yield _frame(arrow.Table.from_batches([batch]))
    if empty:
        yield _frame(reader.schema.empty_table())


def _frame(table: Any) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
