"""Backfills through the real jobs: what they make anew, what fails alone, how they go on.

The tests follow one another on one lake, as each dbt run takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from backfill_runs import ExecutedRuns, Told
from installation import Installation
from platform_run import PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.runs import PARTITION
from fleet_assets.backfill.drive import MOST_FAILURES, Driver
from fleet_assets.backfill.held import Held, held, messages_of
from fleet_assets.backfill.plan import Measured, cost, hours_wanted
from fleet_assets.backfill.steps import STEP_BY_NAME, chosen_steps
from fleet_assets.errors import FleetError
from fleet_assets.warehouse.backfills import (
    Backfill,
    Wanted,
    begin,
    driving,
    measured_runs,
    pieces_of,
)
from fleet_assets.warehouse.connection import connect
from fleet_assets.warehouse.staleness import pending_marts
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HOURS = [f"2020-03-01T{hour:02}" for hour in (5, 6, 7, 9)]
POISON = HOURS[1]
WANTED = Wanted(("telemetry",), "2020-03-01", "2020-03-01")
SHOWN = "select event_hour, sum(messages)::int from marts.fct_vehicle_hours group by 1"


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("backfill-lake")
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "backfill", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1)], "test")
        run.produce([
            (b"T-1", message("T-1", f"{hour}:{minute:02}:00Z", speed=30))
            for hour in HOURS for minute in range(5)
        ])  # fmt: skip
        run.land()
        run.refresh()
        run.judge()
        yield run


@contextmanager
def poisoned(flow: PlatformRun, hour: str) -> Iterator[Callable[[], None]]:
    """A raw file of the hour cannot be read until the function that is given is called."""
    raw = flow.lake.open("raw_telemetry")
    (path,) = raw.files.filter(pl.col("event_hour") == hour)["path"].to_list()
    file = Path(raw.delta.table_uri.removeprefix("file://")) / path
    good = file.read_bytes()
    file.write_bytes(b"PAR1" + b"\0" * (len(good) - 8) + b"PAR1")
    try:
        yield lambda: (file.write_bytes(good), None)[1]
    finally:
        file.write_bytes(good)


def look(flow: PlatformRun) -> Held:
    hours = hours_wanted(WANTED.first, WANTED.last)
    return held(flow.lake, hours, datetime.now(UTC), timedelta(minutes=5))


def asked_for(flow: PlatformRun, *names: str) -> Backfill:
    steps = chosen_steps(names, ["fct_vehicle_days"])
    messages = {step.name: messages_of(step, look(flow)) for step in steps}
    return begin(flow.postgres_url, Wanted(names, WANTED.first, WANTED.last), messages, "test")


def driver(
    flow: PlatformRun, backfill: Backfill, runs: ExecutedRuns, told: Told, **options: object
) -> Driver:
    url = flow.postgres_url
    return Driver(url, backfill.backfill_id, runs, told, pause=lambda _: None, **options)  # type: ignore[arg-type]


def change(flow: PlatformRun, name: str, **values: pl.Expr) -> None:
    """Somebody changes rows of an hour by hand; the marks stay as they are."""
    table = flow.lake.open(name)
    rows = table.read(HOURS[0]).with_columns(**values)
    table.commit_files({HOURS[0]: [rows]}, table.files_of([HOURS[0]]), {})


def rename(flow: PlatformRun, name: str, to: str) -> None:
    with connect(flow.postgres_url) as connection:
        connection.execute(f"alter table warehouse.{name} rename to {to}")


def test_what_can_be_made_anew_and_what_it_costs(flow: PlatformRun) -> None:
    has = look(flow)
    assert messages_of(STEP_BY_NAME["refresh_telemetry"], has) == dict.fromkeys(HOURS, 5)
    assert messages_of(STEP_BY_NAME["judge_by_rules"], has) == dict.fromkeys(HOURS, 5)
    assert messages_of(STEP_BY_NAME["summarise_days"], has) == {"2020-03-01": 20}
    assert (has.expired, has.lost, has.open) == ((), (), ())
    during = held(flow.lake, HOURS, datetime(2020, 3, 1, 7, 30, tzinfo=UTC), timedelta())
    assert during.open == (HOURS[2], HOURS[3])


@pytest.mark.parametrize("name", ["telemetry", "vehicle_hours"])
def test_tables_that_were_changed_by_hand_are_right_again(flow: PlatformRun, name: str) -> None:
    right = flow.rows("vehicle_hours").sort("event_hour")
    shown = flow.query("select t::text from marts.fct_vehicle_days t")
    if name == "telemetry":
        change(flow, "telemetry", speed=pl.col("speed") + 1)
    else:
        change(flow, "vehicle_hours", messages=pl.col("messages") + 1)
    with connect(flow.postgres_url) as connection:
        connection.execute("update marts.fct_vehicle_hours set messages = messages + 1")
    runs, told = ExecutedRuns(flow), Told()
    assert driver(flow, asked_for(flow, name), runs, told).drive() == []
    assert told.finished == len(HOURS)
    ((job, hours, assets),) = runs.asked
    assert (job, hours) == ("refresh", HOURS)
    assert (assets is None) == (name == "telemetry")
    assert set(flow.rows("telemetry")["speed"]) == {30}
    assert flow.rows("vehicle_hours").sort("event_hour").equals(right)
    assert dict(flow.query(SHOWN)) == dict.fromkeys(HOURS, 5)
    assert flow.query("select t::text from marts.fct_vehicle_days t") == shown


def test_steps_of_several_jobs_follow_each_other(flow: PlatformRun) -> None:
    assert flow.rows("trips", HOURS[0]).height
    change(flow, "trips", speed_max_mph=pl.lit(77.0))
    runs, told = ExecutedRuns(flow), Told()
    assert driver(flow, asked_for(flow, "rules", "features"), runs, told).drive() == []
    assert [(job, hours) for job, hours, _ in runs.asked] == [
        ("trips_and_anomalies", HOURS), ("features", HOURS),
    ]  # fmt: skip
    assert 77.0 not in flow.rows("trips")["speed_max_mph"]


def test_a_bad_hour_is_tried_alone_again_and_holds_up_no_other(flow: PlatformRun) -> None:
    with poisoned(flow, POISON) as mend:
        runs, told = ExecutedRuns(flow), Told()
        backfill = asked_for(flow, "telemetry")
        (failed,) = driver(flow, backfill, runs, told, attempts=2).drive()
        assert (failed.key, failed.attempts) == (POISON, 2)
        assert "telemetry failed" in (failed.detail or "")
        assert [hours for _, hours, _ in runs.asked] == [HOURS, [POISON]]
        assert dict(flow.query(SHOWN)) == dict.fromkeys(HOURS, 5)
        states = {
            piece.key: piece.state for piece in pieces_of(flow.postgres_url, backfill.backfill_id)
        }
        assert states == dict.fromkeys(HOURS, "done") | {POISON: "failed"}
        mend()
    runs = ExecutedRuns(flow)
    again = asked_for(flow, "telemetry")
    assert again.is_resumed
    assert driver(flow, again, runs, told).drive() == []
    assert [hours for _, hours, _ in runs.asked] == [[POISON]]
    assert not asked_for(flow, "telemetry").is_resumed  # what is done is done


def test_who_is_interrupted_goes_on_and_does_nothing_twice(flow: PlatformRun) -> None:
    def interrupted(_: list[str]) -> None:
        raise KeyboardInterrupt

    backfill = asked_for(flow, "rules", "features")
    runs = ExecutedRuns(flow, after=interrupted)  # before it could note that it has asked
    with pytest.raises(KeyboardInterrupt):
        driver(flow, backfill, runs, Told()).drive()
    runs = ExecutedRuns(flow, before=interrupted)  # nothing of the second job is asked for
    with pytest.raises(KeyboardInterrupt):
        driver(flow, backfill, runs, Told()).drive()
    assert [job for job, _, _ in runs.asked] == ["features"]
    runs, told = ExecutedRuns(flow), Told()
    again = asked_for(flow, "rules", "features")
    assert again.backfill_id == backfill.backfill_id
    assert driver(flow, again, runs, told).drive() == []
    assert [(job, hours) for job, hours, _ in runs.asked] == [("features", HOURS)]


def test_runs_that_fail_as_a_whole_are_halved_and_end_a_backfill_that_cannot_work(
    flow: PlatformRun,
) -> None:
    backfill, runs = asked_for(flow, "rules"), ExecutedRuns(flow)
    rename(flow, "rule_catalogue", "hidden")  # which every run of the rules writes
    with pytest.raises(FleetError, match=f"{MOST_FAILURES} runs of .* failed as a whole"):
        driver(flow, backfill, runs, Told()).drive()
    rename(flow, "hidden", "rule_catalogue")
    assert [len(hours) for _, hours, _ in runs.asked] == [4, 2, 2, 1]
    runs = ExecutedRuns(flow)
    assert driver(flow, asked_for(flow, "rules"), runs, Told()).drive() == []
    assert sorted(hour for _, hours, _ in runs.asked for hour in hours) == HOURS


def test_what_was_loaded_alone_is_shown_without_being_asked_for(flow: PlatformRun) -> None:
    flow.refresh()  # marts of trips and findings that were loaded before
    assert flow.tick("refresh_sensor").run_requests == []
    tags = {PARTITION: HOURS[0]}
    table = dg.AssetKey("warehouse_vehicle_hours")
    assert flow.execute("refresh", {}, tags, [table]).success
    assert pending_marts(flow.postgres_url) == [HOURS[0]]
    assert [result.success for result in flow.refresh()] == [True]
    assert pending_marts(flow.postgres_url) == []


def test_two_cannot_drive_the_same_backfill(flow: PlatformRun) -> None:
    backfill = asked_for(flow, "rules")
    with (
        driving(flow.postgres_url, backfill.backfill_id),
        pytest.raises(FleetError, match="driven by another process"),
        driving(flow.postgres_url, backfill.backfill_id),
    ):
        pass
    with driving(flow.postgres_url, backfill.backfill_id):
        pass


def test_the_next_estimate_rests_on_what_runs_have_taken(flow: PlatformRun) -> None:
    earlier = [Measured(*run) for run in measured_runs(flow.postgres_url)]
    step = STEP_BY_NAME["refresh_telemetry"]
    found = cost(step, messages_of(step, look(flow)), earlier)
    assert found.measured_runs >= 1
    assert found.seconds != cost(step, messages_of(step, look(flow)), []).seconds


def test_hours_whose_telemetry_is_gone_stay_as_they_are(flow: PlatformRun) -> None:
    telemetry = flow.lake.open("telemetry")
    telemetry.commit_files({}, telemetry.files_of([POISON]), {})
    has = look(flow)
    assert has.lost == (POISON,)
    for name in ("refresh_telemetry", "refresh_vehicle_hours", "judge_by_rules"):
        assert POISON not in messages_of(STEP_BY_NAME[name], has)
    assert POISON in messages_of(STEP_BY_NAME["load_warehouse"], has)
