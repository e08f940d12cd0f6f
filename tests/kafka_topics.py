"""Topics of a test's own on a real broker: made, filled, cut short and deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic
from platform_run import Message, wait_until
from telemetry_data import message

from fleet_assets.errors import FleetError
from fleet_assets.kafka.topic import Broker, TopicState, topic_exists, topic_state

HOUR = "2026-02-01T05"


def telemetry(numbers: Iterable[int], vehicle: str = "v1") -> list[Message]:
    """One message a second of one vehicle, from 05:00 on; its speed is its number."""
    return [
        (
            vehicle.encode(),
            message(vehicle, f"2026-02-01T05:{n // 60 % 60:02}:{n % 60:02}Z", speed=n),
        )
        for n in numbers
    ]


@dataclass(frozen=True)
class Topic:
    """A topic by name."""

    broker: Broker
    name: str

    @cached_property
    def admin(self) -> AdminClient:
        return self.broker.admin()

    def make(self, partitions: int = 1, **config: str) -> Topic:
        """Options by name with _ for . (LogAppendTime unless told otherwise)."""
        options = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "2097152"}
        options |= {name.replace("_", "."): value for name, value in config.items()}
        new = NewTopic(self.name, num_partitions=partitions, replication_factor=1, config=options)
        deadline = time.monotonic() + 30
        while True:  # a name is free a moment after its topic is gone
            try:
                self.admin.create_topics([new])[self.name].result(10)
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self.wait_for(lambda state: len(state.watermarks) == partitions)
        return self

    def delete(self) -> None:
        self.admin.delete_topics([self.name])[self.name].result(10)

    def make_anew(self, partitions: int = 1, **config: str) -> None:
        """Deletes it and makes one of the same name."""
        before = self.state().source.topic_id
        self.delete()
        self.make(partitions, **config)
        self.wait_for(lambda state: state.source.topic_id != before)

    def add_partitions(self, total: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, total)])[self.name].result(10)
        self.wait_for(lambda state: len(state.watermarks) == total)

    def expire(self, **before: int) -> None:
        """Deletes records before an offset by partition, as retention does (p0=10)."""
        places = [TopicPartition(self.name, int(p[1:]), at) for p, at in before.items()]
        for place in self.admin.delete_records(places).values():
            place.result(10)

    def state(self) -> TopicState:
        return topic_state(self.broker, self.name)

    def wait_for_absence(self) -> None:
        wait_until(lambda: not topic_exists(self.broker, self.name), 30)

    def wait_for(self, condition: Callable[[TopicState], bool], seconds: float = 30) -> None:
        def holds() -> bool:
            try:
                return condition(self.state())
            except FleetError:
                return False

        wait_until(holds, seconds, lambda: str(self.state()))

    def produce(
        self,
        messages: Sequence[Message],
        partition: int = 0,
        headers: Mapping[str, bytes] | None = None,
        timestamp: int = 0,
        **options: Any,
    ) -> None:
        """Sends and waits until all are acknowledged; options with _ for . in their names."""
        config = {name.replace("_", "."): value for name, value in options.items()}
        producer = Producer(self.broker.config(**{"message.max.bytes": 2097152, **config}))
        send(producer, self.name, messages, partition, dict(headers or {}), timestamp)

    def transactional(self, name: str, **options: Any) -> Producer:
        """A producer whose transactions have been begun; the test ends them."""
        config = {key.replace("_", "."): value for key, value in options.items()}
        producer = Producer(self.broker.config(**{"transactional.id": name, **config}))
        producer.init_transactions(30)
        return producer


def send(
    producer: Producer,
    topic: str,
    messages: Sequence[Message],
    partition: int = 0,
    headers: Mapping[str, bytes] | None = None,
    timestamp: int = 0,
) -> None:
    """Sends and waits until all are acknowledged."""
    failures: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error.str())

    for key, value in messages:
        producer.produce(
            topic, value=value, key=key, partition=partition, on_delivery=delivered,
            headers=dict(headers or {}), timestamp=timestamp,
        )  # fmt: skip
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failures, failures[0]
