"""Versions of what is installed, of the servers, and of the warehouse's schema."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import psycopg
from packaging.requirements import Requirement

import fleet_assets
from fleet_assets.doctor.checks.versions import VersionFacts
from fleet_assets.local.jars import KAFKA_VERSION
from fleet_assets.warehouse.connection import connect
from fleet_assets.warehouse.migrate import known_migrations

_BROKER_JAR = re.compile(r"kafka_2\.13-(\d+\.\d+\.\d+)\.jar")
_MIGRATION = "select version_num from warehouse.alembic_version"
LOCK = Path(fleet_assets.__file__).parent.parent / "requirements.lock"


def version_facts(
    postgres_url: str | None, kafka_pid: int | None, lock: Path = LOCK
) -> VersionFacts:
    """Facts of this installation.

    Args:
        postgres_url: the warehouse; None: it does not answer.
        kafka_pid: process of the embedded broker; None: none runs.
        lock: the lock of the packages; nothing is compared if it is not there.
    """
    known = known_migrations()
    postgres, migration = None, None
    if postgres_url is not None:
        postgres, migration = _server(postgres_url)
    return VersionFacts(
        python=sys.version_info[:2],
        kafka_locked=KAFKA_VERSION,
        newest_migration=known[-1],
        differing=differing(lock.read_text()) if lock.exists() else {},
        postgres=postgres,
        kafka=None if kafka_pid is None else _broker(kafka_pid),
        migration=migration,
        known_migrations=frozenset(known),
    )


def differing(lock: str) -> dict[str, tuple[str, str]]:
    """Packages whose installed version is not the locked one.

    Lines for other systems and other versions of Python are left out, and so is what is not
    installed: it may be for development only.
    """
    found = {}
    for line in lock.splitlines():
        if not line.strip() or line[0] in " #-":
            continue
        pinned = Requirement(line.rstrip("\\ "))
        if pinned.marker is not None and not pinned.marker.evaluate():
            continue
        try:
            installed = version(pinned.name)
        except PackageNotFoundError:
            continue
        if not pinned.specifier.contains(installed, prereleases=True):
            found[pinned.name] = (str(pinned.specifier).removeprefix("=="), installed)
    return found


def _server(postgres_url: str) -> tuple[int, str | None]:
    with connect(postgres_url) as connection:
        major = connection.info.server_version // 10_000
        try:
            found = connection.execute(
                "select version_num from warehouse.alembic_version"
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            return major, "none"
        return major, None if found is None else str(found[0])


def _broker(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        for candidate in (process, *process.children(recursive=True)):
            named = _BROKER_JAR.search(" ".join(candidate.cmdline()))
            if named:
                return named[1]
            named = _BROKER_JAR.search(candidate.environ().get("CLASSPATH", ""))
            if named:
                return named[1]
    except psutil.Error:
        pass
    return None
