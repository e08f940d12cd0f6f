"""Waiting for what a question to Kafka is answered with."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fleet_assets.kafka.problems import is_final

if TYPE_CHECKING:
    from fleet_assets.kafka.topic import Broker

_REFUSED_S: Final = 2.0
"""How long a refused login or certificate is hoped to be one broker's only."""

_unanswered: Final[list[tuple[AdminClient, Future[Any]]]] = []
"""Questions that nobody waits for any more, and who asked them.

librdkafka answers them in a thread of the client, and aborts the process if the client ends there,
as it does when that thread happens to be the one that collects garbage. So the client stays until
the answer is there, and goes in a thread that asks later.
"""


def answer(admin: AdminClient, broker: Broker, asked: Future[Any], doing: str) -> Any:
    """What the question is answered with; does not wait where the settings are wrong.

    Args:
        admin: who has asked.
        broker: whom; it keeps what librdkafka reports beside its answers.
        asked: the question.
        doing: what it was for, for example `topic 'x'`.

    Raises:
        FleetError: there is no answer, or an error.
    """
    let_go()
    patience = time.monotonic() + _REFUSED_S
    while True:
        try:
            return asked.result(timeout=0.1)
        except TimeoutError:
            admin.poll(0)  # hands out what `problems` is told
            if is_final(broker.problems.worst) and time.monotonic() > patience:
                _unanswered.append((admin, asked))
                raise broker.failed(doing) from None
        except KafkaException as error:
            admin.poll(0)
            raise broker.failed(doing, error) from error


def let_go() -> None:
    """Forgets clients whose questions have been answered since."""
    _unanswered[:] = [each for each in _unanswered if not each[1].done()]
