"""SQL over the lake: its tables as read-only views of an in-memory DuckDB.

A view lists the files of one Delta version, so a query sees whole commits only. What the user
writes can read those files and nothing else. How answers are printed is in `sql_output`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import unquote

import duckdb
import polars as pl

from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table
from fleet_assets.contracts.tables import RAW_TELEMETRY, TABLE_BY_NAME, TELEMETRY_OUTCOMES
from fleet_assets.errors import FleetError
from fleet_assets.lake.refresh import app_id, newest_raw_versions
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.telemetry.outcomes import PENDING, pending_outcomes

_ALLOWED: Final = "one SELECT, WITH, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN statement"
_EXPLAIN: Final = re.compile(r"(?is)^\s*explain\s+(?:analyze\s+)?(?:\([^)]*\)\s*)?(.*)$")
_HIDDEN: Final = "behind_the_views"
_TYPES: Final[dict[object, str]] = {
    pl.String(): "VARCHAR",
    pl.Binary(): "BLOB",
    pl.Boolean(): "BOOLEAN",
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.Float64(): "DOUBLE",
    UTC_MICROSECONDS: "TIMESTAMP WITH TIME ZONE",
}
_COMMENTS: Final = re.compile(r"(?s)\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+")


@contextmanager
def ask(lake: Lake, query: str) -> Iterator[duckdb.DuckDBPyRelation]:
    """The answer to a query, computed when it is read; valid within the context only.

    Args:
        lake: the lake; nothing in it is made or changed.
        query: one statement that reads.

    Raises:
        FleetError: the statement does more than read, or DuckDB refuses it.
    """
    with TemporaryDirectory(prefix="fleet-sql-") as spill, _own_database() as db, _in_one_line():
        statement = _one_reading_statement(db, query)
        db.execute("SET python_enable_replacements = false")
        db.execute(f"SET temp_directory = {_quoted(spill)}")
        tables = _mentioned(statement)
        snapshots = {table.name: lake.find(table.name) for table in tables}
        files = {name: _files(snapshot) for name, snapshot in snapshots.items()}
        _close_the_doors(db, [path for paths in files.values() for path in paths])
        db.execute(f"CREATE SCHEMA {_HIDDEN}")
        for table in tables:
            rows = _rows(db, table, snapshots[table.name], files[table.name])
            if table is TELEMETRY_OUTCOMES:
                rows += _pending_rows(db, lake, snapshots[table.name])
            db.execute(f"CREATE VIEW {table.name} AS {rows}")
        yield db.sql(statement)


def _own_database() -> duckdb.DuckDBPyConnection:
    """A database of its own, for it will be locked: the domain's is shared by the process."""
    db = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    db.execute("SET TimeZone = 'UTC'")
    return db


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        told = str(error).split("\n\nLINE ")[0]
        line = " ".join(part.strip() for part in told.splitlines() if part.strip())
        cure = f" The tables are {', '.join(TABLE_BY_NAME)}." if "Table with name" in line else ""
        raise FleetError(f"{line}{cure}") from None


def _one_reading_statement(db: duckdb.DuckDBPyConnection, query: str) -> str:
    """The statement without its semicolon, if it can only read."""
    text = _COMMENTS.sub("", query)
    statements = db.extract_statements(text)
    if len(statements) != 1:
        raise FleetError(f"{len(statements)} statements given: fleet sql takes {_ALLOWED}.")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        explained = _EXPLAIN.match(text)
        inner = db.extract_statements(explained[1]) if explained else []
        reads = len(inner) == 1 and inner[0].type == duckdb.StatementType.SELECT
    else:
        reads = kind == duckdb.StatementType.SELECT
    if not reads:
        raise FleetError(
            f"{text.split(maxsplit=1)[0].upper()} is refused: the lake is read-only here, "
            f"fleet sql takes {_ALLOWED}."
        )
    head, semicolon, tail = text.rpartition(";")
    ends_there = semicolon and not db.extract_statements(tail) if _parses(db, tail) else False
    return head if ends_there else text


def _parses(db: duckdb.DuckDBPyConnection, text: str) -> bool:
    try:
        db.extract_statements(text)
    except duckdb.Error:
        return False
    return True


def _mentioned(query: str) -> list[Table]:
    """Tables whose names stand in the query; all of them if none does (SHOW TABLES)."""
    words = set(re.findall(r"\w+", query.lower()))
    return [t for name, t in TABLE_BY_NAME.items() if name in words] or list(TABLE_BY_NAME.values())


