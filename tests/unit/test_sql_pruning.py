"""SQL opens the files that a query needs, and answers as if it had opened all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from telemetry_data import HOUR, LATE_AFTER, land_values, message

from fleet_assets.contracts.tables import TELEMETRY, VEHICLE_HOURS
from fleet_assets.errors import FleetError
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.sql import LakeDatabase
from fleet_assets.lake.store import Lake
from fleet_assets.notebook import connect

START = datetime(2026, 2, 1, 4, tzinfo=UTC)
LONG = "v" * 100


def row(vehicle: str, time: datetime, speed: float | None = None) -> dict[str, object]:
    return {
        "event_hour": f"{time:%Y-%m-%dT%H}", "vehicle_id": vehicle, "event_time": time,
        "speed": speed, "null_signals": [], "conflict": False,
    }  # fmt: skip


def write(lake: Lake, table: str, rows: list[dict[str, object]]) -> None:
    """A commit by delta-rs, whose bounds of times are cut to milliseconds."""
    snapshot = lake.open(table)
    schema = snapshot.contract.polars_schema
    frame = pl.DataFrame(rows, schema=dict.fromkeys(schema)).cast(schema)
    write_deltalake(snapshot.delta, frame.to_arrow(), mode="append")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three hours of telemetry with two files each: vehicles a, b and vehicles c, d."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for hour in range(3):
        for number, pair in enumerate(("ab", f"cd{LONG}")):
            names = [*pair[:2], *([pair[2:]] if pair[2:] else [])]
            begin = START + timedelta(hours=hour, minutes=20 * number)
            times = [begin + timedelta(minutes=5 * i, microseconds=999_999) for i in range(3)]
            write(
                lake, "telemetry",
                [row(v, t, None if v == "d" else hour * 10 + i)
                 for v in names for i, t in enumerate(times)],
            )  # fmt: skip
    hours = [
        dict.fromkeys(VEHICLE_HOURS.names)
        | {
            "event_hour": f"{START + timedelta(hours=hour):%Y-%m-%dT%H}", "vehicle_id": vehicle,
            "hour_start": START + timedelta(hours=hour), "messages": 3, "conflicts": 0,
            "first_event_time": START + timedelta(hours=hour),
            "last_event_time": START + timedelta(hours=hour), "seconds_seen": 1.0,
            "invalid_values": 0,
        }
        | {name: 0.0 for name in VEHICLE_HOURS.names if name.startswith("missing_")}
        for hour in range(3) for vehicle in "abcd"
    ]  # fmt: skip
    write(lake, "vehicle_hours", hours)
    return lake


@pytest.fixture(scope="module")
def db(lake: Lake) -> Iterator[LakeDatabase]:
    with connect(lake.url) as db:
        yield db


@pytest.fixture(scope="module")
def whole(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same rows in tables of DuckDB's own."""
    with duckdb.connect() as plain:
        plain.execute("SET TimeZone = 'UTC'")
        for name in ("telemetry", "vehicle_hours"):
            plain.register("rows", lake.open(name).read().to_arrow())
            plain.execute(f"CREATE TABLE {name} AS FROM rows")
        yield plain


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("true", 6),
        ("vehicle_id = 'a'", 3),
        ("vehicle_id = 'zz'", 0),
        ("vehicle_id IN ('a', 'b')", 3),
        ("vehicle_id = 'a' OR vehicle_id = 'd'", 6),
        ("vehicle_id LIKE 'c%'", 3),
        ("event_hour = '2026-02-01T05'", 2),
        ("event_hour BETWEEN '2026-02-01T05' AND '2026-02-01T06' AND vehicle_id = 'd'", 2),
        ("event_time >= '2026-02-01 06:00:00'", 2),
        ("event_time >= '2026-02-01 06:15:00'", 1),
        ("event_time > TIMESTAMP '2026-02-01 06:00:00' AND vehicle_id < 'c'", 1),
        ("date_trunc('hour', event_time) = TIMESTAMPTZ '2026-02-01 04:00:00Z'", 2),
        ("event_time > now() - INTERVAL 1 hour", 0),
        ("event_time >= '2026-02-01T04:10:00.999999Z' AND vehicle_id = 'a'", 3),
        ("speed > 15", 6),
        (f"vehicle_id = '{LONG}'", 3),
    ],
)
def test_only_files_that_may_hold_rows_are_opened(
    db: LakeDatabase, whole: duckdb.DuckDBPyConnection, where: str, files: int
) -> None:
    query = f"SELECT vehicle_id, event_time, speed FROM telemetry WHERE {where} ORDER BY ALL"
    assert len(db.files(query)["telemetry"]) == files
    assert db.sql(query).fetchall() == whole.sql(query).fetchall()


