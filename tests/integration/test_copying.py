"""Rows that PostgreSQL takes in binary form are those of the frame, whatever their values."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installation import Installation
from psycopg import sql
from warehouse_data import fresh_warehouse

from fleet_assets.warehouse.copying import copy_rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TYPES = {
    "big": ("bigint", pl.Int64),
    "small": ("integer", pl.Int64),
    "real": ("double precision", pl.Float64),
    "yes": ("boolean", pl.Boolean),
    "word": ("text", pl.String),
    "day": ("date", pl.Date),
    "at": ("timestamptz", pl.Datetime("us", "UTC")),
    "told": ("jsonb", pl.String),
}
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
TIMES = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year >= 1000)
JSON = st.dictionaries(WORDS, st.none() | st.booleans() | st.integers(-9, 9) | WORDS, max_size=3)
ROW = st.fixed_dictionaries(
    {
        "big": st.none() | st.integers(-(2**63), 2**63 - 1),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "real": st.none() | st.floats(),
        "yes": st.none() | st.booleans(),
        "word": st.none() | WORDS,
        "day": st.none() | st.dates(date(1000, 1, 1)),
        "at": st.none() | TIMES,
        "told": st.none() | JSON.map(json.dumps),
    }
)


@pytest.fixture(scope="module")
def url(services: Installation) -> str:
    url = fresh_warehouse(services, "copying")
    with psycopg.connect(url) as connection:
        for name, extra in (("binary_rows", ""), ("text_rows", ", words text[]")):
            columns = ", ".join(f"{name} {kind}" for name, (kind, _) in TYPES.items())
            connection.execute(f"create table {name} (number bigint, {columns}{extra})".encode())
    return url


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {name: kind for name, (_, kind) in TYPES.items()}
    return pl.DataFrame(rows, schema=schema, orient="row").with_row_index("number")


def as_python(row: dict[str, Any]) -> dict[str, Any]:
    """JSON as PostgreSQL gives it back."""
    told = row["told"]
    return row | {"told": None if told is None else json.loads(told)}


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def test_every_value_arrives(url: str) -> None:
    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.lists(ROW, max_size=8))
    def check(rows: list[dict[str, Any]]) -> None:
        frame = frame_of(rows)
        with psycopg.connect(url) as connection:
            copy_rows(connection, sql.Identifier("binary_rows"), frame)
            names = ", ".join(TYPES)
            told = f"select {names} from binary_rows order by number".encode()
            found = connection.execute(told).fetchall()
            connection.rollback()
        assert len(found) == len(rows)
        for there, given_row in zip(found, rows, strict=True):
            expected = as_python(given_row)
            for name, value in zip(TYPES, there, strict=True):
                assert alike(value, expected[name]), name

    check()


def test_a_value_that_does_not_fit_is_refused_and_nothing_is_added(url: str) -> None:
    frame = frame_of([{"small": 2**31}])
    with psycopg.connect(url) as connection, pytest.raises(pl.exceptions.PolarsError):
        copy_rows(connection, sql.Identifier("binary_rows"), frame)
    frame = frame_of([{"told": "{broken"}])
    with psycopg.connect(url) as connection, pytest.raises(psycopg.Error, match="json"):
        copy_rows(connection, sql.Identifier("binary_rows"), frame)


def test_rows_with_arrays_go_as_text(url: str) -> None:
    frame = frame_of([{"word": 'a "quoted" \\N\n', "real": 0.1}]).with_columns(
        words=pl.lit('{"x y",z}'), at=pl.lit(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1))
    )
    with psycopg.connect(url) as connection:
        copy_rows(connection, sql.Identifier("text_rows"), frame)
        row = connection.execute("select word, real, words, day from text_rows").fetchone()
    assert row == ('a "quoted" \\N\n', 0.1, ["x y", "z"], None)


def test_more_rows_than_a_chunk_arrive_in_order(url: str) -> None:
    count = 120_001
    frame = pl.DataFrame({"number": range(count), "word": [f"w{n}" for n in range(count)]})
    with psycopg.connect(url) as connection:
        copy_rows(connection, sql.Identifier("binary_rows"), frame)
        asked = "select count(*), count(*) filter (where word = 'w' || number) from binary_rows"
        assert connection.execute(asked).fetchone() == (count, count)
        connection.rollback()
