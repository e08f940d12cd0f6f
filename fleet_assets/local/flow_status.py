"""How the data flows, as ``fleet status`` tells it: what has landed, what waits, what fails."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

from fleet_assets.local.topics import admin_client
from fleet_assets.settings import Endpoints, Settings

_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class FlowStatus:
    """The state of the data; empty where nothing has landed yet."""

    lag: dict[int, int] = field(default_factory=dict)
    """Messages in each Kafka partition that are not in the lake yet."""
    last_landed_offset: dict[int, int] = field(default_factory=dict)
    """Offset of the last message of each Kafka partition that is in the lake."""
    stale_hours: int = 0
    """Event hours with landed messages that are not in the derived tables yet."""
    newest_event: str | None = None
    """Event time of the newest message in the lake, ISO 8601 in UTC."""
    failing_checks: list[str] = field(default_factory=list)
    """Asset checks whose latest verdict is a failure."""


def flow_status(endpoints: Endpoints, settings: Settings | None = None) -> FlowStatus:
    """Gather the status from Kafka and the lake; both must be reachable."""
    settings = settings or Settings()
    admin = admin_client(endpoints.kafka_bootstrap_servers, settings.kafka_client_options())
    topic = _describe_topic(admin, settings.topic)
    if topic is None:
        return FlowStatus()
    cluster_id = admin.describe_cluster(request_timeout=_TIMEOUT_SECONDS).result().cluster_id
    landed = _committed_offsets(endpoints.lake_url, str(cluster_id), str(topic.topic_id))
    ends = _high_watermarks(admin, settings.topic, [info.id for info in topic.partitions])
    return FlowStatus(
        lag={partition: end - landed.get(partition, 0) for partition, end in ends.items()},
        last_landed_offset={p: offset - 1 for p, offset in sorted(landed.items()) if offset > 0},
    )


def _committed_offsets(lake_url: str, cluster_id: str, topic_id: str) -> dict[int, int]:
    try:
        landing = importlib.import_module("fleet_assets.lake.landing")
    except ModuleNotFoundError:
        return {}
    offsets: dict[int, int] = landing.committed_offsets(lake_url, cluster_id, topic_id)
    return offsets


def _describe_topic(admin: Any, topic: str) -> Any:
    from confluent_kafka import KafkaException, TopicCollection

    described = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_SECONDS)
    try:
        return described[topic].result()
    except KafkaException:
        return None


def _high_watermarks(admin: Any, topic: str, partitions: list[int]) -> dict[int, int]:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin._listoffsets import OffsetSpec

    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, partition): latest for partition in partitions}
    answers = admin.list_offsets(wanted, request_timeout=_TIMEOUT_SECONDS)
    return {
        place.partition: answer.result().offset
        for place, answer in sorted(answers.items(), key=lambda item: item[0].partition)
    }
