"""What a topic holds: its identity and its watermarks. Nothing is consumed here."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from fleet_assets.errors import FleetError
from fleet_assets.kafka.answers import answer
from fleet_assets.kafka.problems import Problems, kafka_failed
from fleet_assets.telemetry.source import Source

_TIMEOUT_S: Final = 10.0
_EARLIEST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Broker:
    """How to reach Kafka: servers and further librdkafka options (SASL, TLS).

    Attributes:
        problems: what librdkafka reported beside its answers.
    """

    bootstrap_servers: str
    options: Mapping[str, Any]
    problems: Problems = field(default_factory=Problems, compare=False)

    def config(self, **more: Any) -> dict[str, Any]:
        """librdkafka configuration for a client."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "socket.timeout.ms": 10_000,
            "log_level": 0,  # a line for each attempt to connect; `problems` keeps the cause
            "error_cb": self.problems,
            **self.options,
            **more,
        }

    def failed(self, doing: str, error: KafkaException | None = None) -> FleetError:
        """The FleetError that says what could not be done, why, and what helps."""
        return kafka_failed(self.bootstrap_servers, doing, error, self.problems)

    def admin(self) -> AdminClient:
        """A client that asks.

        Raises:
            FleetError: librdkafka refuses the settings.
        """
        try:
            return AdminClient(self.config(), logger=_log)
        except KafkaException as error:
            raise self.failed("connecting", error) from error

    def consumer(self, **more: Any) -> Consumer:
        """A consumer that belongs to no group's bookkeeping and never resets by itself.

        Args:
            more: librdkafka options that differ.

        Raises:
            FleetError: librdkafka refuses the settings.
        """
        config = self.config(
            **{
                "group.id": "fleet-landing",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.max.bytes": 16 * 1024 * 1024,
                "max.partition.fetch.bytes": 1024 * 1024,  # compressed: it may unpack tenfold
                "queued.max.messages.kbytes": 32 * 1024,
                "fetch.wait.max.ms": 50,
                "check.crcs": True,
                **more,
            }
        )
        try:
            return Consumer(config, logger=_log)
        except KafkaException as error:
            raise self.failed("connecting", error) from error


@dataclass(frozen=True)
class TopicState:
    """What can be read now.

    Attributes:
        source: cluster and topic id.
        watermarks: per partition, first offset that Kafka holds and the last stable offset:
            what lies before it is decided, committed or aborted.
        high: per partition, one past the last offset, with those of open transactions.
        silent: partitions that do not answer (they have no leader), and what was said instead.
    """

    source: Source
    watermarks: dict[int, tuple[int, int]]
    high: dict[int, int] = field(default_factory=dict)
    silent: dict[int, str] = field(default_factory=dict)

    @property
    def held_back(self) -> dict[int, tuple[int, int]]:
        """Partitions in which an open transaction holds back what follows: stable and last."""
        return {
            p: (stable, self.high[p])
            for p, (_, stable) in self.watermarks.items()
            if stable < self.high.get(p, stable)
        }


def topic_state(broker: Broker, topic: str) -> TopicState:
    """Identity and watermarks of a topic.

    Raises:
        FleetError: Kafka does not answer, or has no such topic.
    """
    admin = broker.admin()
    asked = admin.describe_cluster(request_timeout=_TIMEOUT_S)
    cluster_id = answer(admin, broker, asked, "describing the cluster").cluster_id
    topic_id, partitions = describe(admin, broker, topic)
    low, _ = _offsets(admin, topic, partitions, _EARLIEST)
    stable, silent = _offsets(admin, topic, partitions, _LATEST)
    high, _ = _offsets(admin, topic, partitions, _LATEST, IsolationLevel.READ_UNCOMMITTED)
    known = sorted(low.keys() & stable.keys() & high.keys())
    if partitions and not known:
        raise broker.failed(f"watermarks of {topic!r}", next(iter(silent.values()), None))
    broker.problems.clear()
    return TopicState(
        Source(cluster_id, topic_id),
        {p: (low[p], stable[p]) for p in known},
        {p: high[p] for p in known},
        {p: str(silent[p].args[0]) if p in silent else "?" for p in partitions if p not in known},
    )


def topic_exists(broker: Broker, topic: str) -> bool:
    """Whether Kafka has the topic.

    Raises:
        FleetError: Kafka does not answer.
    """
    admin = broker.admin()
    try:
        answer(
            admin,
            broker,
            admin.describe_cluster(request_timeout=_TIMEOUT_S),
            "describing the cluster",
        )
        return topic in admin.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise broker.failed("listing its topics", error) from error


def describe(admin: AdminClient, broker: Broker, topic: str) -> tuple[str, list[int]]:
    """Id of a topic, and its partitions.

    Raises:
        FleetError: Kafka does not answer, or has no such topic.
    """
    asked = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)
    found = answer(admin, broker, asked[topic], f"topic {topic!r}")
    return str(found.topic_id), sorted(partition.id for partition in found.partitions)


def held_offsets(
    admin: AdminClient, broker: Broker, topic: str, partitions: Iterable[int]
) -> dict[int, tuple[int, int]]:
    """Per partition, the first offset that Kafka holds and one past the last.

    Raises:
        FleetError: a partition does not answer.
    """
    asked = list(partitions)
    low, silent = _offsets(admin, topic, asked, _EARLIEST)
    high, also_silent = _offsets(admin, topic, asked, _LATEST, IsolationLevel.READ_UNCOMMITTED)
    for error in (silent | also_silent).values():
        raise broker.failed(f"watermarks of {topic!r}", error) from error
    return {p: (low[p], high[p]) for p in asked}


def _offsets(
    admin: AdminClient,
    topic: str,
    partitions: Iterable[int],
    which: OffsetSpec,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> tuple[dict[int, int], dict[int, KafkaException]]:
    """One request to each leader: a partition's offset, or why there is none."""
    asked = {TopicPartition(topic, p): which for p in partitions}
    if not asked:
        return {}, {}
    found: dict[int, int] = {}
    silent: dict[int, KafkaException] = {}
    answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=_TIMEOUT_S)
    for place, told in answers.items():
        try:
            found[place.partition] = told.result().offset
        except KafkaException as error:
            silent[place.partition] = error
    return found, silent
