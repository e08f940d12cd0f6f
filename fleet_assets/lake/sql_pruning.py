"""Which files and columns a query needs, by DuckDB's own plan of it.

DuckDB pushes a query's conditions down to the scans of its tables; planned over empty tables with
the same columns, it tells them with all constants computed. A file whose partition and bounds in
the Delta log contradict the conditions of every scan stays closed, not even its footer is read.
What is not understood prunes nothing, so that an answer never depends on it.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import Any, Final

import duckdb
import polars as pl
from polars.datatypes import DataType, DataTypeClass

from fleet_assets.contracts.table import UTC_MICROSECONDS, Table
from fleet_assets.lake.restored import QUERYABLE

WITHIN_HOUR: Final[Mapping[str, tuple[str, ...]]] = {
    "telemetry": ("event_time",),
    "vehicle_hours": ("hour_start", "first_event_time", "last_event_time"),
}
"""Times that lie within the event hour of their row: the partition bounds them."""
_TYPES: Final[Mapping[object, str]] = {
    pl.String(): "VARCHAR",
    pl.Binary(): "BLOB",
    pl.Boolean(): "BOOLEAN",
    pl.Int8(): "TINYINT",
    pl.Int16(): "SMALLINT",
    pl.Int32(): "INTEGER",
    pl.Int64(): "BIGINT",
    pl.Float32(): "FLOAT",
    pl.Float64(): "DOUBLE",
    pl.Date(): "DATE",
    UTC_MICROSECONDS: "TIMESTAMP WITH TIME ZONE",
}
_MOST_LISTED: Final = 1_000
_PLANNED: Final = (
    "SELECT json_serialize_plan(q, optimize := true), json_serialize_sql(q)"
    " FROM (SELECT ?::VARCHAR AS q)"
)
_COUNTS_COLUMNS: Final = ('"STAR"', '"column_name_alias":["', '"NATURAL"', '"error":true')
"""Parts of a query's syntax tree whose meaning depends on which columns a table has."""


@dataclass(frozen=True)
class Needs:
    """What a query needs of a table.

    Attributes:
        columns: columns that it reads.
        shown: columns that must be there so that the query means the same, the ones that it reads
            among them; what the others hold does not matter.
        scans: for each scan of the table the conditions that DuckDB has pushed down to it.
    """

    columns: frozenset[str]
    shown: frozenset[str]
    scans: tuple[tuple[tuple[str, dict[str, Any]], ...], ...]

    def of(self, files: pl.DataFrame) -> pl.DataFrame:
        """Those of a table's files (as `with_bounds` gives them) that a scan may need."""
        condition = _any(
            [
                _all([_may_hold(name, pushed, files.columns) for name, pushed in scan])
                for scan in self.scans
            ]
        )
        return files if condition is None else files.filter(condition)


