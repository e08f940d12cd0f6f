"""Versions: what is installed against the lock, the servers, the schema of the warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet_assets.doctor.finding import Finding, some

OLDEST_PYTHON = (3, 11)
OLDEST_POSTGRES = 14


@dataclass(frozen=True)
class VersionFacts:
    """What runs.

    Attributes:
        python: version of the interpreter.
        differing: package → (locked, installed) where they differ; "none" is not installed.
        postgres: major version of the server; None: not known.
        kafka: version of the embedded broker that runs; None: not ours, or none runs.
        kafka_locked: version that `fleet up` starts.
        migration: newest migration that the warehouse has seen; None: not known.
        newest_migration: newest migration of this installation.
        known_migrations: all of this installation.
    """

    python: tuple[int, int]
    kafka_locked: str
    newest_migration: str
    differing: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    postgres: int | None = None
    kafka: str | None = None
    migration: str | None = None
    known_migrations: frozenset[str] = frozenset()


def check_versions(facts: VersionFacts) -> list[Finding]:
    """What does not fit together."""
    found = []
    if facts.python < OLDEST_PYTHON:
        found.append(
            Finding(
                "versions",
                f"Python is {_dotted(facts.python)}",
                f"use {_dotted(OLDEST_PYTHON)} or newer and `make install`",
            )
        )
    if facts.differing:
        named = [
            f"{package} {installed} (locked {locked})"
            for package, (locked, installed) in sorted(facts.differing.items())
        ]
        found.append(
            Finding(
                "versions",
                f"{len(named)} packages are not as locked: {some(named)}",
                "`make install` installs the lock",
            )
        )
    if facts.postgres is not None and facts.postgres < OLDEST_POSTGRES:
        found.append(
            Finding(
                "versions",
                f"the PostgreSQL server is version {facts.postgres}",
                f"use {OLDEST_POSTGRES} or newer",
            )
        )
    if facts.kafka is not None and facts.kafka != facts.kafka_locked:
        found.append(
            Finding(
                "versions",
                f"the embedded broker runs Kafka {facts.kafka}, the lock says {facts.kafka_locked}",
                "`fleet down` and `fleet up` start the locked one",
            )
        )
    found += _migrations(facts)
    return found


def _migrations(facts: VersionFacts) -> list[Finding]:
    if facts.migration is None or facts.migration == facts.newest_migration:
        return []
    if facts.migration in facts.known_migrations:
        return [
            Finding(
                "versions",
                f"the warehouse is at migration {facts.migration}, this installation brings"
                f" {facts.newest_migration}",
                "`fleet up` migrates it, all or none",
                "migrate",
            )
        ]
    return [
        Finding(
            "versions",
            f"the warehouse is at migration {facts.migration}, which this installation does not"
            f" know (its newest is {facts.newest_migration})",
            "a newer version has migrated it: install that one",
        )
    ]


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
