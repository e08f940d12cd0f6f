"""Recent telemetry on a real PostgreSQL: it says what the lake says, within its bounds."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest
from dbt_runs import run_dbt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installation import Installation
from telemetry_data import LATE_AFTER, NOW, land_values, message
from warehouse_data import fresh_warehouse, query, vehicle

from fleet_assets.assets.platform import Platform as PlatformResource
from fleet_assets.assets.recent import build_recent
from fleet_assets.lake.compaction import compact
from fleet_assets.lake.erase import erase, forget_files
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.local.databases import with_login
from fleet_assets.recent_flow import RecentRound, recent_work, run_recent
from fleet_assets.retention.subject import Subject
from fleet_assets.telemetry.recent import COLUMNS, Limits, first_of_minutes, recent_form
from fleet_assets.warehouse.bi_logins import Limits as LoginLimits
from fleet_assets.warehouse.bi_logins import grant_login
from fleet_assets.warehouse.erase import erase_rows
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLENTY = Limits(timedelta(hours=1), timedelta(hours=6), 10**9)
OFF = Limits(timedelta(hours=1), timedelta(hours=6), 0)
VEHICLES = frozenset({"v1", "v2"})
NAMES = ", ".join(column.name for column in COLUMNS)
NUMBERS = itertools.count()


@dataclass
class Platform:
    """A lake of its own, and the warehouse of the module, which begins without recent rows."""

    lake: Lake
    url: str
    offset: int = 0

    def land(self, *messages: tuple[str, datetime, dict[str, Any]]) -> None:
        """Lands messages and takes them into telemetry."""
        values = [message(name, f"{at:%Y-%m-%dT%H:%M:%SZ}", **told) for name, at, told in messages]
        land_values(self.lake, values, start=self.offset, append_time=NOW + timedelta(hours=4))
        self.offset += len(values)
        for hour in sorted({hour_key(at) for _, at, _ in messages}):
            refresh_hour(self.lake, hour, VEHICLES, LATE_AFTER)

    def round(self, limits: Limits = PLENTY, now: datetime = NOW) -> RecentRound:
        return run_recent(
            self.lake, self.url, limits, now, None, time_limit=timedelta(minutes=1), say=str
        )

    def agrees(self) -> None:
        """What readers see is what the lake has, from the extent on."""
        ((full_from, minutes_from),) = query(
            self.url, "select full_from, minutes_from from marts.telemetry_recent_extent"
        )
        rows = recent_form(self.lake.open("telemetry").read().lazy()).collect()
        at = pl.col("event_time")
        minutes = first_of_minutes(rows.filter(at >= minutes_from))
        expected = pl.concat([rows.filter(at >= full_from), minutes.filter(at < full_from)])
        assert self.seen("telemetry_recent") == plain(expected)
        assert self.seen("telemetry_minutes") == plain(minutes)

    def seen(self, mart: str) -> list[tuple[Any, ...]]:
        arrays = NAMES.replace("dtc", "dtc::text").replace("null_signals", "null_signals::text")
        rows = query(self.url, f"select {arrays} from marts.{mart}")
        frame = pl.DataFrame(
            rows, schema=[column.name for column in COLUMNS], orient="row", infer_schema_length=None
        )
        return plain(frame)


def plain(rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    lists = pl.col("dtc", "null_signals").cast(pl.String).str.replace_all('"', "")
    return sorted(rows.with_columns(lists).iter_rows(), key=lambda row: row[:2])


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.fixture(scope="module")
def warehouse(services: Installation, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = fresh_warehouse(services, "telemetry_recent")
    import_vehicles(
        url, [vehicle(1, id="v1", fleet_id="north"), vehicle(2, id="v2", fleet_id="south")], "x.csv"
    )
    run_dbt(url, tmp_path_factory.mktemp("dbt"), "run")
    return url


@pytest.fixture
def platform(warehouse: str, tmp_path: Path) -> Iterator[Platform]:
    found = Platform(Lake(str(tmp_path / "lake")), warehouse)
    found.round(OFF)
    yield found
    found.round(OFF)
    assert query(warehouse, "select count(*) from marts.telemetry_recent") == [(0,)]


_ROUND = """
import sys
from datetime import datetime, timedelta
from fleet_assets.lake.store import Lake
from fleet_assets.recent_flow import run_recent
from fleet_assets.telemetry.recent import Limits

