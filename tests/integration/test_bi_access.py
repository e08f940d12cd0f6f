"""Logins of BI tools on a real PostgreSQL: what they see, and that they cannot get out."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from dbt_runs import run_dbt
from installation import Installation
from typer.testing import CliRunner
from warehouse_data import contract_rows, fresh_warehouse, query, vehicle, vehicle_hours

from fleet_assets.commands.bi import bi as app
from fleet_assets.errors import FleetError
from fleet_assets.local.databases import with_login
from fleet_assets.telemetry.recent import Extent, Level
from fleet_assets.warehouse.bi_logins import Limits, grant_login
from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.recent_slices import make_slices
from fleet_assets.warehouse.telemetry_recent import note_extent
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HOUR = "2026-01-31T05"
NUMBERS = itertools.count()
OF_FLEETS = (
    "dim_vehicles", "dim_fleets", "fct_vehicle_hours", "fct_vehicle_days", "fct_trips",
    "fct_anomalies", "fct_harsh_events", "fct_fault_codes", "fct_fuel_events", "mart_fleet_days",
    "mart_vehicle_features", "mart_fuel_efficiency", "mart_idling_cost", "mart_utilisation",
    "mart_fleet_health", "mart_driver_days", "mart_type_days", "telemetry_recent",
    "telemetry_minutes", "mart_anomaly_delays", "mart_sla_days",
)  # fmt: skip


@dataclass(frozen=True)
class Marts:
    url: str
    state: Path

    def login(self, *fleets: str, limits: Limits | None = None) -> str:
        """Address of a new login that sees these fleets; none: all."""
        name = f"reader_{next(NUMBERS)}"
        password = grant_login(self.url, name, fleets or None, "test", limits or Limits())
        assert password
        return with_login(self.url, name, password)


@pytest.fixture(scope="module")
def marts(services: Installation, tmp_path_factory: pytest.TempPathFactory) -> Marts:
    """A vehicle of each of two fleets, with an hour, a trip and an anomaly."""
    url = fresh_warehouse(services, "bi_access")
    import_vehicles(url, [vehicle(1, fleet_id="north"), vehicle(2, fleet_id="south")], "test.csv")
    start = hour_start(HOUR)
    both = (("T-1", "a" * 32, "anna"), ("T-2", "b" * 32, "ben"))
    same = {"event_hour": HOUR, "started_at": start, "ended_at": start + timedelta(minutes=9)}
    trips = [
        same | {"vehicle_id": v, "trip_id": i, "trip_kind": "motion", "state": "closed",
                "driver_id": driver, "samples": 1, "refuelled_percent": 40.0}
        for v, i, driver in both
    ]  # fmt: skip
    anomalies = [
        same | {"vehicle_id": v, "anomaly_id": i, "finding_id": i, "anomaly_type": "harsh_braking",
                "condition": "R05", "rule_id": "R05", "severity": "low", "state": "closed",
                "source": "rule", "severity_history": "[]", "evidence": "{}",
                "detected_at": start, "confidence": 1.0}
        for v, i, _ in both
    ]  # fmt: skip
    codes = [
        {"event_hour": HOUR, "vehicle_id": v, "code": code, "first_seen": start, "last_seen": start}
        for v, *_ in both
        for code in (None, "P0300")
    ]
    frames = {
        "vehicle_codes": contract_rows("vehicle_codes", *codes),
        "vehicle_hours": vehicle_hours(*({"event_hour": HOUR, "vehicle_id": v} for v, *_ in both)),
        "trips": contract_rows("trips", *trips),
        "anomalies": contract_rows("anomalies", *anomalies),
    }
    replace_hours(url, frames, [HOUR], [LedgerEntry("warehouse", HOUR, 1, rows=2)])
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into warehouse.anomaly_changes (anomaly_id, kind, payload)"
            " values (%s, 'opened', '{}')",
            [(i,) for _, i, _ in both],
        )
    made = Marts(url, tmp_path_factory.mktemp("dbt"))
    run_dbt(url, made.state, "run")
    recent(url, start)
    return made


def recent(url: str, start: datetime) -> None:
    """A row of each vehicle in both levels of recent telemetry."""
    tables: tuple[Level, ...] = ("full", "minutes")
    for level in tables:
        make_slices(url, level, [start])
        with psycopg.connect(url) as connection:
            connection.execute(
                f"insert into warehouse.telemetry_{level}"  # type: ignore[arg-type]
                " (vehicle_id, event_time, conflict, null_signals)"
                f" select id, '{start}', false, '{{}}' from warehouse.vehicles"
            )
    note_extent(url, Extent(start, start), is_cut=False, size=1, most_bytes=2)


@pytest.mark.parametrize("rebuilt", ["as first built", "a window rebuilt", "all rebuilt"])
def test_a_login_of_a_fleet_sees_its_rows_only_and_others_see_all(
    marts: Marts, rebuilt: str
) -> None:
    if rebuilt == "a window rebuilt":
        run_dbt(marts.url, marts.state, "run", touched=[HOUR])
    elif rebuilt == "all rebuilt":
        run_dbt(marts.url, marts.state, "run", "--full-refresh")
    of = {
        "north": marts.login("north"), "south": marts.login("south"),
        "both": marts.login("north", "south"), "all": marts.login(),
    }  # fmt: skip
    for mart in OF_FLEETS:
        seen = {
            who: {fleet for (fleet,) in query(url, f"select fleet_id from marts.{mart}")}
            for who, url in of.items()
        }
        everything = {"north", "south"}
        assert seen == {
            "north": {"north"}, "south": {"south"}, "both": everything, "all": everything,
        }, mart  # fmt: skip
    drivers = {
        who: query(url, "select driver_id from marts.dim_drivers") for who, url in of.items()
    }
    assert (drivers["north"], drivers["south"]) == ([("anna",)], [("ben",)])
    scored = {
        who: query(url, "select driver_id from marts.mart_driver_scores") for who, url in of.items()
    }
    assert (scored["north"], scored["south"]) == ([("anna",)], [("ben",)])
    for url in of.values():
        assert query(url, "select count(*) > 18000 from marts.dim_dates") == [(True,)]
        for seed in ("dim_rules", "driver_score_weights", "idling_costs"):
            query(url, f"select * from marts.{seed}")


WAYS_OUT = (
    "select * from warehouse.vehicles",
    "select * from warehouse.bi_logins",
    "select * from marts.fct_vehicle_hours_2026_01",
    "select * from marts.mart_data_quality",
    "select * from marts.mart_quality_days",
    "select * from warehouse.telemetry_full",
    "select * from staging.stg_vehicle_hours",
    "select * from intermediate.int_reached_tiers",
    "select * from pg_authid",
    "select pg_read_file('/etc/passwd')",
    "copy (select 1) to program 'true'",
    "create table marts.mine (a int)",
    "create table public.mine (a int)",
    "insert into marts.dim_fleets (fleet_id) values ('x')",
    "delete from marts.fct_vehicle_hours",
    "alter table marts.fct_vehicle_hours disable row level security",
    "drop policy visible_fleets on marts.fct_vehicle_hours",
    "create or replace view marts.visible_fleets as select 'south'::text as fleet_id",
    "create or replace function marts.sees_all_fleets() returns bool language sql as 'select true'",
    "set role bi_reader",
    "set role postgres",
    "grant bi_reader to current_user",
    "alter role current_user superuser",
    "insert into warehouse.bi_logins values (current_user, null, 'me')",
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_login_of_a_fleet_cannot_get_out(marts: Marts, way: str) -> None:
    with psycopg.connect(_mine(marts), autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.Error) as refused:
            connection.execute(way)  # type: ignore[call-overload]
        assert isinstance(
            refused.value,
            psycopg.errors.InsufficientPrivilege | psycopg.errors.InvalidParameterValue,
        ), refused.value


def heard_of(marts: Marts, relations: Iterable[str]) -> set[str]:
    """What a function hears that a reader of north puts before the filter, if it can."""
    heard: set[str] = set()
    with psycopg.connect(_mine(marts), autocommit=True) as connection:
        connection.add_notice_handler(lambda told: heard.add(told.message_primary or ""))
        connection.execute("set default_transaction_read_only = off")
        connection.execute(
            "create function pg_temp.leak(text) returns boolean language plpgsql cost 0.000001"
            " as $$ begin raise notice '%', $1; return true; end $$"
        )
        for name in relations:
            connection.execute(f"select * from {name} where pg_temp.leak(fleet_id)")  # type: ignore[arg-type]
    return heard


def test_a_function_of_the_readers_own_never_runs_on_hidden_rows(marts: Marts) -> None:
    assert heard_of(marts, [f"marts.{mart}" for mart in OF_FLEETS]) == {"north"}
    with psycopg.connect(marts.url, autocommit=True) as connection:  # the test can tell
        connection.execute(
            "create view marts.careless as select fleet_id from warehouse.vehicles"
            " where (select marts.sees_all_fleets())"
            " or fleet_id in (select fleet_id from marts.visible_fleets)"
        )
        connection.execute("grant select on marts.careless to bi_fleet_reader")
        try:
            assert heard_of(marts, ["marts.careless"]) == {"north", "south"}
        finally:
            connection.execute("drop view marts.careless")


def test_sqlalchemy_reflects_all_that_a_login_may_read(marts: Marts) -> None:
    engine = sqlalchemy.create_engine(marts.login().replace("://", "+psycopg://", 1))
    metadata = sqlalchemy.MetaData(schema="marts")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Did not recognize type", for one
        metadata.reflect(engine, views=True)
    readable = {
        name
        for (name,) in query(
            marts.url,
            "select oid::regclass::text from pg_class where relnamespace = 'marts'::regnamespace"
            " and relkind in ('r', 'p', 'v') and not relispartition"
            " and has_table_privilege('bi_reader', oid, 'select')",
        )
    }
    assert {f"marts.{mart}" for mart in (*OF_FLEETS, "mart_as_of", "dim_dates")} <= readable
    assert readable <= set(metadata.tables)
    for name in readable:
        table = metadata.tables[name]
        assert table.comment, name
        for column in table.columns:
            assert column.comment, f"{name}.{column.name}"
            assert not isinstance(column.type, sqlalchemy.types.NullType), f"{name}.{column.name}"
    recent = metadata.tables["marts.telemetry_recent"].columns
    assert isinstance(recent["event_time"].type, sqlalchemy.DateTime)
    assert recent["event_time"].type.timezone
    assert isinstance(recent["dtc"].type, sqlalchemy.ARRAY)
    hours = metadata.tables["marts.fct_vehicle_hours"]
    with engine.connect() as connection:
        asked = sqlalchemy.select(hours.c.fleet_id).where(hours.c.hour_start == hour_start(HOUR))
        assert set(connection.execute(asked).scalars()) == {"north", "south"}
        seen = connection.execute(sqlalchemy.select(recent["fleet_id"], recent["event_time"]))
        assert set(seen.tuples()) == {(fleet, hour_start(HOUR)) for fleet in ("north", "south")}
    engine.dispose()


def test_a_login_reads_only_and_a_query_is_stopped_in_time(marts: Marts) -> None:
    url = marts.login(limits=Limits(statement_timeout_s=1, connections=1))
    with psycopg.connect(url) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(30)")
        connection.rollback()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create temporary table mine (a int)")
        connection.rollback()
        (idle,) = connection.execute("show idle_in_transaction_session_timeout").fetchone() or ("",)
        assert idle == "10min"
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            psycopg.connect(url)


@pytest.fixture
def say(marts: Marts, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("FLEET_POSTGRES_URL", marts.url)
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def test_a_login_is_granted_changed_listed_and_revoked(marts: Marts, say: CliRunner) -> None:
    def told(*words: str) -> str:
        return say.invoke(app, list(words), catch_exceptions=False).output

    first = told("grant", "dashboards", "--fleet", "north", "--statement-timeout", "5")
    assert "dashboards reads marts: the rows of north." in first
    password = first.split("shown this once: ")[1].split()[0]
    url = with_login(marts.url, "dashboards", password)
    with psycopg.connect(url, autocommit=True) as connection:
        seen = "select fleet_id from marts.dim_fleets order by 1"
        assert connection.execute(seen).fetchall() == [("north",)]
        assert "Password" not in told("grant", "dashboards", "--fleet", "south")
        assert connection.execute(seen).fetchall() == [("south",)], "at once"
        assert "all fleets" in told("grant", "dashboards")
        assert connection.execute(seen).fetchall() == [("north",), ("south",)]
        (row,) = [r for r in json.loads(told("list", "--json")) if r["login"] == "dashboards"]
        assert (row["fleet_ids"], row["connected"], row["statement_timeout"]) == (None, 1, "60s")
        assert "dashboards" in told("list")
        renewed = told("grant", "dashboards", "--new-password")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url)
        assert "dashboards is no login any more" in told("revoke", "dashboards")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    again = with_login(marts.url, "dashboards", renewed.split("shown this once: ")[1].split()[0])
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(again)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["grant", "Dashboards"], "is no name of a login"),
        (["grant", "postgres_x; drop"], "is no name of a login"),
        (["grant", "bi_reader"], "that `fleet bi` has not made"),
        (["grant", "someone", "--fleet", "nrth"], "fleets there are: north, south"),
        (["revoke", "nobody_here"], "There is no login nobody_here"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(say: CliRunner, words: list[str], cause: str) -> None:
    with pytest.raises(FleetError, match=cause):
        say.invoke(app, words, catch_exceptions=False)


def _mine(marts: Marts) -> str:
    return marts.login("north")
