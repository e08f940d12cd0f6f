"""What a topic holds: its identity and its watermarks. Nothing is consumed here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from fleet_assets.errors import FleetError
from fleet_assets.telemetry.source import Source

_TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Broker:
    """How to reach Kafka: servers and further librdkafka options (SASL, TLS)."""

    bootstrap_servers: str
    options: Mapping[str, Any]

    def config(self, **more: Any) -> dict[str, Any]:
        """librdkafka configuration for a client."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "socket.timeout.ms": 10_000,
            **self.options,
            **more,
        }

    def consumer(self) -> Consumer:
        """A consumer that belongs to no group's bookkeeping and never resets by itself."""
        return Consumer(
            self.config(
                **{
                    "group.id": "fleet-landing",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "fetch.max.bytes": 64 * 1024 * 1024,
                    "max.partition.fetch.bytes": 8 * 1024 * 1024,
                    "queued.max.messages.kbytes": 64 * 1024,
                    "fetch.wait.max.ms": 50,
                    "check.crcs": True,
                }
            ),
            logger=_log,
        )


@dataclass(frozen=True)
class TopicState:
    """What can be read now: per partition the half-open range of offsets that Kafka holds."""

    source: Source
    watermarks: dict[int, tuple[int, int]]


def topic_state(broker: Broker, topic: str) -> TopicState:
    """Identity and watermarks of a topic.

    Raises:
        FleetError: Kafka does not answer, or has no such topic.
    """
    try:
        admin = AdminClient(broker.config(), logger=_log)
        cluster_id = admin.describe_cluster(request_timeout=_TIMEOUT_S).result().cluster_id
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)[
            topic
        ].result()
    except KafkaException as error:
        raise FleetError(
            f"Kafka at {broker.bootstrap_servers} gives no topic {topic!r}"
            f" ({error.args[0].str()}): is it up? `fleet status` tells"
        ) from error
    consumer = broker.consumer()
    try:
        watermarks = {
            partition.id: consumer.get_watermark_offsets(
                TopicPartition(topic, partition.id), timeout=_TIMEOUT_S
            )
            for partition in described.partitions
        }
    except KafkaException as error:
        raise FleetError(
            f"Kafka at {broker.bootstrap_servers} does not tell its watermarks"
            f" ({error.args[0].str()})"
        ) from error
    finally:
        consumer.close()
    return TopicState(Source(cluster_id, str(described.topic_id)), watermarks)