def _files(snapshot: TableSnapshot | None) -> list[str]:
    """Local files of a version; none for an object store, which is read through Arrow."""
    if snapshot is None or snapshot.files.is_empty() or not _is_local(snapshot):
        return []
    uri = snapshot.delta.table_uri.rstrip("/")
    root = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    return [f"{root}/{path}" for path in snapshot.files["path"]]


def _is_local(snapshot: TableSnapshot) -> bool:
    return snapshot.delta.table_uri.startswith(("file://", "/"))


def _close_the_doors(db: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    """From here on the connection reads these files, writes nowhere and keeps its settings."""
    allowed = {form for path in files for form in (path, _literal(path))}
    db.execute(f"SET allowed_paths = [{', '.join(map(_quoted, sorted(allowed)))}]")
    db.execute("SET enable_external_access = false")
    db.execute("SET lock_configuration = true")


def _rows(
    db: duckdb.DuckDBPyConnection, table: Table, snapshot: TableSnapshot | None, files: list[str]
) -> str:
    """The SELECT over a table's rows, in the contract's order of columns."""
    if files:
        source = _scan(table, files)
    elif snapshot is not None and not snapshot.files.is_empty():
        source = f"__{table.name}"
        db.register(source, snapshot.delta.to_pyarrow_dataset())
    else:
        source = _hidden_table(db, table.name, table.polars_schema.to_frame())
    return f"SELECT {', '.join(_column(column) for column in table.columns)} FROM {source}"


def _scan(table: Table, files: list[str]) -> str:
    """Files read by the contract's schema, whichever of its columns each of them has.

    So no file has to be opened before the query runs, and a condition on the event hour, which
    is taken from the path, keeps the files of other hours closed.
    """
    listed = ", ".join(_quoted(_literal(path)) for path in files)
    schema = ", ".join(
        f"'{name}': {{'name': '{name}', 'type': '{duckdb_type(dtype)}', 'default_value': NULL}}"
        for name, dtype in table.polars_schema.items()
        if name != table.partition_by
    )
    scan = f"read_parquet([{listed}], schema = MAP {{{schema}}})"
    if table.partition_by is None:
        return scan
    from_path = f"regexp_extract(filename, '{table.partition_by}=([^/]*)/[^/]*$', 1)"
    return f"(SELECT {from_path} AS {table.partition_by}, * FROM {scan})"


def _column(column: Column) -> str:
    """A column in which rows that are older than it hold its default."""
    if column.default is None:
        return column.name
    text = str(column.default)
    default = _quoted(text) if isinstance(column.default, str) else text
    return f"coalesce({column.name}, {default}) AS {column.name}"


def duckdb_type(dtype: pl.DataType) -> str:
    """DuckDB's name of a type that contracts use."""
    match dtype:
        case pl.Decimal():
            return f"DECIMAL({dtype.precision}, {dtype.scale})"
        case pl.List():
            return f"{_TYPES[dtype.inner]}[]"
        case _:
            return _TYPES[dtype]


def _pending_rows(db: duckdb.DuckDBPyConnection, lake: Lake, outcomes: TableSnapshot | None) -> str:
    """What joins the counts of messages that have landed and are not counted yet.

    The mark is the outcomes' own, of the version that the view shows: even while a refresh is at
    work each message is counted exactly once.
    """
    raw = lake.find(RAW_TELEMETRY.name)
    waiting = []
    for hour, newest in newest_raw_versions(raw).items() if raw else ():
        known = outcomes.committed(app_id(hour)) if outcomes else None
        mark = -1 if known is None else known
        if raw is not None and newest > mark:
            is_newer = pl.col("landing_version") > mark
            may_be_newer = pl.col("max.landing_version") > mark
            waiting.append(raw.read(hour, PENDING, where=is_newer, files_where=may_be_newer))
    if not waiting:
        return ""
    pending = pending_outcomes(pl.concat(waiting))
    return f" UNION ALL FROM {_hidden_table(db, 'pending', pending)}"


def _hidden_table(db: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> str:
    """A table that SHOW TABLES does not list."""
    db.register("rows_to_hide", rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    db.execute(f"CREATE TABLE {_HIDDEN}.{name} AS FROM rows_to_hide")
    db.unregister("rows_to_hide")
    return f"{_HIDDEN}.{name}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(path: str) -> str:
    """A path in which no character stands for others."""
    return re.sub(r"([\[*?])", r"[\1]", path)
