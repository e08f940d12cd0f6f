"""Deleting what Kafka holds before an offset: it can forget only the beginning of a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaException, TopicPartition

from fleet_assets.kafka.topic import Broker, held_offsets, topic_exists, topic_state

_TIMEOUT_S: Final = 30.0


def ends_of(broker: Broker, topic: str) -> dict[int, int]:
    """One past the last offset of each partition; empty: there is no such topic."""
    if not topic_exists(broker, topic):
        return {}
    return dict(topic_state(broker, topic).high)


def to_forget(broker: Broker, topic: str, upto: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Per partition the offsets that would go: from the first that is held, up to a given one."""
    held = held_offsets(broker.admin(), broker, topic, upto)
    return {
        partition: (low, min(upto[partition], high))
        for partition, (low, high) in held.items()
        if low < min(upto[partition], high)
    }


def forget_before(broker: Broker, topic: str, upto: Mapping[int, int]) -> int:
    """Deletes all records before an offset in each partition; gives the number of offsets.

    They cannot be read any more at once; the bytes leave the broker's disk with their segment.

    Raises:
        FleetError: Kafka does not answer or refuses.
    """
    ranges = to_forget(broker, topic, upto)
    if not ranges:
        return 0
    asked = [TopicPartition(topic, partition, end) for partition, (_, end) in ranges.items()]
    admin = broker.admin()  # named: without it the answers never come
    try:
        for answer in admin.delete_records(asked, request_timeout=_TIMEOUT_S).values():
            answer.result(2 * _TIMEOUT_S)
    except KafkaException as error:
        raise broker.failed(f"deleting records of {topic!r}", error) from error
    return sum(end - low for low, end in ranges.values())
