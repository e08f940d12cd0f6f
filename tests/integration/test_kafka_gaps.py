"""Retention overruns the reader, logs lose their end: told, counted, and the flow goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from confluent_kafka import Consumer
from installation import Installation
from kafka_topics import Topic, telemetry
from platform_run import PlatformRun, platform_run
from telemetry_data import placed

from fleet_assets.kafka import read
from fleet_assets.kafka.read import read_ranges
from fleet_assets.kafka.topic import Broker
from fleet_assets.lake.gaps import Gap
from fleet_assets.lake.landing import land
from fleet_assets.warehouse.gaps import known_gaps

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def base(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("kafka-gaps")
    with platform_run(services, "kafka-gaps", flow_home, lake) as run:
        yield run


@pytest.fixture
def make(
    base: PlatformRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[PlatformRun, Topic]]:
    """A topic and a lake of the test's own; the definitions and the warehouse are shared."""

    def made(name: str, partitions: int = 1, **config: str) -> tuple[PlatformRun, Topic]:
        monkeypatch.setenv("FLEET_TOPIC", f"gaps-{name}")
        monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "lake"))
        return base, Topic(base.platform.broker, f"gaps-{name}").make(partitions, **config)

    return made


def check(run: PlatformRun) -> tuple[bool, str]:
    """Verdict of the check `offsets` and what it found."""
    result = run.execute("verify", {}, {})
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation.passed, str(evaluation.metadata["differences"].value)


def mine(run: PlatformRun, topic: Topic) -> list[Gap]:
    topic_id = topic.state().source.topic_id
    known = known_gaps(run.lake, run.postgres_url)
    return [gap for gap in known if gap.kafka_topic_id == topic_id]


def landings(run: PlatformRun) -> list[tuple[Any, ...]]:
    columns = ["kafka_partition", "offset_start", "offset_end", "messages", "holes", "lost"]
    return sorted(run.rows("landings").select(columns).rows())


