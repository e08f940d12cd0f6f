"""How the data flows, as ``fleet status`` tells it: what has landed, what waits, what fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from fleet_assets.local.failing_checks import failing_checks
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
    newest_mart_row: str | None = None
    """Event time of the newest message that the marts show, ISO 8601 in UTC."""
    failing_checks: list[str] = field(default_factory=list)
    """Asset checks whose latest verdict is a failure, and hours that a stage cannot work."""


def flow_status(endpoints: Endpoints, settings: Settings | None = None) -> FlowStatus:
    """Gather the status from Kafka, the lake and the warehouse; all must be reachable."""
    from fleet_assets.flow import hour_progress
    from fleet_assets.lake.landed import newest_event
    from fleet_assets.lake.landing import committed_offsets
    from fleet_assets.lake.store import Lake

    settings = settings or Settings()
    admin = admin_client(endpoints.kafka_bootstrap_servers, settings.kafka_client_options())
    topic = _describe_topic(admin, settings.topic)
    landed: dict[int, int] = {}
    ends: dict[int, int] = {}
    if topic is not None:
        partitions = [info.id for info in topic.partitions]
        cluster_id = str(
            admin.describe_cluster(request_timeout=_TIMEOUT_SECONDS).result().cluster_id
        )
        ends = _high_watermarks(admin, settings.topic, partitions)
        landed = committed_offsets(endpoints.lake_url, cluster_id, str(topic.topic_id), partitions)
    lake = Lake(endpoints.lake_url)
    newest = newest_event(lake)
    return FlowStatus(
        lag={partition: end - landed.get(partition, 0) for partition, end in ends.items()},
        last_landed_offset={p: offset - 1 for p, offset in sorted(landed.items()) if offset > 0},
        stale_hours=sum(hour.stale for hour in hour_progress(lake, endpoints.postgres_url)),
        newest_event=None if newest is None else newest.isoformat(),
        newest_mart_row=_newest_mart_row(endpoints.postgres_url),
        failing_checks=failing_checks(endpoints.postgres_url, settings),
    )


def _newest_mart_row(postgres_url: str) -> str | None:
    import psycopg

    with psycopg.connect(postgres_url, connect_timeout=_TIMEOUT_SECONDS) as connection:
        exists = connection.execute("SELECT to_regclass('marts.fct_vehicle_hours')").fetchone()
        if exists is None or exists[0] is None:
            return None
        found = connection.execute(
            "SELECT max(last_event_time) FROM marts.fct_vehicle_hours"
            " WHERE hour_start >= (SELECT max(hour_start) FROM marts.fct_vehicle_hours)"
        ).fetchone()
        return None if found is None or found[0] is None else found[0].astimezone(UTC).isoformat()


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
