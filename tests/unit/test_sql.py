"""`fleet sql`: the lake as read-only tables, answers in every format."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import typer
from telemetry_data import HOUR, LATE_AFTER, land_values, message
from typer.testing import CliRunner, Result

from fleet_assets.commands.lake import register
from fleet_assets.contracts.tables import TABLES
from fleet_assets.errors import FleetError
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.sql import ask
from fleet_assets.lake.store import Lake

KNOWN = frozenset({"v1"})
OTHER_HOUR = "2026-02-01T04"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two hours, one of them refreshed; a folder whose name is no pattern and no URL."""
    lake = Lake(str(tmp_path_factory.mktemp("a b*c?") / "d'ä"))
    first = message(speed=12.5, gps={"lat": 41.881832, "lon": -87.6}, dtc=["P0420"])
    land_values(lake, [first, message(speed=12.5, gps={"lat": 41.881832, "lon": -87.6}), b"oops"])
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    land_values(lake, [message("v1", "2026-02-01T04:10:00.250Z"), message("v1")], start=3)
    refresh_hour(lake, OTHER_HOUR, KNOWN, LATE_AFTER)
    return lake


def run(monkeypatch: pytest.MonkeyPatch, lake: Lake, *arguments: str) -> Result:
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["sql", *arguments])


def rows(lake: Lake, query: str) -> list[tuple[object, ...]]:
    with ask(lake, query) as answer:
        return list(answer.fetchall())


def test_values_keep_their_types(lake: Lake) -> None:
    query = f"SELECT speed, gps_lat, dtc, event_time FROM telemetry WHERE event_hour = '{HOUR}'"
    ((speed, lat, dtc, time),) = rows(lake, query)
    assert (speed, lat, dtc) == (Decimal("12.50"), Decimal("41.881832"), ["P0420"])
    assert isinstance(time, datetime)
    assert time.astimezone(UTC) == datetime(2026, 2, 1, 5, tzinfo=UTC)


def test_an_hour_reads_its_files_only(lake: Lake) -> None:
    query = f"EXPLAIN ANALYZE FROM telemetry WHERE event_hour = '{HOUR}'"
    (plan,) = rows(lake, query)
    assert "Total Files Read: 1 " in str(plan[1]), plan[1]


def test_messages_that_wait_are_counted_as_pending(lake: Lake) -> None:
    query = """SELECT event_hour, offset_start, read, accepted, duplicate, rejected, pending
               FROM telemetry_outcomes ORDER BY ALL"""
    assert rows(lake, query) == [
        (OTHER_HOUR, 3, 1, 1, 0, 0, 0),
        (HOUR, 0, 3, 1, 0, 2, 0),
        (HOUR, 3, 1, 0, 0, 0, 1),
    ]


def test_every_message_is_in_the_outcomes_before_the_first_refresh(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, [message(), b"oops"])
    assert rows(lake, "SELECT sum(read), sum(pending) FROM telemetry_outcomes") == [(2, 2)]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_a_table_that_is_not_there_is_empty_with_its_columns(tmp_path: Path, table: object) -> None:
    lake = Lake(str(tmp_path / "none"))
    with ask(lake, f"FROM {table.name}") as answer:  # type: ignore[attr-defined]
        assert answer.columns == table.names  # type: ignore[attr-defined]
        assert answer.fetchall() == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "query",
    [
        "WITH a AS (SELECT 1) FROM a", "FROM telemetry LIMIT 1", "DESCRIBE telemetry",
        "SUMMARIZE telemetry", "EXPLAIN FROM telemetry", "VALUES (1)", "SELECT ';' ; -- done",
        "/* note */ SELECT 1", "explain analyze select count(*) from telemetry;",
    ],
)  # fmt: skip
def test_what_reads_is_answered(lake: Lake, query: str) -> None:
    assert rows(lake, query)


def test_show_tables_lists_the_contracts(lake: Lake) -> None:
    assert {name for (name,) in rows(lake, "SHOW TABLES")} == {table.name for table in TABLES}


