"""Hours through the running flow: poison hours, rebuilds, landings that collide, canaries.

The tests follow one another on one lake, as each dbt run takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.common import LANE_TAG
from fleet_assets.assets.runs import RANGE_END, RANGE_START
from fleet_assets.flow import freshness
from fleet_assets.warehouse.ledger import BACKOFF_BASE
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_start, hours_between

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FIRST, POISON, LAST = "2020-03-01T05", "2020-03-01T06", "2020-03-01T08"
HOURS = list(hours_between(FIRST, LAST))
ALONE = "2020-03-02T10"
EACH = 40
"""Messages of each of the two vehicles in each hour."""


def messages_of(hour: str, first: int = 0) -> list[tuple[bytes, bytes]]:
    start = hour_start(hour)
    moments = [(start + timedelta(seconds=30 * n)).isoformat() for n in range(first, first + EACH)]
    return [
        (name.encode(), message(name, moment, speed=30, engine_rpm=2000))
        for moment in moments
        for name in ("T-1", "T-2")
    ]


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("flow-lake")
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "flow", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1), vehicle(2)], "test")
        yield run


@contextmanager
def poisoned(flow: PlatformRun, hour: str) -> Iterator[None]:
    """One raw file of the hour cannot be read; afterwards it can again."""
    raw = flow.lake.open("raw_telemetry")
    (path,) = raw.files.filter(pl.col("event_hour") == hour)["path"].to_list()[-1:]
    file = Path(raw.delta.table_uri.removeprefix("file://")) / path
    good = file.read_bytes()
    file.write_bytes(b"PAR1" + b"\0" * (len(good) - 8) + b"PAR1")
    try:
        yield
    finally:
        file.write_bytes(good)


def shown_hours(flow: PlatformRun) -> dict[str, int]:
    """Messages by hour as the marts show them."""
    statement = "select event_hour, sum(messages)::int from marts.fct_vehicle_hours group by 1"
    return dict(flow.query(statement))


def test_no_data_is_not_staleness(flow: PlatformRun) -> None:
    found = freshness(flow.lake, flow.postgres_url, flow.platform.settings)
    assert (found.passed, found.newest_landed, found.waiting_seconds) == (True, None, 0)
    assert flow.tick("landing_sensor").run_requests == []
    assert flow.tick("refresh_sensor").run_requests == []


def test_a_landing_that_is_not_finished_holds_back_the_next(flow: PlatformRun) -> None:
    for hour in HOURS:
        flow.produce(messages_of(hour))
    (request,) = flow.tick("landing_sensor").run_requests or []
    run = flow.instance.create_run_for_job(
        flow.defs.resolve_job_def("landing"),
        run_config=request.run_config,
        status=dg.DagsterRunStatus.STARTED,
    )
    skipped = flow.tick("landing_sensor")
    assert skipped.run_requests == []
    assert skipped.skip_message == "a landing is under way"
    flow.instance.report_run_failed(run)
    assert len(flow.tick("landing_sensor").run_requests or []) == 1


def test_of_two_landings_of_the_same_ranges_one_commits(flow: PlatformRun) -> None:
    (request,) = flow.tick("landing_sensor").run_requests or []
    for _ in range(2):
        assert flow.execute("landing", request.run_config, request.tags).success
    assert flow.rows("raw_telemetry").height == 2 * EACH * len(HOURS)
    landings = flow.rows("landings")
    assert landings["messages"].sum() == 2 * EACH * len(HOURS)
    ends = {p: high for p, (_, high) in flow.watermarks().items() if high > 0}
    assert dict(landings.select("kafka_partition", "offset_end").iter_rows()) == ends
    touched = flow.instance.get_materialized_partitions(dg.AssetKey("raw_telemetry"))
    assert touched == set(HOURS)


def test_messages_that_wait_too_long_fail_the_freshness_check(flow: PlatformRun) -> None:
    settings = flow.platform.settings
    now = datetime.now(UTC)
    limit = freshness(flow.lake, flow.postgres_url, settings, now).limit
    assert freshness(flow.lake, flow.postgres_url, settings, now).passed
    later = freshness(flow.lake, flow.postgres_url, settings, now + 2 * limit)
    assert not later.passed
    assert later.newest_landed is not None
    assert later.newest_shown is None
    (evaluation,) = flow.tick("freshness_sensor").asset_events
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    assert (evaluation.check_name, evaluation.passed) == ("freshness", True)


def test_a_poison_hour_holds_up_no_other(flow: PlatformRun) -> None:
    with poisoned(flow, POISON):
        (request,) = flow.tick("refresh_sensor").run_requests or []
        assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (FIRST, LAST)
        started = datetime.now(UTC)
        result = flow.execute("refresh", request.run_config, request.tags)
    assert result.success
    good = [hour for hour in HOURS if hour != POISON]
    assert shown_hours(flow) == dict.fromkeys(good, 2 * EACH)

    states = {stage: entry.state for stage, entry in flow.ledger(POISON).items()}
    assert states == {"telemetry": "failed", "vehicle_hours": "withheld", "warehouse": "withheld"}
    entry = flow.ledger(POISON)["telemetry"]
    assert (entry.attempts, entry.processed_version) == (1, None)
    assert entry.detail
    assert entry.next_attempt_at
    assert entry.next_attempt_at > started + BACKOFF_BASE
    for hour in good:
        assert {e.state for e in flow.ledger(hour).values()} == {"fresh"}
    assert flow.verdicts("telemetry", "contract") == {**dict.fromkeys(good, True), POISON: False}
    assert {h: ok for h, ok in flow.verdicts("telemetry_outcomes", "conservation").items()
            if h in good} == dict.fromkeys(good, True)  # fmt: skip


def test_a_poison_hour_is_tried_alone_when_its_time_has_come(flow: PlatformRun) -> None:
    flow.move_retries(timedelta(hours=1))
    assert flow.tick("refresh_sensor").run_requests == []  # it waits
    flow.move_retries(-timedelta(seconds=1))
    started = datetime.now(UTC)
    with poisoned(flow, POISON):
        (request,) = flow.tick("refresh_sensor").run_requests or []
        assert {request.tags[k] for k in (RANGE_START, RANGE_END)} == {POISON}
        assert request.tags[LANE_TAG] == "retry"
        assert not flow.execute("refresh", request.run_config, request.tags).success
    entry = flow.ledger(POISON)["telemetry"]
    assert entry.attempts == 2
    assert entry.next_attempt_at
    assert entry.next_attempt_at > started + 2 * BACKOFF_BASE


def test_a_repaired_hour_heals_by_itself(flow: PlatformRun) -> None:
    flow.move_retries(-timedelta(seconds=1))
    assert [result.success for result in flow.refresh()] == [True]
    assert shown_hours(flow) == dict.fromkeys(HOURS, 2 * EACH)
    assert {e.state for e in flow.ledger(POISON).values()} == {"fresh"}
    assert flow.verdicts("telemetry_outcomes", "conservation") == dict.fromkeys(HOURS, True)
    assert flow.tick("refresh_sensor").run_requests == []


def test_a_late_message_corrects_its_hour_by_the_same_road(flow: PlatformRun) -> None:
    flow.produce(messages_of(FIRST, first=EACH)[:2])
    flow.land()
    flow.refresh()
    assert shown_hours(flow)[FIRST] == 2 * EACH + 2
    assert flow.ledger(FIRST)["telemetry"].processed_version == 2


def test_a_backfill_by_hand_gives_the_same_rows(flow: PlatformRun) -> None:
    tables = ("telemetry", "telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes")
    before = {name: sorted_rows(flow, name) for name in tables}
    assert flow.refresh_hours(FIRST, LAST).success
    for name in tables:
        columns = [c for c in before[name].columns if c != "revisions"]
        assert sorted_rows(flow, name).select(columns).equals(before[name].select(columns)), name


def sorted_rows(flow: PlatformRun, table: str) -> pl.DataFrame:
    contract = flow.lake.open(table).contract
    return flow.rows(table).sort(contract.key)


def test_rows_that_vanish_from_telemetry_fail_the_conservation_check(flow: PlatformRun) -> None:
    telemetry = flow.lake.open("telemetry")
    telemetry.delta.delete(f"event_hour = '{LAST}' AND vehicle_id = 'T-2'")
    result = flow.refresh_hours(LAST, rebuild=False)
    assert result.success
    found = flow.verdicts("telemetry_outcomes", "conservation")
    assert [hour for hour, passed in found.items() if not passed] == [LAST]
    assert flow.refresh_hours(LAST, rebuild=True).success
    assert flow.verdicts("telemetry_outcomes", "conservation")[LAST]


def test_what_depends_on_an_hour_that_fails_alone_is_withheld_too(flow: PlatformRun) -> None:
    flow.produce(messages_of(ALONE))
    flow.land()
    with poisoned(flow, ALONE):
        (result,) = flow.follow("refresh_sensor", "refresh")
    assert not result.success
    states = {stage: entry.state for stage, entry in flow.ledger(ALONE).items()}
    assert states == {"telemetry": "failed", "vehicle_hours": "withheld", "warehouse": "withheld"}
    assert ALONE not in shown_hours(flow)
