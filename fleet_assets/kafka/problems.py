"""What goes wrong between us and Kafka, in one line with cause and cure.

librdkafka answers a question with "timed out" and tells the reason (wrong password, unknown CA,
nobody listens) beside it, to a callback. Here both are put together.
"""

from __future__ import annotations

import re
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from fleet_assets.errors import FleetError

_LOGIN: Final = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
_RIGHTS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
_NO_TOPIC: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}
_SETTINGS: Final = {KafkaError._INVALID_ARG, KafkaError._UNSUPPORTED_FEATURE}
_ONE_SIDED: Final = ("security.protocol", "PLAINTEXT broker", "SSL connection closed")
"""How librdkafka words it that only one side speaks TLS or SASL."""
_TELLING: Final = (*_LOGIN, KafkaError._SSL, KafkaError._RESOLVE, KafkaError._TRANSPORT)
"""Causes, those first that tell most."""


class Problems:
    """librdkafka's `error_cb`: keeps the most telling error that was reported."""

    def __init__(self) -> None:
        self.worst: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Takes note of an error."""
        if self.worst is None or _rank(error) < _rank(self.worst):
            self.worst = error

    def clear(self) -> None:
        """Forgets what was reported: all is well again."""
        self.worst = None


def is_final(error: KafkaError | None) -> bool:
    """Whether waiting does not help: the settings are wrong."""
    return error is not None and error.code() in (*_LOGIN, KafkaError._SSL, *_SETTINGS)


def kafka_failed(
    servers: str, doing: str, error: KafkaException | None, problems: Problems
) -> FleetError:
    """The error for a user.

    Args:
        servers: the bootstrap servers.
        doing: what Kafka was asked for, for example `topic 'x'`.
        error: what the question was answered with, if it was.
        problems: what was reported beside it.
    """
    found = error.args[0] if error is not None and error.args else None
    cause = problems.worst
    if isinstance(found, KafkaError) and (cause is None or _rank(found) < _rank(cause)):
        cause = found
    told = _first_line(cause.str() if cause is not None else str(found or "no answer"))
    code = None if cause is None else cause.code()
    return FleetError(f"Kafka at {servers}: {doing}: {_sentence(code, told)}")


def _sentence(code: int | None, told: str) -> str:
    if code in _LOGIN:
        return (
            f"the login is refused ({told}): check FLEET_KAFKA_SASL_USERNAME,"
            " FLEET_KAFKA_SASL_PASSWORD and FLEET_KAFKA_SASL_MECHANISM"
        )
    if code == KafkaError._SSL or "SSL routines" in told:
        return (
            f"TLS failed ({told}): FLEET_KAFKA_SSL_CA_LOCATION must name the CA that signed the"
            " broker's certificate; a broker that asks for yours wants"
            " FLEET_KAFKA_SSL_CERTIFICATE_LOCATION and FLEET_KAFKA_SSL_KEY_LOCATION"
        )
    if code in _RIGHTS:
        return f"the user lacks a right ({told}): let it read and describe topic and cluster"
    if code in _NO_TOPIC:
        return f"there is none ({told}): `fleet up` makes it, or set FLEET_TOPIC"
    if code in _SETTINGS:
        return f"the settings are refused ({told}): check FLEET_KAFKA_*"
    if code == KafkaError._RESOLVE:
        return f"no such host ({told}): check FLEET_KAFKA_BOOTSTRAP_SERVERS"
    if any(sign in told for sign in _ONE_SIDED):
        return f"the connection is cut ({told}): check FLEET_KAFKA_SECURITY_PROTOCOL"
    return (
        f"no answer ({told}): is it up, and are FLEET_KAFKA_BOOTSTRAP_SERVERS and"
        " FLEET_KAFKA_SECURITY_PROTOCOL right? `fleet status` tells; landing goes on by itself"
    )


def _rank(error: KafkaError) -> int:
    code = error.code()
    if code in _TELLING:
        return _TELLING.index(code)
    vague = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT)
    # what the broker says itself tells most
    return len(_TELLING) + 1 if code in vague else -1


def _first_line(text: str) -> str:
    line = " ".join((text.strip().splitlines() or ["no reason given"])[0].split())
    return re.sub(r" \(after \d+ms in state \w+\)", "", line)[:300]