@pytest.mark.parametrize(
    "query",
    [
        "WITH t AS (FROM telemetry) SELECT speed FROM t"
        " WHERE vehicle_id = 'a' AND event_hour = '{h}'",
        "SELECT speed FROM (SELECT * FROM telemetry WHERE event_hour = '{h}')"
        " WHERE vehicle_id = 'a'",
        "SELECT t.speed FROM telemetry t JOIN vehicle_hours h USING (event_hour, vehicle_id)"
        " WHERE h.event_hour = '{h}' AND h.vehicle_id = 'a'",
        "SELECT speed FROM telemetry AS t(hour, vehicle) WHERE hour = '{h}' AND vehicle = 'a'",
    ],
)  # fmt: skip
def test_conditions_are_found_wherever_they_stand(
    db: LakeDatabase, whole: duckdb.DuckDBPyConnection, query: str
) -> None:
    asked = query.format(h=HOUR)
    assert len(db.files(asked)["telemetry"]) == 1
    assert sorted(db.sql(asked).fetchall()) == sorted(whole.sql(asked).fetchall())


@pytest.mark.parametrize("time", ["hour_start", "first_event_time", "last_event_time"])
def test_a_time_within_the_hour_implies_the_hour(db: LakeDatabase, time: str) -> None:
    query = f"SELECT count(*) FROM vehicle_hours WHERE {time} = '2026-02-01 05:00:00'"
    assert len(db.files(query)["vehicle_hours"]) == 1
    assert db.sql(query).fetchall() == [(4,)]


ATOMS = [
    "vehicle_id = 'a'", "vehicle_id <> 'a'", "vehicle_id IN ('b', 'd')", "vehicle_id > 'b'",
    "vehicle_id NOT IN ('a', 'c')", "vehicle_id LIKE 'v%'", "vehicle_id IS NULL", "speed IS NULL",
    "speed >= 11", "event_hour = '2026-02-01T05'", "event_hour > '2026-02-01T04'",
    "event_time < '2026-02-01 05:05:00.999999'", "event_time = '2026-02-01 05:05:00.999999'",
    "event_time <> '2026-02-01 05:05:00.999999'", "substr(event_hour, 12) = '06'",
    "CAST(event_time AS DATE) = '2026-02-01'", "coalesce(speed, 10) = 10", "false",
    "event_time BETWEEN '2026-02-01 04:20' AND '2026-02-01 05:20'", "vehicle_id = 'a' IS TRUE",
]  # fmt: skip
CONDITIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
    ),
    max_leaves=4,
)
FORMS = [
    "SELECT vehicle_id, event_time, speed FROM telemetry WHERE {0}",
    "SELECT count(*) FROM telemetry WHERE {0}",
    "FROM telemetry WHERE {0}",
    "SELECT count(speed), min(event_time) FROM telemetry WHERE {0}",
    "SELECT vehicle_id FROM telemetry WHERE {0}"
    " UNION ALL SELECT event_hour FROM telemetry WHERE {1}",
    "WITH x AS (SELECT vehicle_id, speed FROM telemetry WHERE {0}) SELECT vehicle_id FROM x",
    "SELECT vehicle_id, max(speed) FROM telemetry WHERE {0} GROUP BY 1 HAVING max(speed) > 11",
    "SELECT a.event_time, b.vehicle_id FROM (FROM telemetry WHERE {0}) a"
    " LEFT JOIN (FROM telemetry WHERE {1}) b ON a.event_time = b.event_time",
    "SELECT count(*) FROM telemetry WHERE {0} AND vehicle_id IN"
    " (SELECT vehicle_id FROM telemetry WHERE {1})",
    "SELECT vehicle_id FROM telemetry t WHERE {0} AND NOT EXISTS"
    " (FROM vehicle_hours h WHERE h.vehicle_id = t.vehicle_id AND h.event_hour > t.event_hour)",
    "SELECT messages FROM vehicle_hours NATURAL JOIN (SELECT vehicle_id, event_hour FROM telemetry"
    " WHERE {0})",
    "SELECT event_hour, row_number() OVER (PARTITION BY vehicle_id ORDER BY event_time)"
    " FROM telemetry WHERE {0} QUALIFY row_number() OVER (PARTITION BY vehicle_id"
    " ORDER BY event_time DESC) = 1",
]  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(form=st.sampled_from(FORMS), first=CONDITIONS, second=CONDITIONS)
@example(form=FORMS[1], first="vehicle_id = 'zzz'", second="true")
def test_an_answer_never_depends_on_what_was_left_closed(
    db: LakeDatabase, whole: duckdb.DuckDBPyConnection, form: str, first: str, second: str
) -> None:
    query = form.format(first, second)
    assert sorted(map(repr, db.sql(query).fetchall())) == sorted(
        map(repr, whole.sql(query).fetchall())
    )


