"""SQL over the lake: its tables as read-only views of an in-memory DuckDB.

A query sees whole commits only: its views list the files of one Delta version, and of those only
the ones that it needs (see `sql_pruning`). What the user writes can read the lake and nothing
else, and writes nowhere. How `fleet sql` prints answers is in `sql_output`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final
from urllib.parse import unquote

import duckdb
import polars as pl

from fleet_assets.contracts.table import Column, Table
from fleet_assets.contracts.tables import RAW_TELEMETRY, TABLE_BY_NAME, TELEMETRY_OUTCOMES
from fleet_assets.errors import FleetError
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.messages import newest_raw_versions
from fleet_assets.lake.restored import PREFIX, QUERYABLE, RESTORED, restored_lake
from fleet_assets.lake.sql_pruning import Needs, Planner, duckdb_type, with_bounds, words_of
from fleet_assets.lake.sql_statement import explained, one_reading_statement
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.telemetry.outcomes import PENDING, pending_outcomes

_HIDDEN: Final = "behind_the_views"


@contextmanager
def ask(lake: Lake, query: str) -> Iterator[duckdb.DuckDBPyRelation]:
    """The answer to one query, computed when it is read; valid within the context only.

    Raises:
        FleetError: the statement does more than read, or DuckDB refuses it.
    """
    with LakeDatabase(lake) as db, _in_one_line():
        yield db.sql(query)


class LakeDatabase:
    """A DuckDB with the lake's tables, as they were when each was first asked for.

    `refresh` moves to the newest versions. Made to be kept: what is known of files stays in memory.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._spill = TemporaryDirectory(prefix="fleet-sql-")
        self._db = _locked_database(lake, self._spill.name)
        self._planner = Planner()
        self._snapshots: dict[str, TableSnapshot | None] = {}
        self._files: dict[str, pl.DataFrame] = {}
        self._pending: str | None = None
        self._pending_tables = 0

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """The answer to a query, computed when it is read: `.pl()`, `.df()`, `.fetchall()`, ….

        Args:
            query: one statement that reads; times are in UTC.

        Raises:
            FleetError: the statement does more than read, or DuckDB refuses it.
        """
        with _in_one_line():
            statement = one_reading_statement(self._db, query)
            session = self._db.cursor()
            needs = self._planner.needs(explained(statement))
            for table in _mentioned(statement):
                session.execute(
                    f"CREATE TEMP VIEW {table.name} AS {self._rows(session, table, needs)}"
                )
            return session.sql(statement)

    def files(self, query: str) -> dict[str, list[str]]:
        """Per table the files that a query may open, for who wonders why it takes its time."""
        with _in_one_line():
            statement = one_reading_statement(self._db, query)
            needs = self._planner.needs(explained(statement))
            return {
                table.name: _paths(self._needed(table, needs.get(table.name)), snapshot)
                for table in _mentioned(statement)
                if (snapshot := self._snapshot(table.name)) is not None
            }

    def refresh(self) -> None:
        """Lets the next queries see the newest versions; earlier answers stay as they are."""
        self._snapshots = {}
        self._files = {}
        self._pending = None

    def close(self) -> None:
        """Frees memory and spilled data; answers that were not read yet are lost."""
        self._db.close()
        self._planner.close()
        self._spill.cleanup()

    def __enter__(self) -> LakeDatabase:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _snapshot(self, name: str) -> TableSnapshot | None:
        if name not in self._snapshots:
            lake = restored_lake(self._lake) if name in RESTORED else self._lake
            self._snapshots[name] = lake.find(name.removeprefix(PREFIX))
        return self._snapshots[name]

    def _needed(self, table: Table, needs: Needs | None) -> pl.DataFrame:
        """Files of the table that are needed, of those that there are."""
        snapshot = self._snapshot(table.name)
        if snapshot is None:
            return pl.DataFrame()
        if table.name not in self._files:
            self._files[table.name] = with_bounds(snapshot.files, table)
        files = self._files[table.name]
        return needs.of(files) if needs else files

    def _rows(
        self, session: duckdb.DuckDBPyConnection, table: Table, needs: dict[str, Needs]
    ) -> str:
        """The SELECT over a table's rows, in the contract's order of columns."""
        mine = needs.get(table.name)
        snapshot, files = self._snapshot(table.name), self._needed(table, mine)
        read = table.names if mine is None else [n for n in table.names if n in mine.columns]
        if snapshot is None or files.is_empty():
            rows = f"SELECT {', '.join(_nothing(column) for column in table.columns)} WHERE false"
        elif _is_local(snapshot):
            chosen = ", ".join(
                _column(column) if column.name in read else _nothing(column)
                for column in table.columns
                if mine is None or column.name in mine.shown
            )
            rows = f"SELECT {chosen} FROM {_scan(table, read, _paths(files, snapshot))}"
        else:
            there = snapshot.delta.to_pyarrow_dataset()
            session.register(f"__{table.name}", there)
            chosen = ", ".join(
                _column(column) if column.name in there.schema.names else _nothing(column)
                for column in table.columns
            )
            rows = f"SELECT {chosen} FROM __{table.name}"
        return rows + self._pending_rows() if table is TELEMETRY_OUTCOMES else rows

    def _pending_rows(self) -> str:
        """What joins the counts of messages that have landed and are not counted yet."""
        if self._pending is None:
            raw, outcomes = self._snapshot(RAW_TELEMETRY.name), self._snapshot("telemetry_outcomes")
            pending = _pending(raw, outcomes)
            self._pending = ""
            if not pending.is_empty():
                self._pending_tables += 1
                name = f"{_HIDDEN}.pending_{self._pending_tables}"
                self._db.register("rows", pending.to_arrow(compat_level=pl.CompatLevel.oldest()))
                self._db.execute(f"CREATE TABLE {name} AS FROM rows")
                self._db.unregister("rows")
                self._pending = f" UNION ALL FROM {name}"
        return self._pending


