"""Sending messages with headers, each acknowledged before anybody counts on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from fleet_assets.errors import FleetError
from fleet_assets.kafka.topic import Broker

PATIENCE: Final = timedelta(seconds=30)
_MAX_MESSAGE_BYTES: Final = 3 * 1024 * 1024 + 256 * 1024  # that of the widest topic, and overhead
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outgoing:
    """One message to send; None for a key, a value or a header's value stays null."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True)
class Delivery:
    """What became of one message.

    Attributes:
        partition, offset: where the broker has stored it; −1 if it has not said so.
        error: why it has not acknowledged; None: it has.
        certain: with an error, that the message is not in Kafka; without certainty it may be.
    """

    partition: int = -1
    offset: int = -1
    error: str | None = None
    certain: bool = True


def require_topic(broker: Broker, topic: str, timeout: timedelta = timedelta(seconds=5)) -> None:
    """Asks the broker for the topic, quickly.

    Raises:
        FleetError: no broker answers, or it has no such topic.
    """
    producer = Producer(broker.config(), logger=_log)
    try:
        # all topics: a request for this one alone could make a broker create it
        known = producer.list_topics(timeout=timeout.total_seconds()).topics
    except KafkaException as error:
        producer.poll(0)  # hands out the causes that librdkafka keeps
        raise broker.failed("listing its topics", error) from None
    if topic not in known or known[topic].error is not None:
        raise FleetError(
            f"Kafka at {broker.bootstrap_servers} has no usable topic {topic}: `fleet up` makes it"
        )


def send(
    broker: Broker,
    topic: str,
    messages: Iterable[Outgoing],
    on_acknowledged: Callable[[int], None] = lambda _: None,
    patience: timedelta = PATIENCE,
) -> list[Delivery]:
    """Sends messages and waits until the broker has said yes or no to each.

    The producer is idempotent: its own tries again neither double nor reorder.

    Args:
        broker: where to.
        topic: which topic; `require_topic` tells beforehand whether it is there.
        messages: what to send, in order.
        on_acknowledged: told the number of messages that were acknowledged since the last call.
        patience: how long the broker may take for a message.

    Returns:
        What became of each message, in their order.
    """
    deliveries: list[Delivery] = []
    producer = Producer(
        broker.config(
            **{
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 20,
                "message.max.bytes": _MAX_MESSAGE_BYTES,
                "queue.buffering.max.kbytes": 128 * 1024,
                "message.timeout.ms": int(patience.total_seconds() * 1000),
                "partitioner": "murmur2_random",
            }
        ),
        logger=_log,
    )

    def note(position: int) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            if error is None:
                deliveries[position] = Delivery(message.partition(), message.offset())
                on_acknowledged(1)
            else:
                deliveries[position] = Delivery(error=error.str(), certain=_is_certain(error))

        return delivered

    for position, message in enumerate(messages):
        deliveries.append(Delivery(error="not acknowledged", certain=False))
        while True:
            try:
                producer.produce(
                    topic,
                    message.value,
                    message.key,
                    headers=list(message.headers),
                    on_delivery=note(position),
                )
            except BufferError:  # full: each message in it is answered or times out
                producer.poll(0.1)
            except KafkaException as error:
                deliveries[position] = Delivery(error=error.args[0].str())
                break
            else:
                break
        producer.poll(0)
    producer.flush(patience.total_seconds() + 5)
    return deliveries


def _is_certain(error: Any) -> bool:
    """The broker has refused the message itself; after silence it may have stored it."""
    from confluent_kafka import KafkaError

    return error.code() in (
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    )
