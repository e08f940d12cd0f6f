"""dbt on a real PostgreSQL: marts with hand-computed contents, windows, totals, readers.

The tests of this module follow one another on one warehouse, as dbt is slow to start.
"""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from dbt_runs import run_dbt
from installation import Installation
from warehouse_data import fresh_warehouse, outcomes, query, vehicle, vehicle_hours

from fleet_assets.warehouse.dbt_env import touched_vars
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.staleness import mark_marts, pending_marts
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

HOURS = ["2026-01-31T05", "2026-01-31T23", "2026-02-01T00", "2026-02-02T10"]


@dataclass(frozen=True)
class Warehouse:
    url: str
    state: Path

    def dbt(self, *words: str, touched: list[str] | None = None) -> str:
        return run_dbt(self.url, self.state, *words, touched=touched)

    def load(self, hour: str, messages: int, version: int = 1) -> None:
        """T-1 sends these messages in the hour; half as many more cannot be read."""
        frames: dict[LoadedTable, pl.DataFrame] = outcomes(
            hour,
            {
                "T-1": {"accepted": messages, "duplicate": 1, "late": 2},
                "(none)": {"reasons": {"invalid_json": messages // 2}},
            },
        )
        frames["vehicle_hours"] = vehicle_hours(
            {
                "event_hour": hour,
                "vehicle_id": "T-1",
                "messages": messages,
                "engine_seconds": 100.0,
                "idle_seconds": float(messages),
                "distance_miles": 1.5,
            }
        )
        replace_hours(self.url, frames, [hour], [LedgerEntry("warehouse", hour, version, rows=1)])

    def row_versions(self, mart: str, time: str) -> dict[object, set[str]]:
        """Transactions that wrote the rows, by their time."""
        found: dict[object, set[str]] = {}
        for moment, xmin in query(self.url, f"select {time}, xmin::text from marts.{mart}"):
            found.setdefault(moment, set()).add(xmin)
        return found


@pytest.fixture(scope="module")
def built(services: Installation, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Three days, built from nothing with all tests, unit tests included."""
    warehouse = Warehouse(fresh_warehouse(services, "marts"), tmp_path_factory.mktemp("dbt"))
    import_vehicles(warehouse.url, [vehicle(1), vehicle(2)], "test.csv")
    for hour, messages in zip(HOURS, (10, 20, 30, 40), strict=True):
        warehouse.load(hour, messages)
    warehouse.dbt("run", "--empty")
    warehouse.dbt("build")
    return warehouse


def days(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return query(
        warehouse.url,
        "select date_local, vehicle_id, hours_seen, messages, idle_share, distance_miles "
        "from marts.fct_vehicle_days order by date_local",
    )


def quality(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return query(
        warehouse.url,
        "select date_utc, vehicle_id, read, accepted, duplicate, rejected, rejected_invalid_json, "
        "late_share from marts.mart_data_quality order by date_utc, vehicle_id",
    )


def test_marts_hold_what_was_loaded(built: Warehouse) -> None:
    assert query(built.url, "select vehicle_id from marts.dim_vehicles order by 1") == [
        ("T-1",),
        ("T-2",),
    ]
    assert query(
        built.url, "select event_hour, messages from marts.fct_vehicle_hours order by 1"
    ) == list(zip(HOURS, (10, 20, 30, 40), strict=True))
    assert days(built) == [
        (date(2026, 1, 31), "T-1", 2, 30, 0.15, 3.0),
        (date(2026, 2, 1), "T-1", 1, 30, 0.3, 1.5),
        (date(2026, 2, 2), "T-1", 1, 40, 0.4, 1.5),
    ]
    assert quality(built)[:2] == [
        (date(2026, 1, 31), "(none)", 15, 0, 0, 15, 15, 0.0),
        (date(2026, 1, 31), "T-1", 32, 30, 2, 0, 0, 0.125),
    ]


def test_only_touched_windows_change(built: Warehouse) -> None:
    before = {
        "hours": built.row_versions("fct_vehicle_hours", "event_hour"),
        "days": built.row_versions("fct_vehicle_days", "date_local"),
        "quality": built.row_versions("mart_data_quality", "date_utc"),
    }
    for hour in (HOURS[1], HOURS[3]):  # the last one is loaded, but not named
        built.load(hour, 50, version=2)
    built.dbt("build", "--exclude-resource-type", "unit_test", touched=[HOURS[1]])

    hours = built.row_versions("fct_vehicle_hours", "event_hour")
    assert {hour for hour in HOURS if hours[hour] != before["hours"][hour]} == {HOURS[1]}
    # 23:00 may belong to two local days
    for name, mart, day, anew in (
        ("days", "fct_vehicle_days", "date_local", {date(2026, 1, 31), date(2026, 2, 1)}),
        ("quality", "mart_data_quality", "date_utc", {date(2026, 1, 31)}),
    ):
        now = built.row_versions(mart, day)
        assert {day for day in now if now[day] != before[name][day]} == anew
    assert days(built) == [
        (date(2026, 1, 31), "T-1", 2, 60, 0.3, 3.0),
        (date(2026, 2, 1), "T-1", 1, 30, 0.3, 1.5),
        (date(2026, 2, 2), "T-1", 1, 40, 0.4, 1.5),
    ]


def test_rebuilding_a_window_is_idempotent_and_readers_never_miss_it(built: Warehouse) -> None:
    before = days(built), quality(built)
    missing, stop = [], threading.Event()

    def read() -> int:
        times = 0
        with psycopg.connect(built.url, autocommit=True) as connection:
            while not stop.is_set():
                (found,) = connection.execute(
                    "select (select count(*) from marts.fct_vehicle_hours),"
                    " (select count(*) from marts.fct_vehicle_days),"
                    " (select count(*) from marts.mart_data_quality),"
                    " (select count(*) from marts.dim_vehicles)"
                ).fetchall()
                times += 1
                if found != (4, 3, 6, 2):
                    missing.append(found)
        return times

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            built.dbt("run", touched=HOURS[:3])
        finally:
            stop.set()
        assert reader.result() > 100
    assert missing == []
    assert (days(built), quality(built)) == before


def relations(warehouse: Warehouse, kinds: str) -> dict[str, str]:
    """Identity of each relation that dbt has made of these kinds (v: views, r: tables)."""
    # a table that is truncated has another file
    identity = "c.oid || ' ' || c.relfilenode"
    asked = f"select c.oid::regclass::text, {identity} from pg_class c join pg_namespace n"
    return dict(
        query(
            warehouse.url,
            f"{asked} on c.relnamespace = n.oid"
            " where n.nspname in ('marts', 'intermediate', 'staging')"
            " and c.relname not in ('visible_fleets') and c.relkind = any(%s)",
            list(kinds),
        )
    )


def test_a_refresh_leaves_views_and_dimensions_where_they_are(built: Warehouse) -> None:
    before = relations(built, "vr")
    asked, failed, stop = sorted(relations(built, "v")), [], threading.Event()

    def read() -> int:
        times = 0
        with psycopg.connect(built.url, autocommit=True) as connection:
            while not stop.is_set():
                for name in asked:
                    try:
                        connection.execute(f"select t::text from {name} as t limit 1").fetchall()
                    except psycopg.Error as error:
                        failed.append((name, str(error)))
                times += 1
        return times

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            built.dbt("run", touched=HOURS[:1])
        finally:
            stop.set()
        assert reader.result() > 10
    assert failed == []
    assert relations(built, "vr") == before


def test_what_has_changed_is_made_anew_and_what_reads_it_is_there(built: Warehouse) -> None:
    before = relations(built, "vr")
    with psycopg.connect(built.url) as connection:
        connection.execute("drop view staging.stg_vehicle_hours cascade")
        connection.execute(
            "update warehouse.dbt_relations set fingerprint = 'other'"
            " where relation = 'marts.dim_dates'"
        )
    import_vehicles(built.url, [vehicle(3)], "test.csv")
    built.dbt("run", touched=[])
    after = relations(built, "vr")
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    expected = {"staging.stg_vehicle_hours", "marts.dim_dates", "marts.dim_vehicles"}
    assert expected | {"marts.dim_fleets", "marts.mart_utilisation"} == changed  # reads dim_dates
    assert query(built.url, "select count(*) from marts.dim_vehicles") == [(3,)]
    with psycopg.connect(built.url) as connection:
        connection.execute("delete from warehouse.vehicles_history where id = 'T-3'")
        connection.execute("delete from warehouse.vehicles where id = 'T-3'")
    built.dbt("run", touched=[])
    assert query(built.url, "select count(*) from marts.dim_vehicles") == [(2,)]


def test_totals_that_differ_from_the_landed_offsets_fail(built: Warehouse) -> None:
    words = ("test", "--select", "data_quality_totals_equal_outcomes")
    change = "update warehouse.telemetry_outcomes set read = read + %s where event_hour = %s"
    settle = "update warehouse.stage_ledger set processed_at = '2026-03-01'"

    def miscount(by: int) -> None:
        with psycopg.connect(built.url) as connection:
            connection.execute(change, (by, HOURS[0]))
            connection.execute(settle)

    miscount(1)
    with pytest.raises(AssertionError, match="Got 1 result"):
        built.dbt(*words, touched=HOURS[:2])
    built.dbt(*words, touched=[HOURS[2]])  # the fault lies outside this window
    miscount(-1)
    built.dbt(*words, touched=HOURS[:2])


def test_a_var_rebuilds_as_the_environment_does_and_none_rebuilds_all(built: Warehouse) -> None:
    built.dbt("run", "--vars", touched_vars([HOURS[3]]), touched=[])
    assert days(built)[2] == (date(2026, 2, 2), "T-1", 1, 50, 0.5, 1.5)
    everything = days(built), quality(built)
    versions = built.row_versions("fct_vehicle_days", "date_local")
    built.dbt("run", "--full-refresh")
    assert (days(built), quality(built)) == everything
    now = built.row_versions("fct_vehicle_days", "date_local")
    assert all(now[day] != versions[day] for day in now)
    assert query(
        built.url, "select relkind::text from pg_class where relname = 'fct_vehicle_hours'"
    ) == [("p",)]


def test_a_vehicle_that_moves_counts_from_then_on_and_marts_equal_a_full_rebuild(
    built: Warehouse,
) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    past, coming = (hour_key(start + timedelta(hours=number)) for number in (-48, 2))
    for hour in (past, coming):
        built.load(hour, 10)
    built.dbt("run", touched=pending_marts(built.url))
    mark_marts(built.url, read_ledger(built.url, "warehouse"))
    assert pending_marts(built.url) == []

    moved = vehicle(1, fleet_id="south", time_zone="Pacific/Kiritimati")  # UTC+14
    assert import_vehicles(built.url, [moved], "test.csv").updated == 1
    assert pending_marts(built.url) == [coming], "hours that begin after the change"
    built.dbt("run", touched=[coming])
    mark_marts(built.url, read_ledger(built.url, "warehouse"))
    local = (start + timedelta(hours=16)).date()
    for mart, time, found in (
        ("fct_vehicle_hours", "event_hour", {past: "default", coming: "south"}),
        ("fct_vehicle_days", "date_local", {local: "south"}),
    ):
        rows = query(built.url, f"select {time}, fleet_id from marts.{mart}")
        assert {key: fleet for key, fleet in rows if key in found} == found
    assert query(
        built.url, "select fleet_id, is_current from marts.dim_vehicles where vehicle_id = 'T-1'"
        " order by valid_from",
    ) == [("default", False), ("south", True)]  # fmt: skip
    assert query(built.url, "select fleet_id, vehicles from marts.dim_fleets order by 1") == [
        ("default", 1), ("south", 1),
    ]  # fmt: skip

    marts = (
        "dim_vehicles",
        "dim_fleets",
        "fct_vehicle_hours",
        "fct_vehicle_days",
        "mart_fleet_days",
    )
    by_steps = {
        mart: sorted(query(built.url, f"select t::text from marts.{mart} t")) for mart in marts
    }
    built.dbt("run", "--full-refresh")
    for mart, rows in by_steps.items():
        assert sorted(query(built.url, f"select t::text from marts.{mart} t")) == rows, mart


def test_an_empty_run_and_an_empty_window_delete_nothing(built: Warehouse) -> None:
    before = days(built), quality(built)
    built.dbt("run", touched=[])
    built.dbt("run", "--empty", "--select", "fct_vehicle_hours+")
    assert (days(built), quality(built)) == before


def test_bi_reader_reads_what_dbt_built(built: Warehouse) -> None:
    with psycopg.connect(built.url, autocommit=True) as connection:
        connection.execute("set role bi_reader")
        for mart in ("dim_vehicles", "fct_vehicle_hours", "fct_vehicle_days", "mart_data_quality"):
            assert connection.execute(f"select count(*) > 0 from marts.{mart}").fetchone() == (
                True,
            )
        for below in ("staging.stg_vehicle_versions", "intermediate.int_anomaly_verdicts"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select * from {below}")


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        (
            "left join lateral (select said.is_true from intermediate.int_anomaly_verdicts as said"
            " where said.anomaly_id = anomalies.anomaly_id order by said.anomaly_id limit 1)"
            " as verdict on true",
            "COALESCE(current_id, anomaly_id)",
        ),
        ("inner join intermediate.int_reached_tiers using (anomaly_id)", "anomaly_id"),
    ],
)
def test_one_anomaly_is_looked_up_by_an_index_through_views(
    built: Warehouse, asked: str, index: str
) -> None:
    with psycopg.connect(built.url) as connection:
        for way in ("seqscan", "hashjoin", "mergejoin"):
            connection.execute(f"set enable_{way} = off")
        connection.execute(
            "create table warehouse.rule_anomalies_2001_01 partition of warehouse.rule_anomalies"
            " for values from ('2001-01-01') to ('2001-02-01')"
        )
        plan = connection.execute(
            f"explain select * from (values ('a'), ('b')) as anomalies (anomaly_id) {asked}"
        ).fetchall()
        connection.rollback()
    assert f"Index Cond: ({index} = " in "\n".join(line for (line,) in plan)


def test_columns_carry_their_descriptions(built: Warehouse) -> None:
    undescribed = query(
        built.url,
        "select c.relname, a.attname from pg_class as c "
        "inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 "
        "where c.relnamespace = 'marts'::regnamespace and c.relkind in ('r', 'p') "
        "and not c.relispartition and col_description(c.oid, a.attnum) is null",
    )
    assert undescribed == []


def upgrade_by(revision: str, url: str) -> None:
    """Runs one migration, whatever the warehouse has by now."""
    migration = importlib.import_module(f"fleet_assets.warehouse.migrations.versions.{revision}")
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool
    )
    with engine.begin() as outer, Operations.context(MigrationContext.configure(outer)):
        migration.upgrade()


def test_a_mart_that_dbt_built_before_there_were_replays_goes_on(built: Warehouse) -> None:
    """As the migration of replays found it."""
    before = quality(built)
    with psycopg.connect(built.url) as connection:
        for column in ("replayed", "resolved_by_replay", "open_rejects"):
            connection.execute(f"alter table marts.mart_data_quality drop column {column}")
        connection.execute("drop view staging.stg_telemetry_replays")
        for table in ("reject_replays", "reject_replay_batches", "telemetry_replays"):
            connection.execute(f"drop table warehouse.{table}")
    upgrade_by("0008_replays", built.url)
    statement = "select bool_and(open_rejects = rejected) from marts.mart_data_quality"
    assert query(built.url, statement) == [(True,)]
    built.dbt("run", "--select", "stg_telemetry_replays", "mart_data_quality", touched=HOURS[:1])
    assert quality(built) == before
    assert query(built.url, statement) == [(True,)]


def test_days_that_dbt_kept_in_one_table_move_to_months_and_views_come_back(
    built: Warehouse,
) -> None:
    """As the migration of facts by month found it."""
    asked = "select t::text from marts.fct_vehicle_days t order by 1"
    before = query(built.url, asked)
    assert before
    with psycopg.connect(built.url) as connection:
        for table in ("fct_vehicle_days", "fct_fuel_events"):
            connection.execute(f"create table marts.former as select * from marts.{table}")
            connection.execute(f"drop table marts.{table} cascade")
            connection.execute(f"alter table marts.former rename to {table}")
        connection.execute("drop index marts.fct_anomalies_findings")
        connection.execute("truncate warehouse.mart_marks")
        connection.execute(
            "create view marts.mart_utilisation as select from marts.fct_vehicle_days"
        )
    upgrade_by("0030_facts_by_month", built.url)
    assert query(built.url, asked) == before
    by_month = "select relkind from pg_class where oid = 'marts.fct_vehicle_days'::regclass"
    assert query(built.url, by_month) == [("p",)]
    marked = "select count(*) > 0 from warehouse.mart_marks where topic = 'fuel_events'"
    assert query(built.url, marked) == [(True,)], "a refresh brings the views back"
    built.dbt("run", touched=HOURS[:1])
    assert query(built.url, asked) == before
    assert query(built.url, "select count(*) > 0 from marts.mart_utilisation") == [(True,)]