def fleet(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from fleet_assets.cli import main; main()", *words],
        env=os.environ.copy(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_expired_unread_is_told_fails_the_check_and_can_be_acknowledged(
    make: Callable[..., tuple[PlatformRun, Topic]],
) -> None:
    run, topic = make("expired", 2)
    topic.produce(telemetry(range(10)))
    topic.produce(telemetry(range(10)), partition=1)
    run.land()
    assert check(run) == (True, "none")

    topic.produce(telemetry(range(10, 40)))
    topic.produce(telemetry(range(10, 20)), partition=1)
    topic.expire(p0=25, p1=20)  # part of what is unread, and all of it
    topic.produce(telemetry(range(40, 45)))
    run.land()  # goes on by itself
    assert landings(run) == [
        (0, 0, 10, 10, 0, 0),
        (0, 10, 45, 20, 0, 15),
        (1, 0, 10, 10, 0, 0),
        (1, 10, 20, 0, 0, 10),
    ]
    assert run.rows("raw_telemetry").height == 40

    passed, found = check(run)
    assert not passed
    assert "partition 0" in found
    assert "offsets 10 to 24" in found
    assert "partition 1" in found
    assert "offsets 10 to 19" in found
    listed = fleet("gaps", "list")
    assert (listed.returncode, listed.stdout.count("OPEN")) == (1, 2)
    refused = fleet("gaps", "acknowledge", "--partition", "0", "--reason", " ")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "reason" in refused.stderr

    noted = fleet("gaps", "acknowledge", "--partition", "0", "--reason", "disk was full")
    assert noted.returncode == 0
    assert "offsets 10 to 24" in noted.stdout
    assert [gap.is_open for gap in mine(run, topic)] == [False, True]
    assert fleet("gaps", "acknowledge", "--offset", "15", "--reason", "the same").returncode == 0
    assert check(run) == (True, "none")
    rows = json.loads(fleet("gaps", "list", "--format", "json").stdout)
    mine_only = [row for row in rows if row["kafka_topic_id"] == topic.state().source.topic_id]
    assert [(r["offset_start"], r["lost"], r["open"]) for r in mine_only] == [
        (10, 15, False),
        (10, 10, False),
    ]
    assert fleet("gaps", "acknowledge", "--reason", "again").returncode == 1


def test_history_before_the_first_landing_is_visible_and_no_loss(
    make: Callable[..., tuple[PlatformRun, Topic]],
) -> None:
    run, topic = make("before")
    topic.produce(telemetry(range(10)))
    topic.expire(p0=7)
    run.land()
    assert landings(run) == [(0, 7, 10, 3, 0, 0)]
    (gap,) = mine(run, topic)
    assert (gap.kind, gap.offset_start, gap.offset_end, gap.is_open) == ("before", 0, 7, False)
    assert check(run) == (True, "none")


def test_a_range_that_expires_between_request_and_run_is_lost_and_landing_goes_on(
    make: Callable[..., tuple[PlatformRun, Topic]],
) -> None:
    run, topic = make("between")
    topic.produce(telemetry(range(10)))
    (request,) = run.tick("landing_sensor").run_requests or []
    topic.produce(telemetry(range(10, 12)))
    topic.expire(p0=11)
    assert run.execute("landing", request.run_config, request.tags).success
    run.land()
    assert landings(run) == [(0, 0, 10, 0, 0, 10), (0, 10, 12, 1, 0, 1)]
    (gap,) = mine(run, topic)
    assert (gap.offset_start, gap.offset_end, gap.lost) == (0, 11, 11)


class Unhurried(Broker):
    """Fetches batch by batch, so that what is to be read next can expire meanwhile."""

    def consumer(self, **more: Any) -> Consumer:
        few = {"queued.min.messages": 1, "max.partition.fetch.bytes": 1}
        return super().consumer(**more, **few)


def test_what_expires_while_it_is_read_is_lost_and_reading_goes_on(
    make: Callable[..., tuple[PlatformRun, Topic]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost offsets stand first in a range, so the range is cut where they begin."""
    run, topic = make("during", 2)
    for partition in (0, 1):
        topic.produce(telemetry(range(400)), partition, batch_num_messages=10, linger_ms=100)
    broker = Unhurried(run.platform.broker.bootstrap_servers, {})
    monkeypatch.setattr(read, "_FETCH", 5)
    monkeypatch.setattr(read, "CHUNK_MESSAGES", 5)
    source = topic.state().source
    chunks = []
    for chunk in read_ranges(broker, topic.name, source.topic_id, {0: (0, 300), 1: (0, 300)}):
        if not chunks:
            topic.expire(p0=200, p1=350)
        chunks.append(chunk)
    for partition in (0, 1):
        at, held, lost = 0, 0, 0
        for chunk in chunks:
            if partition in chunk.ranges:
                start, end = chunk.ranges[partition]
                assert start == at
                at, gone = end, chunk.lost.get(partition, 0)
                rows = chunk.messages.filter(pl.col("kafka_partition") == partition)
                # no holes here: what is not lost is there, and the lost ones come first
                assert rows["kafka_offset"].to_list() == list(range(start + gone, end))
                held, lost = held + rows.height, lost + gone
        assert (at, held + lost) == (300, 300)
        assert lost > 0
    assert sum(chunk.lost.get(1, 0) for chunk in chunks) > 200


def test_a_log_that_lost_its_end_is_told_and_nothing_is_read_backwards(
    make: Callable[..., tuple[PlatformRun, Topic]],
) -> None:
    """What an unclean leader election leaves: the lake has landed more than Kafka now holds."""
    run, topic = make("truncated", 2)
    topic.produce(telemetry(range(10)))
    topic.produce(telemetry(range(3)), partition=1)
    run.land()
    rows = placed([value for _, value in telemetry(range(10, 20))], start=10)
    source = topic.state().source
    rows = rows.with_columns(kafka_topic_id=pl.lit(source.topic_id))
    land(run.lake, source, {0: (10, 20)}, rows)

    topic.produce(telemetry(range(3, 5)), partition=1)
    run.land()  # the other partition goes on
    assert run.tick("landing_sensor").run_requests == []
    assert "partition 0: Kafka's log ends at 10, landed up to 20" in str(
        run.tick("landing_sensor").skip_message
    )
    passed, found = check(run)
    assert not passed
    assert "offsets 10 to 19" in found

    topic.produce(telemetry(range(100, 115)))  # offsets 10 to 24 anew
    run.land()
    assert landings(run)[2] == (0, 20, 25, 5, 0, 0)
    (gap,) = mine(run, topic)  # not forgotten although the log is long enough again
    assert (gap.kind, gap.offset_start, gap.offset_end) == ("truncated", 10, 20)
    assert not check(run)[0]
    assert fleet("gaps", "acknowledge", "--reason", "broker 3 lost its disk").returncode == 0
    assert check(run) == (True, "none")
