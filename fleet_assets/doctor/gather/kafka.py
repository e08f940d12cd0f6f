"""What the broker tells of the topic: offsets by time, configuration, newest append time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec

from fleet_assets.doctor.checks.kafka import LANDING_LIMIT_SECONDS, KafkaFacts, PartitionFacts
from fleet_assets.errors import FleetError
from fleet_assets.lake.landing import next_offsets
from fleet_assets.lake.store import Lake
from fleet_assets.local.topics import admin_client
from fleet_assets.settings import Settings
from fleet_assets.telemetry.source import Source

_WHEN: Any = OffsetSpec  # it is not typed
_TIMEOUT_S = 10.0
_SECOND_LOOK_S = 3.0
_CONFIG = ("message.timestamp.type", "retention.ms", "max.message.bytes")


class TopicAsked:
    """A topic and the admin client that asks about it."""

    def __init__(self, settings: Settings, bootstrap_servers: str) -> None:
        self._topic = settings.topic
        self._admin = admin_client(bootstrap_servers, settings.kafka_client_options())
        self._where = bootstrap_servers

    def facts(self, lake: Lake, open_gaps: Iterable[str]) -> KafkaFacts:
        """Everything about the topic.

        Raises:
            FleetError: Kafka does not answer.
        """
        try:
            return self._facts(lake, tuple(open_gaps))
        except KafkaException as error:
            raise FleetError(
                f"Kafka at {self._where} does not answer ({error.args[0].str()})"
            ) from None

    def newest_append_seconds(self) -> float | None:
        """Append time of the newest message of the topic, Unix time; None: it has none.

        Raises:
            FleetError: Kafka does not answer.
        """
        try:
            numbers = self._partitions()
            found = self._offsets(numbers or [], _WHEN.max_timestamp())
        except KafkaException as error:
            raise FleetError(f"Kafka does not answer ({error.args[0].str()})") from None
        times = [answer.timestamp for answer in found.values() if answer.timestamp > 0]
        return max(times) / 1000 if times else None

    def _facts(self, lake: Lake, open_gaps: tuple[str, ...]) -> KafkaFacts:
        described = self._describe()
        if described is None:
            return KafkaFacts(self._topic, None, open_gaps=open_gaps)
        numbers = [info.id for info in described.partitions]
        cluster = self._admin.describe_cluster(request_timeout=_TIMEOUT_S).result().cluster_id
        raw = lake.find("raw_telemetry")
        source = Source(str(cluster), str(described.topic_id))
        committed = {} if raw is None else next_offsets(raw, source, numbers)
        config = self._config()
        low = self._at(numbers, _WHEN.earliest())
        high = self._at(numbers, _WHEN.latest())
        old = self._older_than(numbers, LANDING_LIMIT_SECONDS, high)
        half = float(config.get("retention.ms", "-1")) / 2000
        half_old = self._older_than(numbers, half, high) if half > 0 else {}
        later: Mapping[int, int] = {}
        if any(high[n] > max(low[n], committed.get(n, 0)) for n in numbers):
            later = self._lag_later(lake, source, numbers)
        return KafkaFacts(
            self._topic,
            {
                n: PartitionFacts(
                    low=low[n],
                    high=high[n],
                    committed=committed.get(n),
                    overdue=max(0, old[n] - max(low[n], committed.get(n, 0))),
                    endangered=max(0, half_old.get(n, 0) - max(low[n], committed.get(n, 0))),
                    lag_later=later.get(n),
                )
                for n in numbers
            },
            config,
            open_gaps,
        )

    def _lag_later(self, lake: Lake, source: Source, numbers: list[int]) -> Mapping[int, int]:
        time.sleep(_SECOND_LOOK_S)
        raw = lake.find("raw_telemetry")
        committed = {} if raw is None else next_offsets(raw, source, numbers)
        low, high = self._at(numbers, _WHEN.earliest()), self._at(numbers, _WHEN.latest())
        return {n: max(0, high[n] - max(low[n], committed.get(n, 0))) for n in numbers}

    def _older_than(
        self, numbers: list[int], seconds: float, high: Mapping[int, int]
    ) -> dict[int, int]:
        """Per partition, one past the last offset that is older than so many seconds."""
        moment = int((time.time() - seconds) * 1000)
        at = self._at(numbers, _WHEN.for_timestamp(moment))
        return {n: high[n] if at[n] < 0 else at[n] for n in numbers}

    def _at(self, numbers: list[int], spec: Any) -> dict[int, int]:
        return {n: answer.offset for n, answer in self._offsets(numbers, spec).items()}

    def _offsets(self, numbers: list[int], spec: Any) -> dict[int, Any]:
        wanted = {TopicPartition(self._topic, number): spec for number in numbers}
        answers = self._admin.list_offsets(wanted, request_timeout=_TIMEOUT_S)
        return {place.partition: answer.result() for place, answer in answers.items()}

    def _partitions(self) -> list[int] | None:
        described = self._describe()
        return None if described is None else [info.id for info in described.partitions]

    def _describe(self) -> Any:
        """None: there is no such topic.

        Raises:
            KafkaException: no answer.
        """
        if self._topic not in self._admin.list_topics(timeout=_TIMEOUT_S).topics:
            return None
        asked = self._admin.describe_topics(
            TopicCollection([self._topic]), request_timeout=_TIMEOUT_S
        )
        return asked[self._topic].result()

    def _config(self) -> dict[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, self._topic)
        asked = self._admin.describe_configs([resource], request_timeout=_TIMEOUT_S)
        try:
            found = asked[resource].result()
        except KafkaException:  # a user who may read need not be allowed to see the configuration
            return {}
        return {name: str(found[name].value) for name in _CONFIG if name in found}
