"""The Kafka producer that the simulator and the replay share.

Idempotent, so retries neither double nor reorder; large batches, because feeding a platform is
about throughput. Deliveries are counted by what librdkafka no longer holds, less the failed ones:
a callback for each good message would cost more than the message.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from fleet_assets.errors import FleetError
from fleet_assets.settings import Settings, service_address

MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024 + 64 * 1024
"""A message of 2 MiB and its record's overhead."""
QUEUE_MESSAGES: Final = 500_000
QUEUE_KIB: Final = 256 * 1024


class KafkaSink:
    """Sends to the platform's topic.

    Args:
        settings: of the installation; its ``topic`` is where messages go.
        bootstrap_servers: instead of those of the running platform.
        patience: how long nothing may be acknowledged before the broker counts as dead.

    Raises:
        FleetError: no broker answers, or messages could not be delivered.
    """

    def __init__(
        self, settings: Settings | None = None, bootstrap_servers: str | None = None,
        patience: timedelta = timedelta(minutes=2),
    ) -> None:  # fmt: skip
        settings = settings or Settings()
        self._topic = settings.topic
        self._servers = bootstrap_servers or service_address("kafka_bootstrap_servers", settings)
        self._patience_s = patience.total_seconds()
        self._options = settings.kafka_client_options()
        self._sent = self._failed = 0
        self._first_error: str | None = None
        self._producer: Any = None

    def __enter__(self) -> Self:
        from confluent_kafka import KafkaException, Producer

        from fleet_assets.kafka.problems import Problems, is_final, kafka_failed

        problems = Problems()
        give_up = time.monotonic() + min(self._patience_s, 10.0)
        while True:
            try:
                self._producer = self._producer or self._made(Producer, problems)
                known = self._producer.list_topics(self._topic, timeout=2.0)
                break
            except KafkaException as error:
                if self._producer is not None:
                    self._producer.poll(0)  # hands out the causes that librdkafka keeps
                    if not is_final(problems.worst) and time.monotonic() < give_up:
                        continue
                failed = kafka_failed(self._servers, "nothing was sent", error, problems)
                raise failed from None
        problem = known.topics[self._topic].error
        if problem is not None:
            raise FleetError(
                f"Kafka at {self._servers} has no usable topic {self._topic} ({problem.str()}): "
                "`fleet up` makes it; or set FLEET_TOPIC."
            )
        return self

    def _made(self, producer: Any, problems: Any) -> Any:
        return producer(
            {
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 50,
                "batch.size": 1024 * 1024,
                "batch.num.messages": 50_000,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                "delivery.report.only.error": True,
                "message.timeout.ms": int(self._patience_s * 1000),
                "partitioner": "murmur2_random",
            }
            | self._options
            | {
                "bootstrap.servers": self._servers,
                "on_delivery": self._on_delivery,
                "logger": _Quiet(),
                "error_cb": problems,
            }
        )

    def send(self, keys: Sequence[bytes | None], values: Sequence[bytes]) -> None:
        """Queue messages in this order; waits while the queue is full."""
        produce, topic = self._producer.produce, self._topic
        for key, value in zip(keys, values, strict=True):
            try:
                produce(topic, value, key)
            except BufferError:
                self._wait_for_room(key, value)
            self._sent += 1
        self._producer.poll(0)
        self._raise_failures()

    def _wait_for_room(self, key: bytes | None, value: bytes) -> None:
        quiet_since, held = time.monotonic(), len(self._producer)
        while True:
            self._producer.poll(0.05)
            self._raise_failures()
            try:
                self._producer.produce(self._topic, value, key)
            except BufferError:
                now_held = len(self._producer)
                if now_held != held:
                    quiet_since, held = time.monotonic(), now_held
                if time.monotonic() - quiet_since > self._patience_s:
                    raise self._failure("the broker takes no messages any more") from None
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if kind is not None and issubclass(kind, FleetError):
            self._producer.purge()
            self._producer.flush(1.0)
            return
        give_up = time.monotonic() + self._patience_s + 5.0
        while self._producer.flush(0.5) and time.monotonic() < give_up:
            self._raise_failures()
        self._raise_failures()
        if len(self._producer):
            raise self._failure("the broker does not acknowledge")

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed += 1
            self._first_error = self._first_error or error.str()

    def _raise_failures(self) -> None:
        if self._failed:
            raise self._failure(self._first_error or "unknown error")

    def _failure(self, cause: str) -> FleetError:
        return FleetError(
            f"Kafka at {self._servers} failed: {cause}. {self.acknowledged:,} of {self._sent:,} "
            "messages were acknowledged. See `fleet status` and the broker's log, then send again."
        )

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has confirmed."""
        return int(self._sent - self._failed - len(self._producer))


class _Quiet:
    """Keeps librdkafka's own lines off the terminal; errors reach the user through FleetError."""

    def log(self, *_: Any) -> None: ...
