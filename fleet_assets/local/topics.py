"""The platform's Kafka topics: made when missing, on the embedded broker and on a given one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet_assets.errors import FleetError
from fleet_assets.settings import Settings

_MIB = 1024**2
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class BrokerProblem:
    """Why a broker cannot be used, in one line, and whether waiting does not help."""

    line: str
    is_final: bool


def broker_answers(
    bootstrap_servers: str, options: Mapping[str, Any], timeout_seconds: float = 3
) -> bool:
    """Whether a broker answers a request for its metadata."""
    return broker_problem(bootstrap_servers, options, timeout_seconds) is None


def broker_problem(
    bootstrap_servers: str, options: Mapping[str, Any], timeout_seconds: float = 3
) -> BrokerProblem | None:
    """Why a broker does not answer a request for its metadata; None: it does."""
    from confluent_kafka import KafkaException

    from fleet_assets.kafka.problems import Problems, is_final, kafka_failed

    problems, admin = Problems(), None
    try:
        admin = admin_client(bootstrap_servers, {"error_cb": problems, **options})
        admin.list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        if admin is not None:
            admin.poll(0)  # hands out the causes that librdkafka keeps
        final = is_final(problems.worst) or is_final(error.args[0])
        told = kafka_failed(bootstrap_servers, "listing its topics", error, problems)
        return BrokerProblem(str(told), final)
    return None


def create_missing_topics(settings: Settings, bootstrap_servers: str) -> list[str]:
    """Create the topics that do not exist; those that do are left as they are.

    Returns:
        Names of the topics that were made.

    Raises:
        FleetError: the broker refuses or does not answer.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.cimpl import NewTopic

    admin = admin_client(bootstrap_servers, settings.kafka_client_options())
    wanted = {
        settings.topic: (settings.topic_partitions, 2 * _MIB),
        settings.dlq_topic: (1, 3 * _MIB),
        settings.anomalies_topic: (settings.topic_partitions, 2 * _MIB),
    }
    made = []
    try:
        existing = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
        missing = [
            NewTopic(
                name,
                num_partitions=partitions,
                replication_factor=-1,  # the broker's default
                config={
                    "message.timestamp.type": "LogAppendTime",
                    "max.message.bytes": str(max_bytes),
                },
            )
            for name, (partitions, max_bytes) in wanted.items()
            if name not in existing
        ]
        if not missing:
            return []
        for name, done in admin.create_topics(missing).items():
            try:
                done.result(timeout=_TIMEOUT_SECONDS)
                made.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    except KafkaException as error:
        raise FleetError(
            f"Kafka at {bootstrap_servers} does not let the topics {', '.join(wanted)} be made "
            f"({error.args[0].str()}): create them there, or check FLEET_KAFKA_* settings."
        ) from error
    return made


def admin_client(bootstrap_servers: str, options: Mapping[str, Any]) -> Any:
    """A quiet admin client: what goes wrong is told by exceptions, not on stderr."""
    from confluent_kafka.admin import AdminClient

    return AdminClient(
        {"bootstrap.servers": bootstrap_servers, "log_level": 0, **options}, logger=_quiet()
    )


def _quiet() -> Any:
    import logging

    logger = logging.getLogger("fleet_assets.kafka_admin")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