class Planner:
    """Plans queries over empty tables with the columns of the contracts; reads nothing."""

    def __init__(self) -> None:
        self._db = duckdb.connect(
            config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
        for table in QUERYABLE.values():
            columns = ", ".join(f"{n} {duckdb_type(t)}" for n, t in table.polars_schema.items())
            self._db.execute(f"CREATE TABLE {table.name} ({columns})")
        # what is known of empty tables says nothing of the real ones
        self._db.execute("SET GLOBAL disabled_optimizers = 'statistics_propagation'")
        self._db.execute("SET GLOBAL TimeZone = 'UTC'")
        self._db.execute("SET GLOBAL python_enable_replacements = false")
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def needs(self, statement: str) -> dict[str, Needs]:
        """What a query needs of each table; a table that is not named here is needed whole."""
        with self._db.cursor() as cursor:
            answer = cursor.execute(_PLANNED, [statement]).fetchone()
        if answer is None:
            return {}
        plan, tree = answer
        if plan.startswith('{"error":true'):
            return {}
        # a name that is written may be one that the optimiser has found not to matter
        words = None if any(mark in tree for mark in _COUNTS_COLUMNS) else words_of(statement)
        scans: dict[str, list[dict[str, Any]]] = {}
        for scan in _scans(plan):
            scans.setdefault(scan["function_data"]["table"], []).append(scan)
        return {
            name: _needs(QUERYABLE[name], of_table, words)
            for name, of_table in scans.items()
            if name in QUERYABLE
        }

    def close(self) -> None:
        """Ends the database."""
        self._db.close()


def words_of(statement: str) -> set[str]:
    """All names in a statement, in lower case, and whatever else looks like one."""
    return set(re.findall(r"\w+", statement.lower()))


def with_bounds(files: pl.DataFrame, table: Table) -> pl.DataFrame:
    """A table's files (`TableSnapshot.files`) with the bounds that their partition implies.

    Bounds of times are in microseconds since 1970, as DuckDB's constants are.
    """
    if files.is_empty():
        return files
    if table.partition_by is not None:
        files = files.with_columns(_bounds_by_hour(table, table.partition_by, files.columns))
    return files.with_columns(
        pl.col(name).dt.epoch("us")
        for name, dtype in files.schema.items()
        if name.startswith(("min.", "max.")) and dtype == UTC_MICROSECONDS
    )


def _bounds_by_hour(table: Table, by: str, known: list[str]) -> list[pl.Expr]:
    start = (pl.col(by) + ":00").str.to_datetime("%Y-%m-%dT%H:%M", time_zone="UTC", strict=False)
    last = start + timedelta(hours=1) - timedelta(microseconds=1)
    return [
        *(pl.col(by).alias(f"{end}.{by}") for end in ("min", "max")),
        *(
            (pl.coalesce(name, bound) if name in known else bound).alias(name)
            for column in WITHIN_HOUR.get(table.name, ())
            for name, bound in ((f"min.{column}", start), (f"max.{column}", last))
        ),
    ]


def duckdb_type(dtype: DataType | DataTypeClass) -> str:
    """DuckDB's name of a type that contracts use."""
    match dtype:
        case pl.Decimal():
            return f"DECIMAL({dtype.precision}, {dtype.scale})"
        case pl.List():
            return f"{duckdb_type(dtype.inner)}[]"
        case pl.Struct():
            fields = ", ".join(f'"{f.name}" {duckdb_type(f.dtype)}' for f in dtype.fields)
            return f"STRUCT({fields})"
        case _:
            return _TYPES[dtype]


def _scans(plan: str) -> list[dict[str, Any]]:
    """All scans of tables, wherever they stand in a plan."""
    found = []

    def kept(part: dict[str, Any]) -> dict[str, Any]:
        if part.get("type") == "LOGICAL_GET" and "table" in (part.get("function_data") or {}):
            found.append(part)
        return part

    json.loads(plan, object_hook=kept)
    return found


def _needs(table: Table, scans: list[dict[str, Any]], words: set[str] | None) -> Needs:
    columns: set[str] = set()
    conditions = []
    for scan in scans:
        indexes = [column["index"] for column in scan["column_indexes"]]
        names = [table.names[i] if i < len(table.names) else "" for i in indexes]
        columns.update(name for name in names if name)
        pushed = scan["table_filters"]["filters"]
        conditions.append(tuple((names[entry["key"]], entry["value"]) for entry in pushed))
    read = frozenset(columns or table.names[:1])
    shown = {n for n in table.names if words is None or n in read or n in words}
    return Needs(read, frozenset(shown), tuple(conditions))


def _may_hold(column: str, pushed: dict[str, Any], known: list[str]) -> pl.Expr | None:
    """Which files may hold rows that fulfil a condition on a column; None: any may."""
    if f"min.{column}" not in known or f"max.{column}" not in known:
        return None
    match pushed["filter_type"]:
        case "LEGACY_CONSTANT_COMPARISON":
            return _compared(column, pushed["comparison_type"], pushed["constant"])
        case "LEGACY_CONJUNCTION_AND":
            return _all([_may_hold(column, part, known) for part in pushed["child_filters"]])
        case "LEGACY_CONJUNCTION_OR":
            return _any([_may_hold(column, part, known) for part in pushed["child_filters"]])
        case "LEGACY_OPTIONAL_FILTER" if pushed.get("child_filter"):
            return _may_hold(column, pushed["child_filter"], known)
        case "LEGACY_IN_FILTER" if len(pushed["values"]) <= _MOST_LISTED:
            return _any([_compared(column, "COMPARE_EQUAL", value) for value in pushed["values"]])
    return None


def _compared(column: str, comparison: str, constant: dict[str, Any]) -> pl.Expr | None:
    value = _value(constant)
    if value is None:
        return None
    low, high, bound = pl.col(f"min.{column}"), pl.col(f"max.{column}"), pl.lit(value)
    may = {
        "COMPARE_EQUAL": (low <= bound) & (high >= bound),
        "COMPARE_GREATERTHAN": high > bound,
        "COMPARE_GREATERTHANOREQUALTO": high >= bound,
        "COMPARE_LESSTHAN": low < bound,
        "COMPARE_LESSTHANOREQUALTO": low <= bound,
    }.get(comparison)
    return None if may is None else may.fill_null(True)


def _value(constant: dict[str, Any]) -> str | int | None:
    """A constant of a type whose bounds are compared; None: another type."""
    value = constant.get("value")
    match constant["type"]["id"], value:
        case "VARCHAR", str():
            return value
        case (("INTEGER" | "BIGINT" | "TIMESTAMP WITH TIME ZONE"), int()):
            return value
    return None


def _all(parts: list[pl.Expr | None]) -> pl.Expr | None:
    known = [part for part in parts if part is not None]
    return reduce(operator.and_, known) if known else None


def _any(parts: list[pl.Expr | None]) -> pl.Expr | None:
    known = [part for part in parts if part is not None]
    return reduce(operator.or_, known) if known and len(known) == len(parts) else None