run_recent(
    Lake(sys.argv[1]), sys.argv[2], Limits(timedelta(hours=1), timedelta(hours=6), 10**9),
    datetime.fromisoformat(sys.argv[3]), None, time_limit=timedelta(minutes=1), say=str,
)
"""


def test_a_round_that_is_killed_is_done_again_and_nothing_is_there_twice(
    platform: Platform,
) -> None:
    platform.land(*(("v1", ago(minutes=n), {"speed": n}) for n in range(90)))
    platform.round()
    platform.land(*(("v2", ago(minutes=n, seconds=7), {"speed": n}) for n in range(90)))
    before = platform.seen("telemetry_recent")
    killed = subprocess.run(
        [sys.executable, "-c", _ROUND, platform.lake.url, platform.url, NOW.isoformat()],
        env={**os.environ, "FLEET_FAULT_POINT": "recent.before_commit"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert platform.seen("telemetry_recent") == before
    platform.round()
    platform.agrees()
    assert len(platform.seen("telemetry_recent")) > len(before)


def test_the_last_hour_is_there_in_full_and_the_hours_before_by_minutes(platform: Platform) -> None:
    platform.land(
        *(("v1", ago(seconds=20 * n), {"speed": n % 60 + 0.5, "gps": {"lat": 1.5, "lon": 2.25}})
          for n in range(300)),
        ("v2", ago(minutes=5), {"dtc": ["P0300", "U0100"], "speed": None, "mystery": {"a": 1}}),
        ("v2", ago(hours=9), {"speed": 1}),
    )  # fmt: skip
    done = platform.round()
    assert (done.hours, done.came, done.is_cut) == (3, 301, False)
    platform.agrees()
    by_kind = query(
        platform.url,
        "select resolution, count(*) from marts.telemetry_recent group by 1 order by 1",
    )
    assert by_kind == [("full", 182), ("minute", 40)]
    ((codes, nulls),) = query(
        platform.url,
        "select dtc, null_signals from marts.telemetry_recent where vehicle_id = 'v2'",
    )
    assert (codes, nulls) == (["P0300", "U0100"], ["speed"])


def test_a_round_that_is_made_again_changes_nothing(platform: Platform) -> None:
    platform.land(("v1", ago(minutes=3), {"speed": 1}))
    assert recent_work(platform.lake, platform.url, PLENTY, NOW) == "telemetry has moved on"
    platform.round()
    assert recent_work(platform.lake, platform.url, PLENTY, NOW) is None
    assert platform.round().hours == 0
    platform.agrees()
    past = NOW + timedelta(minutes=5)
    assert recent_work(platform.lake, platform.url, PLENTY, past) == "slices are past their age"


def test_late_rows_and_rows_that_change_are_followed(platform: Platform) -> None:
    at, before = ago(minutes=10, seconds=-30), ago(hours=2, seconds=-30)
    platform.land(("v1", at, {"speed": 10}), ("v1", before, {"speed": 20}))
    platform.round()
    platform.land(("v1", at - timedelta(seconds=9), {"speed": 11}))  # earlier in the minute
    platform.land(("v1", before - timedelta(seconds=9), {"speed": 21}))
    done = platform.round()
    assert (done.came, done.gone) == (2, 0)
    platform.agrees()
    # another message of the same moment says otherwise: the row changes
    platform.land(("v1", at, {"speed": 10, "engine_rpm": 900}), ("v1", before, {"speed": 99}))
    done = platform.round()
    assert done.gone >= 1
    platform.agrees()


def test_files_that_are_arranged_anew_are_no_change_and_a_rebuild_is_none_to_readers(
    platform: Platform,
) -> None:
    for number in range(3):
        platform.land(("v1", ago(minutes=number), {"speed": number}))
    platform.round()
    hour = hour_key(NOW)
    paths = platform.lake.open("telemetry").files_of([hour])["path"].to_list()
    compact(platform.lake, "telemetry", hour, paths)
    refresh_hour(platform.lake, hour, VEHICLES, LATE_AFTER, force_rebuild=True)
    platform.land(("v2", ago(minutes=1), {"speed": 1}))
    platform.round()
    platform.agrees()


messages = st.lists(
    st.tuples(
        st.sampled_from(["v1", "v2"]),
        st.sampled_from([0, 1, 61, 65, 66]),
        st.sampled_from([{"speed": 1}, {"speed": 2}, {"speed": 2, "engine_rpm": 800}]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(messages, min_size=1, max_size=4))
def test_any_batches_in_any_order_end_in_what_the_lake_has(
    warehouse: str, tmp_path: Path, batches: list[list[tuple[str, int, dict[str, Any]]]]
) -> None:
    platform = Platform(Lake(str(tmp_path / f"lake{next(NUMBERS)}")), warehouse)
    platform.round(OFF)
    for batch in batches:
        platform.land(*((name, ago(seconds=second), told) for name, second, told in batch))
        platform.round()
        platform.agrees()


def test_more_than_the_bytes_is_cut_from_the_oldest_on_and_told(platform: Platform) -> None:
    platform.land(*(("v1", ago(minutes=n), {"speed": 1}) for n in range(180)))
    assert not platform.round().is_cut
    platform.agrees()
    ((everything,),) = query(
        platform.url, "select bytes from marts.telemetry_recent_extent where not is_cut"
    )
    small = Limits(PLENTY.full, PLENTY.minutes, everything - 40_000)
    done = platform.round(small)
    assert done.is_cut
    assert done.extent
    assert done.extent.full_from > done.wanted.full_from
    assert done.size <= small.most_bytes
    platform.agrees()
    told = query(
        platform.url, "select is_cut, bytes <= most_bytes from marts.telemetry_recent_extent"
    )
    assert told == [(True, True)]
    # as little as nothing: the newest slices stay
    done = platform.round(Limits(PLENTY.full, PLENTY.minutes, 1))
    platform.agrees()
    assert platform.seen("telemetry_recent")
    # what was cut does not come back within its time, and is not loaded either
    assert platform.round().is_cut
    platform.agrees()


def test_a_large_hour_is_loaded_as_far_as_it_fits(platform: Platform) -> None:
    platform.land(*(("v1", ago(seconds=3 * n), {"speed": 1}) for n in range(600)))
    done = platform.round(Limits(PLENTY.full, PLENTY.minutes, 100_000 + 300 * 280))
    assert done.is_cut
    platform.agrees()
    assert query(platform.url, "select count(*) < 590 from warehouse.telemetry_full") == [(True,)]


def test_slices_end_by_age_while_a_reader_holds_them_and_loading_goes_on(
    platform: Platform,
) -> None:
    platform.land(("v1", ago(minutes=50), {"speed": 1}), ("v1", ago(minutes=1), {"speed": 1}))
    platform.round()
    later = NOW + timedelta(minutes=30)
    with psycopg.connect(platform.url) as reader:
        seen = "select count(*) from marts.telemetry_recent where resolution = 'full'"
        reader.execute("begin isolation level repeatable read")
        assert reader.execute(seen).fetchall() == [(2,)]
        platform.land(("v2", later - timedelta(minutes=1), {"speed": 5}))
        done = platform.round(now=later)
        assert done.waiting
        assert done.came == 1
        platform.agrees()  # another reader, meanwhile, sees what is new and not what is past
        assert query(platform.url, seen) == [(2,)]
        assert reader.execute(seen).fetchall() == [(2,)]
        platform.land(("v2", later, {"speed": 6}))
        assert platform.round(now=later).came == 1
    done = platform.round(now=later)
    assert (done.dropped > 0, done.waiting) == (True, 0)
    platform.agrees()


def test_a_vehicle_belongs_to_the_fleet_of_then_and_a_login_sees_its_fleet(
    platform: Platform,
) -> None:
    def of(*fleets: str) -> list[tuple[Any, ...]]:
        name = f"recent_{next(NUMBERS)}"
        password = grant_login(platform.url, name, fleets or None, "test", LoginLimits())
        assert password
        login = with_login(platform.url, name, password)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(login, "select * from warehouse.telemetry_full")
        return query(
            login,
            "select vehicle_id, fleet_id, count(*) from marts.telemetry_recent"
            " group by 1, 2 order by 1, 2",
        )

    platform.land(
        *(("v1", ago(minutes=n), {"speed": 1}) for n in (5, 20)),
        ("v2", ago(minutes=5), {"speed": 1}),
    )
    platform.round()
    moved = "update warehouse.vehicles_history set valid_to = %s where id = 'v1'"
    with psycopg.connect(platform.url) as connection:
        connection.execute(moved, [ago(minutes=10)])
        connection.execute(
            "insert into warehouse.vehicles_history select * from jsonb_populate_record("
            "null::warehouse.vehicles_history, (select to_jsonb(h) || jsonb_build_object("
            "'fleet_id', 'east', 'valid_from', %s::timestamptz, 'valid_to', 'infinity')"
            " from warehouse.vehicles_history as h where id = 'v1'))",
            [ago(minutes=10)],
        )
    try:
        assert of() == [("v1", "east", 1), ("v1", "north", 1), ("v2", "south", 1)]
        assert of("north") == [("v1", "north", 1)]
        assert of("east", "south") == [("v1", "east", 1), ("v2", "south", 1)]
    finally:
        with psycopg.connect(platform.url) as connection:
            connection.execute("delete from warehouse.vehicles_history where fleet_id = 'east'")
            connection.execute(moved, ["infinity"])


def test_who_is_erased_is_erased_here_and_does_not_come_back(platform: Platform) -> None:
    platform.land(
        ("v1", ago(minutes=5), {"speed": 1, "driver_id": "anna"}),
        ("v2", ago(minutes=5), {"speed": 1, "driver_id": "ben"}),
    )
    platform.round()
    anna = Subject("driver", "anna")
    erase(platform.lake, anna)
    forget_files(platform.lake)
    gone = {(it.table, it.rows) for it in erase_rows(platform.url, anna)}
    assert {("telemetry_full", 1), ("telemetry_minutes", 1)} <= gone
    known = "select vehicle_id, driver_id from marts.telemetry_recent order by 1"
    assert query(platform.url, known) == [("v1", None), ("v2", "ben")]
    platform.round()
    assert query(platform.url, known) == [("v1", None), ("v2", "ben")]
    platform.agrees()


def test_the_asset_tells_what_it_did_and_its_check_warns_of_a_cut(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    values = [
        message("v1", f"{now - timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}", speed=1)
        for n in range(1, 50)
    ]
    land_values(platform.lake, values, append_time=now)
    for hour in {hour_key(now), hour_key(now - timedelta(hours=1))}:
        refresh_hour(platform.lake, hour, VEHICLES, LATE_AFTER)
    monkeypatch.setenv("FLEET_LAKE_URL", platform.lake.url)
    monkeypatch.setenv("FLEET_POSTGRES_URL", platform.url)

    def made() -> dg.ExecuteInProcessResult:
        return dg.materialize([build_recent()], resources={"platform": PlatformResource()})

    whole = made()
    (check,) = whole.get_asset_check_evaluations()
    assert check.passed
    (event,) = whole.asset_materializations_for_node("load_recent_telemetry")[:1]
    assert event.metadata["rows that came"].value == 49
    monkeypatch.setenv("FLEET_RECENT_BYTES", "1")
    (check,) = made().get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
