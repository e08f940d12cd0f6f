"""What holds up a topic that answers: open transactions, partitions without a leader."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, TopicPartition

from fleet_assets.kafka.topic import Broker, TopicState

HANGING_AFTER: Final = timedelta(minutes=15)
"""Kafka's default for `transaction.max.timeout.ms`: no live producer may take longer."""
_WAIT_S: Final = 5.0


def waiting(state: TopicState) -> list[str]:
    """In words, what cannot be landed at this moment, and why."""
    held = [
        f"partition {p}: an open transaction holds back {high - stable:,} offsets from"
        f" {stable:,} on"
        for p, (stable, high) in sorted(state.held_back.items())
    ]
    return held + [f"partition {p}: no answer ({why})" for p, why in sorted(state.silent.items())]


def hanging(
    state: TopicState, begun: Mapping[int, datetime], now: datetime | None = None
) -> list[str]:
    """In words, transactions that are open for longer than Kafka lets a live producer.

    Args:
        state: of the topic.
        begun: per partition, when the oldest open transaction wrote its first message.
        now: the present.
    """
    now = now or datetime.now(UTC)
    return [
        f"partition {p}: a transaction is open since {begun[p]:%Y-%m-%d %H:%M:%S} UTC and holds"
        f" back {high - stable:,} offsets from {stable:,} on: if its producer is dead, end it with"
        " `kafka-transactions.sh abort`"
        for p, (stable, high) in sorted(state.held_back.items())
        if p in begun and now - begun[p] > HANGING_AFTER
    ]


def open_since(broker: Broker, topic: str, state: TopicState) -> dict[int, datetime]:
    """When the oldest open transaction of each partition wrote its first message.

    Looks at that one message only, which stands at the last stable offset.
    """
    places = [TopicPartition(topic, p, stable) for p, (stable, _) in state.held_back.items()]
    found: dict[int, datetime] = {}
    if not places:
        return found
    consumer = broker.consumer(**{"isolation.level": "read_uncommitted"})
    try:
        for place in places:
            consumer.assign([place])
            if (moment := _moment(consumer)) is not None:
                found[place.partition] = moment
    except KafkaException as error:
        raise broker.failed(f"reading {topic!r}", error) from error
    finally:
        consumer.close()
    return found


def _moment(consumer: Consumer) -> datetime | None:
    message = consumer.poll(_WAIT_S)
    if message is None or message.error() is not None:
        return None
    kind, milliseconds = message.timestamp()
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
