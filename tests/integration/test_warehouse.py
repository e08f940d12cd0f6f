"""Migrations, the vehicle register and whole-hour loads on a real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import psycopg
import pytest
import typer
from installation import Installation
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, outcomes, query, vehicle, vehicle_hours

from fleet_assets.commands import vehicles as vehicles_command
from fleet_assets.contracts.tables import TABLE_BY_NAME, VEHICLE_HOURS
from fleet_assets.errors import FleetError
from fleet_assets.local.databases import ensure_database, with_database
from fleet_assets.warehouse import migrate
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger
from fleet_assets.warehouse.load import replace_hours
from fleet_assets.warehouse.vehicles import ImportResult, import_vehicles, known_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOUR, NEXT = "2026-01-31T23", "2026-02-01T00"  # two month partitions
COLUMNS = (
    "select column_name, data_type from information_schema.columns "
    "where table_schema = %s and table_name = %s"
)


@pytest.fixture
def warehouse(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, request.node.name[:60].lower())


# Migrations


def test_processes_that_migrate_at_once_do_not_collide(services: Installation) -> None:
    urls = [with_database(services.endpoints.postgres_url, f"race{n}") for n in (1, 2)]
    for url in urls:
        ensure_database(url)
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(migrate.upgrade, urls * 2))
    for url in urls:
        migrate.upgrade(url)
        schemas = "select count(*) from pg_namespace where nspname = any(%s)"
        assert query(url, schemas, ["warehouse", "staging", "intermediate", "marts"]) == [(4,)]


def test_a_server_that_is_away_or_too_old_is_one_line(
    warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FleetError, match=r"127\.0\.0\.1:1/x does not answer.*fleet up") as caught:
        migrate.upgrade("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 99)
    with pytest.raises(FleetError, match="99 or newer is needed"):
        migrate.upgrade(warehouse)


@pytest.mark.parametrize("name", ["vehicle_hours", "vehicle_outcomes", "telemetry_outcomes"])
def test_tables_have_the_columns_of_their_contracts(services: Installation, name: str) -> None:
    url = fresh_warehouse(services, "contracts")
    found = {column for column, _ in query(url, COLUMNS, "warehouse", name)}
    added = {"hour_start", "unknown_vehicle"} if name == "vehicle_outcomes" else {"hour_start"}
    assert found == {*TABLE_BY_NAME[name].names} | added


def test_the_mart_of_hours_is_like_the_table_it_is_filled_from(warehouse: str) -> None:
    loaded = query(warehouse, COLUMNS, "warehouse", "vehicle_hours")
    shown = query(warehouse, COLUMNS, "marts", "fct_vehicle_hours")
    of_then = [("fleet_id", "text"), ("vehicle_type", "text"), ("date_local", "date")]
    assert shown == loaded + of_then
    assert [name for name, _ in loaded] == VEHICLE_HOURS.names


def test_bi_reader_sees_marts_only(warehouse: str) -> None:
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("create table marts.made_later as select 1 as answer")
        connection.execute("set role bi_reader")
        assert connection.execute("select answer from marts.made_later").fetchall() == [(1,)]
        assert connection.execute("select * from marts.fct_vehicle_hours").fetchall() == []
        for statement in ("select * from warehouse.vehicles", "delete from marts.made_later"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


# Vehicles


def test_an_import_twice_changes_nothing(warehouse: str) -> None:
    rows = [vehicle(1), vehicle(2, tank_gallons=150.5)]
    assert import_vehicles(warehouse, rows, "a.csv") == ImportResult(2, 0, 0)
    assert import_vehicles(warehouse, rows, "b.csv") == ImportResult(0, 0, 2)
    assert query(warehouse, "select count(*) from warehouse.vehicles_history") == [(2,)]
    frame = known_vehicles(warehouse)
    assert frame["vehicle_id"].to_list() == ["T-1", "T-2"]
    assert frame["tank_gallons"].to_list() == [None, 150.5]


def test_history_keeps_every_version_without_gaps(warehouse: str) -> None:
    import_vehicles(warehouse, [vehicle(1), vehicle(2)], "first.csv")
    change = [vehicle(1, region="EU"), vehicle(3)]
    assert import_vehicles(warehouse, change, "second.csv") == ImportResult(1, 1, 0)
    versions = query(
        warehouse,
        "select id, region, source, change, valid_from = '-infinity', valid_to = 'infinity', "
        "lag(valid_to) over (partition by id order by valid_from) is not distinct from "
        "nullif(valid_from, '-infinity') from warehouse.vehicles_history order by id, valid_from",
    )
    assert versions == [
        ("T-1", "unknown", "first.csv", "registered", True, False, True),
        ("T-1", "EU", "second.csv", "changed", False, True, True),
        ("T-2", "unknown", "first.csv", "registered", True, True, True),
        ("T-3", "unknown", "second.csv", "registered", True, True, True),
    ]


def test_two_vehicles_cannot_share_a_vin_but_may_exchange_theirs(warehouse: str) -> None:
    one, two = vehicle(1), vehicle(2)
    import_vehicles(warehouse, [one, two], "a.csv")
    with pytest.raises(FleetError, match=f"{one.vin} would belong to T-1 and T-3"):
        import_vehicles(warehouse, [vehicle(4), vehicle(3, vin=one.vin)], "b.csv")
    assert known_vehicles(warehouse)["vehicle_id"].to_list() == ["T-1", "T-2"]
    swapped = [vehicle(1, vin=two.vin), vehicle(2, vin=one.vin)]
    assert import_vehicles(warehouse, swapped, "c.csv") == ImportResult(0, 2, 0)


def test_the_command_imports_and_lists(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", warehouse)
    monkeypatch.setenv("FLEET_KAFKA_BOOTSTRAP_SERVERS", "unused:9092")
    app = typer.Typer()
    vehicles_command.register(app)
    file = tmp_path / "fleet.csv"
    file.write_text(
        "id,vin,make,model,year,vehicle_type\nT-1,1FTEETXX2HB000001,Volvo,FH,2020,van\n"
    )
    runner = CliRunner()
    done = runner.invoke(app, ["vehicles", "import", str(file)])
    assert done.stdout == "fleet.csv: 1 new, 0 changed, 0 unchanged.\n"
    listed = runner.invoke(app, ["vehicles", "list", "--format", "csv"]).stdout
    copied = tmp_path / "copy.csv"
    copied.write_text(listed)
    again = runner.invoke(app, ["vehicles", "import", str(copied)])
    assert again.stdout == "copy.csv: 0 new, 0 changed, 1 unchanged.\n"


# Loads


def test_replacing_hours_twice_gives_the_same_and_spares_other_hours(warehouse: str) -> None:
    both = vehicle_hours(
        {"event_hour": HOUR, "vehicle_id": 'odd ",\\N id', "distance_miles": 0.1},
        {"event_hour": NEXT, "vehicle_id": "T-1", "messages": 3},
    )
    ledger = [LedgerEntry("warehouse", hour, 7, rows=1) for hour in (HOUR, NEXT)]
    assert replace_hours(warehouse, {"vehicle_hours": both}, [HOUR, NEXT], ledger) == 2
    one = both.filter(pl.col("event_hour") == NEXT).with_columns(messages=4)
    for _ in range(2):
        replace_hours(warehouse, {"vehicle_hours": one}, [NEXT])
    rows = query(
        warehouse,
        "select vehicle_id, messages, distance_miles, rpm_avg from warehouse.vehicle_hours "
        "order by hour_start",
    )
    assert rows == [('odd ",\\N id', 1, 0.1, None), ("T-1", 4, None, None)]
    assert [(entry.event_hour, entry.processed_version) for entry in read_ledger(warehouse)] == [
        (HOUR, 7),
        (NEXT, 7),
    ]


def test_an_hour_without_rows_ends_empty(warehouse: str) -> None:
    rows = vehicle_hours({"event_hour": HOUR, "vehicle_id": "T-1"})
    replace_hours(warehouse, {"vehicle_hours": rows}, [HOUR])
    assert replace_hours(warehouse, {"vehicle_hours": rows.clear()}, [HOUR]) == 0
    assert query(warehouse, "select count(*) from warehouse.vehicle_hours") == [(0,)]


def test_a_load_that_fails_leaves_rows_and_ledger_as_they_were(warehouse: str) -> None:
    good = vehicle_hours({"event_hour": HOUR, "vehicle_id": "T-1"})
    replace_hours(warehouse, {"vehicle_hours": good}, [HOUR], [LedgerEntry("warehouse", HOUR, 1)])
    twice = pl.concat([good, good])
    with pytest.raises(FleetError, match="duplicate key"):
        replace_hours(
            warehouse, {"vehicle_hours": twice}, [HOUR], [LedgerEntry("warehouse", HOUR, 2)]
        )
    assert query(warehouse, "select count(*) from warehouse.vehicle_hours") == [(1,)]
    assert read_ledger(warehouse)[0].processed_version == 1
    other = vehicle_hours({"event_hour": NEXT, "vehicle_id": "T-1"})
    with pytest.raises(ValueError, match=NEXT):
        replace_hours(warehouse, {"vehicle_hours": other}, [HOUR])


def test_readers_see_one_load_or_the_other_in_all_tables(warehouse: str) -> None:
    def load(number: int) -> None:
        frames = outcomes(HOUR, {f"T-{n}": {"accepted": number} for n in range(200)})
        frames["vehicle_hours"] = vehicle_hours(
            *({"event_hour": HOUR, "vehicle_id": f"T-{n}", "messages": number} for n in range(200))
        )
        replace_hours(warehouse, frames, [HOUR])

    statement = (
        "select messages, count(*) from warehouse.vehicle_hours group by 1 union all "
        "select accepted, count(*) from warehouse.vehicle_outcomes group by 1"
    )
    load(1)
    seen, stop = [], threading.Event()

    def read() -> None:
        with psycopg.connect(warehouse, autocommit=True) as connection:
            while not stop.is_set():
                seen.append(connection.execute(statement).fetchall())

    with ThreadPoolExecutor(4) as pool:
        reader = pool.submit(read)
        list(pool.map(load, [2, 3] * 8))  # three writers of one hour at a time
        stop.set()
        reader.result()
    assert len(seen) > 10
    for (first, first_rows), (second, second_rows) in seen:
        assert (first, first_rows, second_rows) == (second, 200, 200)


def test_a_load_whose_connection_breaks_is_tried_again(warehouse: str) -> None:
    rows = vehicle_hours({"event_hour": HOUR, "vehicle_id": "T-1"})
    replace_hours(warehouse, {"vehicle_hours": rows}, [HOUR])
    waiting = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where "
        "datname = current_database() and wait_event_type = 'Lock' and application_name = 'fleet'"
    )
    with psycopg.connect(warehouse) as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute("lock table warehouse.vehicle_hours")
        load = pool.submit(replace_hours, warehouse, {"vehicle_hours": rows}, [HOUR])
        with psycopg.connect(warehouse, autocommit=True) as killer:
            while killer.execute(waiting).fetchone() == (0,):
                threading.Event().wait(0.02)
        blocker.commit()
        assert load.result(60) == 1
