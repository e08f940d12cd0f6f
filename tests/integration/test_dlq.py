"""Rejects in the dead-letter topic: complete, byte for byte, with all that is known of them.

The tests follow one another on one lake.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from installation import Installation
from platform_run import Message, PlatformRun, platform_run
from telemetry_data import LATE_AFTER, message
from warehouse_data import vehicle

from fleet_assets.kafka.topic import Broker
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.rejects.publish import Published, hours_to_publish, publish_rejects
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
]  # services, and dbt several times, on a busy machine

AT = "2020-03-01T05:00:{:02}Z"
MIB = 1024**2
BAD: list[Message] = [
    (b"T-1", b"{not json"),
    (None, b"\xff\xfe\x00"),
    (b"T-1", None),
    (b"", b""),
    (b"T-1", b'"' + b"x" * (MIB + 1000)),
    (b"T-2", message("T-1", AT.format(0))),
    (b"T-9", message("T-9", AT.format(1), speed=30)),
    (b"T-1", message("T-1", AT.format(2), speed=30)),
    (b"T-1", message("T-1", AT.format(2), speed=40, engine_rpm=900)),
]
"""All but the last are rejected: it wins over the one before it."""
PUBLISH = """
import os
from fleet_assets.assets.platform import Platform
from fleet_assets.rejects.publish import publish_rejects
p = Platform()
s = p.settings
publish_rejects(p.lake, p.broker, p.postgres_url, s.topic, s.dlq_topic)
"""


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("dlq")
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "dlq", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1), vehicle(2)], "test")
        yield run


def dead_letters(flow: PlatformRun) -> list[Any]:
    """All messages of the topic, in order."""
    topic = flow.platform.settings.dlq_topic
    consumer = Consumer(
        flow.platform.broker.config(
            **{"group.id": "test", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
        )
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    try:
        while (one := consumer.poll(30)) is not None and one.error() is None:
            found.append(one)
    finally:
        consumer.close()
    return found


def headers(letter: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in letter.headers()}


def publish_now(flow: PlatformRun) -> Published:
    platform = flow.platform
    settings = platform.settings
    return publish_rejects(
        platform.lake, platform.broker, flow.postgres_url, settings.topic, settings.dlq_topic
    )


def take_in(flow: PlatformRun, *messages: Message) -> None:
    """Land and refresh without what comes after: a run of dbt takes seconds."""
    flow.produce(messages, partition=1)
    flow.land()
    known = frozenset({"T-1", "T-2"})
    for hour in newest_raw_versions(flow.lake.open("raw_telemetry")):
        refresh_hour(flow.lake, hour, known, LATE_AFTER)


def rejects(flow: PlatformRun) -> dict[str, dict[str, Any]]:
    rows = flow.rows("telemetry_rejects").iter_rows(named=True)
    return {f"{r['kafka_topic_id']}/{r['kafka_partition']}/{r['kafka_offset']}": r for r in rows}


def test_a_refresh_sends_every_reject_with_its_bytes_and_where_it_came_from(
    flow: PlatformRun,
) -> None:
    flow.produce(BAD, partition=1)
    flow.land()
    assert all(result.success for result in flow.refresh())
    letters, known = dead_letters(flow), rejects(flow)
    assert len(letters) == len(known) == len(BAD) - 1
    assert {letter.key().decode() for letter in letters} == set(known)
    for letter in letters:
        row, told = known[letter.key().decode()], headers(letter)
        key, value = BAD[row["kafka_offset"]]
        assert letter.value() == value
        assert told.pop("key", None) == (None if key is None else key.decode())
        assert told.pop("detail") == row["detail"]
        assert told.pop("append_time").startswith(row["append_time"].strftime("%Y-%m-%dT%H:%M:"))
        told.pop("event_time", None)
        expected = {
            "reason": row["reason"],
            "topic": flow.topic,
            "topic_id": row["kafka_topic_id"],
            "partition": "1",
            "offset": str(row["kafka_offset"]),
            "event_hour": row["event_hour"],
        }
        if row["vehicle_id"] is not None:
            expected["vehicle_id"] = row["vehicle_id"]
        assert told == expected
    noted = flow.rows("dlq_published").select("kafka_offset", "reason", "dlq_offset")
    assert set(noted.rows()) == {
        (int(headers(x)["offset"]), headers(x)["reason"], x.offset()) for x in letters
    }
    assert flow.verdicts("kafka/telemetry_dlq", "published") == {None: True}


def test_nothing_is_sent_twice_by_a_rebuild(flow: PlatformRun) -> None:
    (hour,) = {h for h in flow.rows("telemetry_rejects")["event_hour"] if h.startswith("2020")}
    refresh_hour(flow.lake, hour, frozenset({"T-1"}), LATE_AFTER, force_rebuild=True)
    assert publish_now(flow).rejects == {hour: 0}
    assert len(dead_letters(flow)) == len(BAD) - 1
    assert hours_to_publish(flow.lake, flow.postgres_url) == {}


def test_what_is_known_no_more_to_be_examined_is_not_sent_again(flow: PlatformRun) -> None:
    flow.query("delete from warehouse.dlq_hours returning 1")
    assert len(hours_to_publish(flow.lake, flow.postgres_url)) == 2
    assert set(publish_now(flow).rejects.values()) == {0}
    assert len(dead_letters(flow)) == len(BAD) - 1


def test_a_message_that_loses_later_is_sent_then(flow: PlatformRun) -> None:
    fuller = message("T-1", AT.format(2), speed=41, engine_rpm=901, fuel_level=50)
    take_in(flow, (b"T-1", fuller))
    assert publish_now(flow).failures == ()
    last = dead_letters(flow)[-1]
    assert (headers(last)["reason"], headers(last)["offset"]) == ("conflicting_duplicate", "8")
    assert len(dead_letters(flow)) == len(rejects(flow)) == len(BAD)


def test_a_kill_before_the_note_sends_again_and_loses_nothing(flow: PlatformRun) -> None:
    take_in(flow, (b"T-1", b"[1]"), (b"T-1", b"[2]"))
    before = len(dead_letters(flow))
    killed = subprocess.run(
        [sys.executable, "-c", PUBLISH],
        env={**os.environ, "FLEET_FAULT_POINT": "dlq.produced"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(dead_letters(flow)) == before + 2
    assert sum(publish_now(flow).rejects.values()) == 2
    again = dead_letters(flow)[before:]
    assert [x.value() for x in again] == [b"[1]", b"[2]"] * 2
    assert again[0].key() == again[2].key()  # so a consumer knows them for the same
    assert set(publish_now(flow).rejects.values()) <= {0}
    assert len(dead_letters(flow)) == before + 4


def test_kafka_being_away_fails_the_check_and_not_the_run(flow: PlatformRun) -> None:
    flow.produce([(b"T-1", b"[3]")], partition=1)
    flow.land()
    before = len(dead_letters(flow))
    away = Broker("127.0.0.1:1", {"socket.timeout.ms": 1000})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet_assets.assets.platform.Platform.broker", away)
        executed = flow.refresh()
    assert all(result.success for result in executed)
    assert flow.verdicts("kafka/telemetry_dlq", "published") == {None: False}
    assert flow.query("select sum(rejected_not_an_object) from marts.mart_data_quality") == [(3,)]
    (result,) = flow.follow("dlq_sensor", "dead_letters")
    assert result.success
    assert [x.value() for x in dead_letters(flow)[before:]] == [b"[3]"]
    assert flow.verdicts("kafka/telemetry_dlq", "published") == {None: True}
    assert flow.tick("dlq_sensor").run_requests == []
