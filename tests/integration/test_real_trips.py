"""Recorded trips of a real vehicle from Kafka to the marts, with the conflicts that they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import polars as pl
import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run

from fleet_assets.fleet_sim.recording import read_lines
from fleet_assets.warehouse.vehicles import import_vehicles
from fleet_assets.warehouse.vehicles_csv import parse_vehicles_csv

DATA = Path(__file__).parents[3] / "shared" / "data"
TRIPS, VEHICLES = DATA / "real_trips.ndjson.zst", DATA / "real_vehicles.csv"
VEHICLE = "VH-0001"
CONFLICT_HOUR = "2019-05-09T16"
MESSAGES = {
    "2019-05-09T14": 3600,
    "2019-05-09T15": 3600,
    CONFLICT_HOUR: 3916,
    "2019-05-09T17": 441,
    "2019-05-09T18": 3600,
}
CONFLICTS = 316
FIRST_LINE = 451_703
"""Line of the recording at which these hours begin."""
STAGES = ("telemetry", "telemetry_rejects", "vehicle_outcomes", "vehicle_hours")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not TRIPS.exists(), reason="real trips are not here: ../shared/data"),
]


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    """The hours have gone through landing and refresh."""
    lines = list(chain.from_iterable(read_lines(TRIPS, FIRST_LINE + sum(MESSAGES.values()))))
    settings = {"partitions_start": "2019-05-01T00:00Z", "late_interval": "PT0S"}
    lake = tmp_path_factory.mktemp("trips-lake")
    with platform_run(services, "real-trips", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, parse_vehicles_csv(VEHICLES), VEHICLES.name)
        run.produce([(VEHICLE.encode(), line) for line in lines[FIRST_LINE:]])
        run.land()
        assert [result.success for result in run.refresh()] == [True]
        yield run


def by_key(flow: PlatformRun, table: str) -> pl.DataFrame:
    return flow.rows(table).sort(flow.lake.open(table).contract.key)


def test_all_messages_have_landed_in_their_hours(flow: PlatformRun) -> None:
    landed = flow.rows("raw_telemetry").group_by("event_hour").len()
    assert dict(landed.iter_rows()) == MESSAGES


def test_conflicting_duplicates_are_one_row_and_one_reject_each(flow: PlatformRun) -> None:
    rejects = flow.rows("telemetry_rejects")
    assert rejects["reason"].to_list() == ["conflicting_duplicate"] * CONFLICTS
    assert set(rejects["event_hour"]) == {CONFLICT_HOUR}
    telemetry = flow.rows("telemetry")
    assert telemetry.height == sum(MESSAGES.values()) - CONFLICTS
    assert telemetry["conflict"].sum() == CONFLICTS
    assert telemetry.select("vehicle_id", "event_time").is_unique().all()


def test_the_marts_show_them(flow: PlatformRun) -> None:
    shown = flow.query(
        "select event_hour, messages::int, conflicts::int from marts.fct_vehicle_hours"
        " order by hour_start"
    )
    assert shown == [
        (hour, count - (CONFLICTS if hour == CONFLICT_HOUR else 0),
         CONFLICTS if hour == CONFLICT_HOUR else 0)
        for hour, count in MESSAGES.items()
    ]  # fmt: skip
    quality = flow.query(
        "select read::int, accepted::int, rejected_conflicting_duplicate::int"
        " from marts.mart_data_quality"
    )
    read = sum(MESSAGES.values())
    assert quality == [(read, read - CONFLICTS, CONFLICTS)]


def test_every_check_of_every_hour_passes(flow: PlatformRun) -> None:
    passed = dict.fromkeys(MESSAGES, True)
    assert flow.verdicts("telemetry_outcomes", "conservation") == passed
    for table in (*STAGES, "telemetry_outcomes"):
        assert flow.verdicts(table, "contract") == passed, table


def test_materialising_again_gives_the_same_rows(flow: PlatformRun) -> None:
    before = {name: by_key(flow, name) for name in STAGES}
    first, *_, last = MESSAGES
    assert flow.refresh_hours(first, last, rebuild=True).success
    for name in STAGES:
        assert by_key(flow, name).equals(before[name]), name


def test_messages_that_come_again_change_counts_only(flow: PlatformRun) -> None:
    before = by_key(flow, "telemetry")
    again = flow.rows("raw_telemetry", CONFLICT_HOUR).sample(200, seed=1)
    flow.produce(list(zip(again["key"], again["value"], strict=True)))
    flow.land()
    assert [result.success for result in flow.refresh()] == [True]
    assert by_key(flow, "telemetry").equals(before)
    outcomes = flow.rows("vehicle_outcomes", CONFLICT_HOUR).row(0, named=True)
    assert outcomes["duplicate"] == len(again)
    assert json.loads(outcomes["rejected_by_reason"]) == {"conflicting_duplicate": CONFLICTS}
