"""Servers that the settings name: wait until they answer, or say what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from fleet_assets.errors import FleetError
from fleet_assets.local.databases import (
    connection_problem,
    database_name,
    ensure_database,
    with_database,
    without_password,
)
from fleet_assets.local.topics import broker_problem
from fleet_assets.settings import Settings

PATIENCE = timedelta(seconds=30)


def require_kafka(settings: Settings, address: str, report: Callable[[str], None]) -> None:
    """Return when the broker answers.

    Raises:
        FleetError: it does not within ``PATIENCE``, or refuses login or certificate.
    """
    report(f"Using Kafka at {address}")
    options = settings.kafka_client_options()
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while (problem := broker_problem(address, options)) is not None:
        if problem.is_final or time.monotonic() > deadline:
            raise FleetError(
                f"{problem.line}; or unset FLEET_KAFKA_BOOTSTRAP_SERVERS to start an embedded one."
            )
        time.sleep(0.2)


def require_postgres(url: str, report: Callable[[str], None]) -> None:
    """Return when the server answers; its database is made if it is missing.

    Raises:
        FleetError: it does not within ``PATIENCE``, or refuses.
    """
    report(f"Using PostgreSQL at {without_password(url)}")
    database_name(url)
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while (problem := connection_problem(url)) is not None:
        if connection_problem(with_database(url, "postgres")) is None:
            ensure_database(url)
            return
        refused = "authentication failed" in problem or "no password supplied" in problem
        if refused or time.monotonic() > deadline:
            raise FleetError(
                f"PostgreSQL at {without_password(url)} cannot be used ({problem}): start it, "
                "correct FLEET_POSTGRES_URL, or unset it to start an embedded one."
            )
        time.sleep(0.2)