def test_bounds_cut_to_milliseconds_hide_no_row_from_a_refresh(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    time = datetime(2026, 2, 1, 5, 0, 1, 123_999, tzinfo=UTC)
    again = message("v1", time.isoformat(), speed=1)
    land_values(lake, [again])
    refresh_hour(lake, HOUR, frozenset({"v1"}), LATE_AFTER)
    rows = lake.open("telemetry").read()
    write_deltalake(lake.open("telemetry").delta, rows.to_arrow(), mode="overwrite")
    land_values(lake, [again], start=1)
    refresh_hour(lake, HOUR, frozenset({"v1"}), LATE_AFTER)
    assert lake.open("telemetry").read().height == 1


# --- a database that stays open ---


def test_it_sees_what_is_new_when_it_is_asked_to(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    count = "SELECT count(*) FROM telemetry"
    with connect(lake.url) as db:
        assert db.sql(count).fetchall() == [(0,)]
        write(lake, "telemetry", [row("a", START)])
        assert db.sql(count).fetchall() == [(0,)]
        db.refresh()
        earlier = db.sql(count)
        assert earlier.fetchall() == [(1,)]
        write(lake, "telemetry", [row("b", START)])
        db.refresh()
        assert db.sql(count).fetchall() == [(2,)]
        assert earlier.fetchall() == [(1,)]


def test_the_lake_of_the_settings_is_opened(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    with connect() as db:
        assert db.sql("SELECT count(*) FROM telemetry").fetchall() == [(45,)]


def test_answers_come_in_the_forms_of_notebooks(db: LakeDatabase) -> None:
    answer = db.sql("SELECT vehicle_id, speed FROM telemetry WHERE vehicle_id = 'a' ORDER BY ALL")
    assert answer.pl()["speed"].to_list() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert answer.to_arrow_table().num_rows == 9


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{lake}/telemetry/x.parquet'", "CREATE TABLE x AS SELECT 1",
        "FROM read_text('{lake}/../secret.txt')", "SET enable_external_access = true",
        "FROM read_text('{lake}/telemetry/../../secret.txt')",
        "FROM read_csv('/etc/hostname')", "ATTACH '{lake}/x.db'",
        "INSERT INTO telemetry SELECT * FROM telemetry", "EXPORT DATABASE '{lake}/x'",
        "FROM query('COPY (SELECT 1) TO ''{lake}/x.csv''')", "EXECUTE x", "CALL pragma_version()",
    ],
)  # fmt: skip
def test_nothing_is_written_and_nothing_else_is_read(
    db: LakeDatabase, lake: Lake, query: str
) -> None:
    (Path(lake.url).parent / "secret.txt").write_text("secret")
    before = sorted(Path(lake.url).rglob("*"))
    with pytest.raises((FleetError, duckdb.Error)):
        db.sql(query.format(lake=lake.url)).fetchall()
    assert sorted(Path(lake.url).rglob("*")) == before


def test_every_type_of_a_contract_has_a_name_in_duckdb() -> None:
    from fleet_assets.contracts.tables import TABLES
    from fleet_assets.lake.sql_pruning import duckdb_type

    with duckdb.connect() as plain:
        for table in TABLES:
            for column in table.columns:
                plain.execute(f"SELECT NULL::{duckdb_type(column.dtype)}")
    assert duckdb_type(TELEMETRY.polars_schema["gps_lat"]) == "DECIMAL(8, 6)"
