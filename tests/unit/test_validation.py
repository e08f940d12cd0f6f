"""Canaries: bad rows that each kind of check of each table must catch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from telemetry_data import HOUR

from fleet_assets.contracts.table import Column, Table
from fleet_assets.contracts.tables import TABLES, TELEMETRY
from fleet_assets.telemetry.validation import validate

T0 = datetime(2026, 2, 1, 5, tzinfo=UTC)
DAY = HOUR[:10]


def good_value(column: Column) -> Any:
    if column.name in ("event_hour", "event_day"):
        return HOUR if column.name == "event_hour" else DAY
    if column.allowed is not None:
        return column.allowed[0]
    match column.dtype:
        case pl.Datetime():
            return T0 + timedelta(minutes=1)
        case pl.String():
            by_pattern = {"[0-9a-f]{32}": "0" * 32, "fm-": f"fm-{'0' * 12}", "PCBU": "P0420"}
            known = [good for part, good in by_pattern.items() if part in (column.pattern or "")]
            return known[0] if known else "v1"
        case pl.Boolean():
            return False
        case pl.Binary():
            return b"x"
        case pl.List():
            return []
    return max(column.minimum or 0, 0)


def good(table: Table) -> pl.DataFrame:
    row = {column.name: good_value(column) for column in table.columns}
    return pl.DataFrame(
        {name: pl.Series([value], strict=False) for name, value in row.items()}
    ).cast(table.polars_schema)  # fmt: skip


def changed(table: Table, column: Column, value: Any) -> pl.DataFrame:
    series = pl.Series(column.name, [value], dtype=column.dtype, strict=False)
    return good(table).with_columns(series)


def ids(value: Any) -> str:
    return value.name if isinstance(value, (Table, Column)) else str(value)


COLUMNS = [(table, column) for table in TABLES for column in table.columns]


@pytest.mark.parametrize("table", TABLES, ids=ids)
def test_a_good_row_passes(table: Table) -> None:
    key = DAY if table.partition_by == "event_day" else HOUR
    assert validate(table.name, good(table), key).failures == ()


@pytest.mark.parametrize(("table", "column"), [c for c in COLUMNS if not c[1].nullable], ids=ids)
def test_a_null_where_none_may_be_fails(table: Table, column: Column) -> None:
    rows = changed(table, column, None)
    assert any(f.startswith(f"{column.name}: ") for f in failures(table, rows))


@pytest.mark.parametrize(
    ("table", "column"), [c for c in COLUMNS if c[1].minimum is not None], ids=ids
)
def test_a_value_below_its_bound_fails(table: Table, column: Column) -> None:
    assert_fails(table, column, beyond(column, column.minimum, -1))


@pytest.mark.parametrize(
    ("table", "column"), [c for c in COLUMNS if c[1].maximum is not None], ids=ids
)
def test_a_value_above_its_bound_fails(table: Table, column: Column) -> None:
    assert_fails(table, column, beyond(column, column.maximum, 1))


@pytest.mark.parametrize(
    ("table", "column"), [c for c in COLUMNS if c[1].pattern is not None], ids=ids
)
def test_a_text_of_another_form_fails(table: Table, column: Column) -> None:
    assert_fails(table, column, "\x01")


@pytest.mark.parametrize(
    ("table", "column"), [c for c in COLUMNS if c[1].allowed is not None], ids=ids
)
def test_a_text_that_is_not_listed_fails(table: Table, column: Column) -> None:
    assert_fails(table, column, "something else")


@pytest.mark.parametrize("table", TABLES, ids=ids)
def test_a_key_twice_fails(table: Table) -> None:
    rows = good(table)
    assert any("repeat the key" in f for f in failures(table, pl.concat([rows, rows])))


@pytest.mark.parametrize("table", TABLES, ids=ids)
@pytest.mark.parametrize("change", ["missing", "unknown", "type", "order"])
def test_another_schema_fails(table: Table, change: str) -> None:
    rows = good(table)
    first, last = table.names[0], table.names[-1]
    other = {
        "missing": rows.drop(last),
        "unknown": rows.with_columns(surprise=1),
        "type": rows.with_columns(pl.lit(None, dtype=pl.Duration).alias(last)),
        "order": rows.select(*table.names[1:], first),
    }[change]
    assert failures(table, other)


@pytest.mark.parametrize("table", [t for t in TABLES if t.partition_by], ids=ids)
def test_a_row_of_another_hour_or_day_fails(table: Table) -> None:
    by = str(table.partition_by)
    other = {"event_hour": "2026-02-01T06", "event_day": "2026-02-02"}[by]
    rows = good(table).with_columns(pl.lit(other).alias(by))
    key = {"event_hour": HOUR, "event_day": DAY}[by]
    found = validate(table.name, rows, key).failures
    assert f"{by}: 1 rows belong to another {by.removeprefix('event_')}" in found


@pytest.mark.parametrize("moment", [T0 - timedelta(microseconds=1), T0 + timedelta(hours=1)])
def test_an_event_outside_its_hour_fails(moment: datetime) -> None:
    rows = good(TELEMETRY).with_columns(
        event_time=pl.Series([moment], dtype=pl.Datetime("us", "UTC"))
    )
    assert any("outside the hour" in f for f in failures(TELEMETRY, rows))


@pytest.mark.parametrize("table", [t for t in TABLES if "read" in t.names], ids=ids)
@pytest.mark.parametrize("count", ["read", "accepted", "duplicate", "rejected", "pending"])
def test_counts_that_do_not_add_up_fail(table: Table, count: str) -> None:
    rows = good(table).with_columns(pl.col(count) + 1)
    assert any(f.startswith("read: ") for f in failures(table, rows))


def test_no_rows_pass_only_with_the_right_schema() -> None:
    rows = good(TELEMETRY).clear()
    assert validate("telemetry", rows, HOUR).passed
    assert not validate("telemetry", rows.drop("speed"), HOUR).passed


def failures(table: Table, rows: pl.DataFrame) -> tuple[str, ...]:
    return validate(table.name, rows, HOUR).failures


def assert_fails(table: Table, column: Column, value: Any) -> None:
    found = failures(table, changed(table, column, value))
    assert any(f.startswith(f"{column.name}: ") for f in found), found


def beyond(column: Column, bound: float | None, sign: int) -> Any:
    assert bound is not None
    if isinstance(column.dtype, pl.Decimal):
        return Decimal(str(bound)) + sign * Decimal(10) ** -(column.dtype.scale or 0)
    return bound + sign
