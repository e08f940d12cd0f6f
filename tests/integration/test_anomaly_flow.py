"""From messages to marts: trips and anomalies, late data, feedback, the topic.

The tests follow one another on one platform.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from installation import Installation
from platform_run import Message, PlatformRun, platform_run
from telemetry_data import message
from typer.testing import CliRunner
from warehouse_data import vehicle

from fleet_assets.commands.anomalies import anomalies as app
from fleet_assets.errors import FleetError
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
]  # services, and dbt, on a busy machine

START = datetime(2020, 3, 1, 5, 50, tzinfo=UTC)
"""Ten minutes before the turn of the hour."""
MISSING_S = 1000
"""The moment of which the message comes late."""


def sent(first_s: int, last_s: int, vehicle_id: str = "T-1", **values: Any) -> list[Message]:
    """A message a second."""
    return [
        (vehicle_id.encode(), message(vehicle_id, at(second).isoformat(), **values))
        for second in range(first_s, last_s)
    ]


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


IDLING = {"speed": 0, "engine_rpm": 800}


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("anomalies")
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "anomalies_flow", flow_home, lake, **settings) as run:
        cars = [vehicle(number, vehicle_type="sedan") for number in (1, 2)]
        import_vehicles(run.postgres_url, cars, "test")
        yield run


def take_in(flow: PlatformRun, messages: list[Message]) -> None:
    flow.produce(messages)
    flow.land()
    for result in (*flow.refresh(), *flow.judge(), *flow.refresh()):
        assert result.success, result.all_events[-1]


def idlings(flow: PlatformRun) -> list[dict[str, Any]]:
    names = ("anomaly_id", "started_at", "ended_at", "state", "revision", "severity", "marked_true")
    found = flow.query(
        f"select {', '.join(names)} from marts.fct_anomalies"
        " where anomaly_type = 'prolonged_idling' and vehicle_id = 'T-1' order by started_at"
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def published(flow: PlatformRun) -> list[dict[str, Any]]:
    """All messages of the topic, by partition and offset."""
    topic = flow.platform.settings.anomalies_topic
    config = {"group.id": "test", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    consumer = Consumer(flow.platform.broker.config(**config))
    found = []
    try:
        for partition in range(3):
            consumer.assign([TopicPartition(topic, partition, 0)])
            while (one := consumer.poll(30)) is not None and one.error() is None:
                value = json.loads(one.value())
                assert one.key().decode() == value["anomaly_id"]
                found.append(value)
    finally:
        consumer.close()
    return found


def test_two_idling_episodes_and_a_trip_reach_the_marts(flow: PlatformRun) -> None:
    drive = sent(-900, 0, speed=40, engine_rpm=2000)
    early = sent(0, MISSING_S - 3, **IDLING)
    late = sent(MISSING_S + 4, 2 * MISSING_S, **IDLING)
    take_in(flow, [*drive, *early, *late, *sent(2 * MISSING_S, 2 * MISSING_S + 600, speed=30)])
    first, second = idlings(flow)
    assert (first["started_at"], second["started_at"]) == (at(0), at(MISSING_S + 4))
    assert first["state"] == second["state"] == "closed"
    trips = flow.query(
        "select started_at, ended_at, speed_miles from marts.fct_trips"
        " where trip_kind = 'motion' order by started_at"
    )
    assert [row[:2] for row in trips] == [
        (at(-900), at(-1)),
        (at(2 * MISSING_S), at(2 * MISSING_S + 599)),
    ]
    assert trips[0][2] == pytest.approx(40 * 899 / 3600, rel=1e-3)
    told = published(flow)
    assert {row["change"] for row in told} == {"opened"}
    delays = flow.query(
        "select anomaly_id, detect_seconds >= 0, publish_seconds >= 0,"
        " abs(total_seconds - detect_seconds - load_seconds - publish_seconds) < 0.001"
        " from marts.mart_anomaly_delays"
    )
    assert sorted(delays) == sorted((row["anomaly_id"], True, True, True) for row in told)


def test_people_mark_what_is_false(flow: PlatformRun) -> None:
    first, _ = idlings(flow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        shown = CliRunner().invoke(app, ["list", "--type", "prolonged_idling"])
        assert shown.exit_code == 0, shown.output
        assert first["anomaly_id"][:8] in shown.output
    marked = CliRunner().invoke(
        app, ["mark", first["anomaly_id"][:8], "false", "--note", "waited at the gate"]
    )
    assert marked.exit_code == 0, marked.output
    assert len(flow.refresh()) == 1, "what is said of an anomaly asks for a build of the marts"
    assert [row["marked_true"] for row in idlings(flow)] == [False, None]
    unknown = CliRunner().invoke(app, ["mark", "0" * 32, "true"])
    assert isinstance(unknown.exception, FleetError)
    assert "There is no anomaly" in str(unknown.exception)


def test_a_late_message_joins_both_and_lineage_and_feedback_follow(flow: PlatformRun) -> None:
    first, second = idlings(flow)
    take_in(flow, sent(MISSING_S, MISSING_S + 1, **IDLING))
    (joined,) = idlings(flow)
    assert joined["anomaly_id"] == first["anomaly_id"]
    assert (joined["started_at"], joined["ended_at"]) == (at(0), at(2 * MISSING_S - 1))
    assert joined["revision"] == first["revision"] + 1
    assert joined["marked_true"] is False
    lineage = flow.query(
        "select old_id, new_id, overlap_seconds, cause from warehouse.anomaly_lineage"
    )
    shared = (second["ended_at"] - second["started_at"]).total_seconds()
    assert lineage == [(second["anomaly_id"], first["anomaly_id"], shared, "late")]
    told = [row for row in published(flow) if row["change"] == "revised"]
    assert {row["anomaly_id"] for row in told} == {first["anomaly_id"], second["anomaly_id"]}
    gone = next(row for row in told if row["anomaly_id"] == second["anomaly_id"])
    assert gone["withdrawn"]
    assert gone["followed_by"] == [first["anomaly_id"]]


def test_an_onset_that_moves_takes_the_words_along(flow: PlatformRun) -> None:
    (before,) = idlings(flow)
    take_in(flow, [(b"T-1", message("T-1", at(-0.5).isoformat(), **IDLING))])
    (moved,) = idlings(flow)
    assert moved["anomaly_id"] != before["anomaly_id"]
    assert moved["started_at"] == at(-0.5)
    assert moved["marked_true"] is False
    shown = CliRunner().invoke(app, ["show", before["anomaly_id"][:10]])
    assert shown.exit_code == 0, shown.output
    assert moved["anomaly_id"] in shown.output
    assert "waited at the gate" in shown.output


def test_which_rules_could_judge_and_how_they_do(flow: PlatformRun) -> None:
    reasons = dict(
        flow.query(
            "select rule_id, reason from marts.mart_rule_eligibility"
            " where vehicle_id = 'T-1' and rule_id in ('R15', 'R22')"
        )
    )
    assert reasons == {"R15": None, "R22": "coolant_temp is not known"}
    ((episodes, marked, false),) = flow.query(
        "select episodes, marked, share_false from marts.mart_rule_performance"
        " where rule_id = 'R15' and vehicle_type = 'sedan'"
    )
    assert (episodes, marked, false) == (1, 1, 1.0)
    # from its speed braking can be judged; cornering needs an accelerometer
    ((idle, rpm, braking, cornering),) = flow.query(
        "select idle_time, max_rpm, harsh_braking_count, harsh_cornering_count"
        " from marts.mart_vehicle_features where vehicle_id = 'T-1'"
    )
    assert idle > 1000
    assert (rpm, cornering) == (2000, None)
    assert braking is not None


def test_a_trouble_code_reaches_the_marts_and_late_words_split_its_stretch(
    flow: PlatformRun,
) -> None:
    def codes() -> list[tuple[Any, ...]]:
        return flow.query(
            "select code, first_seen_at, last_seen_at, cleared_at, is_standing"
            " from marts.fct_fault_codes where vehicle_id = 'T-2' order by first_seen_at"
        )

    first, later = at(0), at(3 * 3600)
    take_in(flow, [
        *sent(0, 1, "T-2", dtc=["P0300"]), *sent(3 * 3600, 3 * 3600 + 1, "T-2", dtc=["P0300"])
    ])  # fmt: skip
    assert codes() == [("P0300", first, later, None, True)]
    take_in(flow, sent(2 * 3600, 2 * 3600 + 1, "T-2", dtc=[]))
    assert codes() == [
        ("P0300", first, first, at(2 * 3600), False),
        ("P0300", later, later, None, True),
    ]


def test_nothing_is_left_to_do_and_nothing_is_sent_twice(flow: PlatformRun) -> None:
    before = published(flow)
    assert flow.judge() == []
    assert flow.refresh() == []
    assert flow.query("select count(*) from warehouse.mart_marks") == [(0,)]
    assert published(flow) == before
    assert all(flow.verdicts("anomalies", "contract").values())
    assert flow.verdicts("kafka/anomalies", "published") == {None: True}
