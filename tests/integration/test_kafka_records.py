"""What else than plain messages a log holds: transactions, holes, tombstones, every compression."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from installation import Installation
from kafka_topics import Topic, send, telemetry
from platform_run import PlatformRun, platform_run, wait_until
from telemetry_data import message

from fleet_assets.kafka.findings import HANGING_AFTER, hanging
from fleet_assets.kafka.plan import topic_problems
from fleet_assets.kafka.topic import TopicState
from fleet_assets.local.flow_status import flow_status
from fleet_assets.settings import resolve_endpoints
from fleet_assets.telemetry.source import Source

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., tuple[PlatformRun, Topic]]


@pytest.fixture(scope="module")
def base(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("kafka-records")
    with platform_run(services, "kafka-records", flow_home, lake) as run:
        yield run


@pytest.fixture
def make(base: PlatformRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A topic and a lake of the test's own; the definitions and the warehouse are shared."""

    def made(name: str, partitions: int = 1, **config: str) -> tuple[PlatformRun, Topic]:
        monkeypatch.setenv("FLEET_TOPIC", f"records-{name}")
        monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "lake"))
        return base, Topic(base.platform.broker, f"records-{name}").make(partitions, **config)

    return made


def landings(run: PlatformRun) -> list[tuple[Any, ...]]:
    columns = ["kafka_partition", "offset_start", "offset_end", "messages", "holes", "lost"]
    return sorted(run.rows("landings").select(columns).rows())


def offsets_pass(run: PlatformRun) -> bool:
    (evaluation,) = run.execute("verify", {}, {}).get_asset_check_evaluations()
    return evaluation.passed


def speeds(run: PlatformRun) -> list[float]:
    values = run.rows("raw_telemetry").sort("kafka_offset")["value"]
    return [float(value.rpartition(b" ")[2].rstrip(b"}")) for value in values]


def test_only_what_transactions_have_committed_lands(make: Make) -> None:
    run, topic = make("transactions")
    producer = topic.transactional("records-producer")
    producer.begin_transaction()
    send(producer, topic.name, telemetry(range(3)))
    producer.commit_transaction()  # offset 3 is its mark
    producer.begin_transaction()
    send(producer, topic.name, telemetry(range(100, 104)))
    producer.abort_transaction()  # offsets 4 to 7, and the mark 8
    producer.begin_transaction()
    send(producer, topic.name, telemetry(range(3, 5)))  # offsets 9 and 10, undecided
    topic.produce(telemetry(range(200, 206)))  # of another producer, held back by them

    run.land()
    assert landings(run) == [(0, 0, 9, 3, 6, 0)]
    data = run.tick("landing_sensor")
    assert data.run_requests == []
    assert "an open transaction holds back 8 offsets from 9 on" in str(data.skip_message)
    assert flow_status(resolve_endpoints()).lag == {0: 8}
    assert offsets_pass(run)

    producer.commit_transaction()
    run.land()
    assert speeds(run) == [*range(5), *range(200, 206)]
    assert sum(row[3] for row in landings(run)) == 11
    assert flow_status(resolve_endpoints()).lag == {0: 0}
    assert offsets_pass(run)