def _locked_database(lake: Lake, spill: str) -> duckdb.DuckDBPyConnection:
    """A database that reads the lake's folder, and keeps its settings."""
    db = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    db.execute("SET GLOBAL TimeZone = 'UTC'")
    db.execute("SET GLOBAL python_enable_replacements = false")
    db.execute("SET GLOBAL parquet_metadata_cache = true")
    db.execute(f"SET GLOBAL temp_directory = {_quoted(spill)}")
    db.execute(f"CREATE SCHEMA {_HIDDEN}")
    folder = _local(lake.url)
    if folder is not None:
        forms = ", ".join(_quoted(form) for form in sorted({folder, _literal(folder)}))
        db.execute(f"SET GLOBAL allowed_directories = [{forms}]")
    db.execute("SET GLOBAL enable_external_access = false")
    db.execute("SET GLOBAL lock_configuration = true")
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


def _mentioned(query: str) -> list[Table]:
    """Tables whose names stand in the query; all of them if none does (SHOW TABLES)."""
    words = words_of(query)
    return [t for name, t in QUERYABLE.items() if name in words] or list(TABLE_BY_NAME.values())


def _pending(raw: TableSnapshot | None, outcomes: TableSnapshot | None) -> pl.DataFrame:
    """Counts of the messages that have landed and are not counted yet.

    The mark is the outcomes' own, of the version that the view shows: even while a refresh is at
    work each message is counted exactly once.
    """
    waiting = []
    for hour, newest in newest_raw_versions(raw).items() if raw else ():
        known = outcomes.committed(app_id(hour)) if outcomes else None
        mark = -1 if known is None else known
        if raw is not None and newest > mark:
            is_newer = pl.col("landing_version") > mark
            may_be_newer = pl.col("max.landing_version") > mark
            waiting.append(raw.read(hour, PENDING, where=is_newer, files_where=may_be_newer))
    return pending_outcomes(pl.concat(waiting)) if waiting else pl.DataFrame()


def _scan(table: Table, read: list[str], files: list[str]) -> str:
    """Files read by the contract's schema, whichever of its columns each of them has.

    So no file has to be opened before the query runs, and a condition on the event hour, which
    is taken from the path, keeps the files of other hours closed.
    """
    by = table.partition_by
    stored = [n for n in table.names if n != by]
    wanted = [name for name in stored if name in read] or stored[:1]
    types = table.polars_schema
    schema = ", ".join(
        f"'{name}': {{'name': '{name}', 'type': '{duckdb_type(types[name])}',"
        " 'default_value': NULL}"
        for name in wanted
    )
    listed = ", ".join(_quoted(_literal(path)) for path in files)
    scan = f"read_parquet([{listed}], schema = MAP {{{schema}}})"
    if by is None or by not in read:
        return scan
    return f"(SELECT regexp_extract(filename, '{by}=([^/]*)/[^/]*$', 1) AS {by}, * FROM {scan})"


def _column(column: Column) -> str:
    """A column in which rows that are older than it hold its default."""
    if column.default is None:
        return column.name
    text = str(column.default)
    default = _quoted(text) if isinstance(column.default, str) else text
    return f"coalesce({column.name}, {default}) AS {column.name}"


def _nothing(column: Column) -> str:
    """A column that no file has, or that the query does not look at."""
    default = "NULL" if column.default is None else _quoted(str(column.default))
    return f"{default}::{duckdb_type(column.dtype)} AS {column.name}"


def _paths(files: pl.DataFrame, snapshot: TableSnapshot) -> list[str]:
    """Addresses of files of a snapshot."""
    uri = snapshot.delta.table_uri.rstrip("/")
    root = _local(uri) or uri
    return [] if files.is_empty() else [f"{root}/{path}" for path in files["path"]]


def _is_local(snapshot: TableSnapshot) -> bool:
    return _local(snapshot.delta.table_uri) is not None


def _local(url: str) -> str | None:
    """The folder that an address means; None: it lies in an object store."""
    if url.startswith("file://"):
        return unquote(url.removeprefix("file://"))
    return None if "://" in url else url


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(path: str) -> str:
    """A path in which no character stands for others."""
    return re.sub(r"([\[*?])", r"[\1]", path)