@pytest.mark.parametrize(
    "query",
    [
        "DROP VIEW telemetry", "CREATE TABLE x AS SELECT 1", "INSERT INTO telemetry VALUES (1)",
        "COPY (SELECT 1) TO 'out.csv'", "ATTACH 'x.db'", "SET threads = 1", "INSTALL httpfs",
        "PRAGMA version", "SELECT 1; SELECT 2", "", "  -- nothing",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'", "EXPLAIN DROP VIEW telemetry",
        "EXPLAIN (FORMAT json) CREATE TABLE x AS SELECT 1",
    ],
)  # fmt: skip
def test_what_does_more_than_read_is_refused_in_one_line(lake: Lake, query: str) -> None:
    with pytest.raises(FleetError, match="fleet sql takes") as error:
        rows(lake, query)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('/etc/hostname')", "FROM glob('/*')", "FROM 'pyproject.toml'",
        "FROM read_csv('pyproject.toml')", "FROM KNOWN", "FROM lake",
        "FROM query('COPY (SELECT 1) TO ''out.csv''')",
    ],
)  # fmt: skip
def test_nothing_else_than_the_lake_can_be_read(lake: Lake, query: str) -> None:
    with pytest.raises(FleetError):
        rows(lake, query)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM telemetry", "nope"),
        ("SELECT * FROM nope", "The tables are raw_telemetry"),
        ("SELECT CAST(event_hour AS INTEGER) FROM telemetry", HOUR[:7]),
    ],
)
def test_a_mistake_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, lake: Lake, query: str, told: str
) -> None:
    done = run(monkeypatch, lake, query, "--format", "csv")
    assert isinstance(done.exception, FleetError)
    assert told in str(done.exception)
    assert "\n" not in str(done.exception)


MIXED = """SELECT event_time, speed, dtc, null_signals, value, 1 AS same, 2 AS same, '' AS nothing,
    sum(1) AS whole, 'nan'::DOUBLE AS odd, NULL AS absent, 'a,"b' AS text
    FROM telemetry JOIN (SELECT min(value) AS value FROM raw_telemetry WHERE value = 'oops'::BLOB)
        ON event_hour = '2026-02-01T05'
    GROUP BY ALL"""


def test_json_is_an_array_of_objects(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    done = run(monkeypatch, lake, MIXED, "--format", "json")
    assert json.loads(done.stdout) == [
        {
            "event_time": "2026-02-01T05:00:00Z", "speed": 12.5, "dtc": ["P0420"],
            "null_signals": [], "value": "oops", "same": 1, "same_1": 2, "nothing": "",
            "whole": 1, "odd": None, "absent": None, "text": 'a,"b',
        }
    ]  # fmt: skip
    nothing = run(monkeypatch, lake, "FROM telemetry LIMIT 0", "--format", "json")
    assert json.loads(nothing.stdout) == []


def test_csv_has_a_header_and_one_row_a_line(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    done = run(monkeypatch, lake, MIXED, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["event_time"] == "2026-02-01T05:00:00Z"
    assert (row["speed"], row["dtc"], row["text"]) == ("12.50", '["P0420"]', 'a,"b')
    empty = run(monkeypatch, lake, "SELECT vehicle_id, speed FROM telemetry LIMIT 0",
                "--format", "csv")  # fmt: skip
    assert empty.stdout == "vehicle_id,speed\n"


def test_fractions_of_seconds_are_kept(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    query = "SELECT max(event_time) AS t FROM telemetry WHERE event_hour = '2026-02-01T04'"
    done = run(monkeypatch, lake, query, "--format", "csv")
    assert done.stdout == "t\n2026-02-01T04:10:00.25Z\n"


def test_parquet_keeps_types(monkeypatch: pytest.MonkeyPatch, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    run(monkeypatch, lake, "FROM telemetry ORDER BY event_time", "--output", str(path))
    found = pl.read_parquet(path)
    assert found.height == 2
    assert found.schema["gps_lat"] == pl.Decimal(8, 6)
    assert found.schema["event_time"].is_temporal()
    assert isinstance(run(monkeypatch, lake, "SELECT 1", "--format", "parquet").exception,
                      FleetError)  # fmt: skip


def test_a_table_shows_each_row_on_a_line(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    done = run(monkeypatch, lake, "SELECT vehicle_id, speed FROM telemetry ORDER BY ALL")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["vehicle_id", "speed"], ["v1", "12.50"], ["v1"],
    ]  # fmt: skip


def test_a_long_table_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    done = run(monkeypatch, lake, "SELECT i FROM range(5000) AS r(i)")
    assert len(done.stdout.splitlines()) == 1001
    assert "first 1,000 rows" in done.stderr
    full = run(monkeypatch, lake, "SELECT i FROM range(50000) AS r(i) ORDER BY i", "--format",
               "csv")  # fmt: skip
    assert full.stdout.splitlines()[-1] == "49999"