def test_ranges_that_hold_nothing_but_holes_land_and_lead_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aborted messages more than a landing may take, with and without messages behind them."""
    run, topic = make("holes")
    monkeypatch.setenv("FLEET_LANDING_MAX_MESSAGES", "10")
    producer = topic.transactional("records-aborter")
    for _ in range(5):
        producer.begin_transaction()
        send(producer, topic.name, telemetry(range(7)))
        producer.abort_transaction()
    run.land()
    assert landings(run) == [(0, n, n + 10, 0, 10, 0) for n in range(0, 40, 10)]
    topic.produce(telemetry(range(5)))
    producer.begin_transaction()
    send(producer, topic.name, telemetry(range(12)))
    producer.abort_transaction()
    topic.produce(telemetry(range(5, 8)))
    run.land()
    assert speeds(run) == list(range(8))
    assert landings(run)[-1][2] == 40 + 5 + 13 + 3
    assert offsets_pass(run)


def test_a_transaction_whose_producer_is_dead_fails_the_check(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, topic = make("hanging")
    producer = topic.transactional("records-dead")
    producer.begin_transaction()
    send(producer, topic.name, telemetry(range(3)))
    assert topic_problems(run.lake, run.platform.broker, topic.name)[0] == []
    monkeypatch.setattr("fleet_assets.kafka.findings.HANGING_AFTER", timedelta(0))
    (problem,), _ = topic_problems(run.lake, run.platform.broker, topic.name)
    assert "partition 0: a transaction is open since" in problem
    assert "holds back 3 offsets from 0 on" in problem
    assert not offsets_pass(run)
    producer.abort_transaction()
    assert offsets_pass(run)


def test_a_transaction_counts_as_hanging_once_kafka_would_have_ended_it() -> None:
    state = TopicState(Source("c", "t"), {0: (0, 5), 1: (0, 5)}, {0: 9, 1: 5})
    now = datetime.now(UTC)
    assert hanging(state, {0: now - HANGING_AFTER}, now) == []
    assert len(hanging(state, {0: now - HANGING_AFTER * 1.01}, now)) == 1
    assert hanging(state, {}, now) == []


def test_compaction_leaves_holes_and_tombstones_are_rejected_with_their_key(make: Make) -> None:
    run, topic = make(
        "compacted", cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="100",
    )  # fmt: skip
    cleaner = ConfigResource(
        ResourceType.BROKER, "1",
        incremental_configs=[
            ConfigEntry("log.cleaner.backoff.ms", "100",
                        incremental_operation=AlterConfigOpType.SET)
        ],
    )  # fmt: skip
    topic.admin.incremental_alter_configs([cleaner])[cleaner].result(10)
    topic.produce(telemetry(range(10)))
    time.sleep(0.2)  # a segment ends with the first message after its time
    topic.produce([(b"v1", None)])
    topic.produce(telemetry(range(10, 12), vehicle="v2"))
    time.sleep(0.2)
    topic.produce(telemetry([12], vehicle="v3"))
    wait_until(lambda: _first_offset(topic) == 10, 150, lambda: str(_first_offset(topic)))
    run.land()
    assert landings(run) == [(0, 0, 14, 3, 11, 0)]
    rows = run.rows("raw_telemetry").sort("kafka_offset")
    assert rows.select("kafka_offset", "key", "reject_reason").rows() == [
        (10, b"v1", "empty"), (12, b"v2", None), (13, b"v3", None),
    ]  # fmt: skip
    assert offsets_pass(run)
    assert all(result.success for result in run.refresh())
    (reject,) = run.rows("telemetry_rejects").filter(reason="empty").iter_rows(named=True)
    assert (reject["key"], reject["value"]) == (b"v1", None)


def _first_offset(topic: Topic) -> int:
    """Offset of the first message that is left."""
    consumer = topic.broker.consumer()
    try:
        consumer.assign([TopicPartition(topic.name, 0, 0)])
        found = consumer.poll(10)
        assert found is not None
        offset = found.offset()
        assert offset is not None
        return offset
    finally:
        consumer.close()


@pytest.mark.parametrize("timestamps", ["LogAppendTime", "CreateTime"])
def test_every_compression_key_header_and_size_lands_byte_for_byte(
    make: Make, timestamps: str
) -> None:
    run, topic = make(f"mixed-{timestamps}", message_timestamp_type=timestamps)
    large = message("v1", "2026-02-01T05:59:59Z", note=os.urandom(1_048_300).hex())
    assert 2_096_000 < len(large) < 2_097_152
    sent = [
        *((b"v1", value) for _, value in telemetry(range(5))),
        *((None, value) for _, value in telemetry(range(5, 10))),
        (b"", b"{}"),
        (b"\x00\xff", b"\x00"),
    ]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic.produce(sent, compression_type=codec, headers={"trace": b"\xff\x00", "empty": b""})
    topic.produce([(b"v1", large)], timestamp=1)  # CreateTime: 1970
    before = datetime.now(UTC)
    run.land()
    rows = run.rows("raw_telemetry").sort("kafka_offset")
    assert rows.select("key", "value").rows() == [*sent * 5, (b"v1", large)]
    if timestamps == "CreateTime":  # a producer's clock is no arrival: it is when it landed
        assert (rows["append_time"] >= before.replace(microsecond=0)).all()
    else:
        assert (rows["append_time"] <= before).all()
    assert rows["append_time"].min() > datetime(2026, 1, 1, tzinfo=UTC)
    assert offsets_pass(run)
