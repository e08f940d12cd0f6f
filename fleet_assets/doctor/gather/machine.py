"""Room on the disks, and what takes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg

from fleet_assets.doctor.checks.machine import Disk, DiskFacts
from fleet_assets.settings import Settings
from fleet_assets.warehouse.connection import connect


def disk_facts(settings: Settings, postgres_url: str | None) -> DiskFacts:
    """Facts of the file systems that FLEET_HOME and a local lake are on.

    Args:
        settings: the installation.
        postgres_url: the warehouse, to ask for its size; None: it does not answer.
    """
    home = settings.home.absolute()
    places = {
        "lake": Path(settings.lake_root.removeprefix("file://")),
        "kafka": home / "kafka",
        "postgres": home / "postgres",
        "dagster": home / "dagster",
        "logs": home / "logs",
    }
    local = {what: path for what, path in places.items() if "://" not in str(path)}
    sizes = {what: _folder_size(path) for what, path in local.items() if path.exists()}
    if postgres_url is not None and settings.postgres_url is None:
        sizes["postgres"] = max(sizes.get("postgres", 0), _database_sizes(postgres_url))
    by_device: dict[int, Disk] = {}
    for what, path in local.items():
        existing = _existing(path)
        device = existing.stat().st_dev
        usage = shutil.disk_usage(existing)
        before = by_device.get(device)
        holds = (*before.holds, what) if before else (what,)
        shown = before.path if before else str(existing)
        by_device[device] = Disk(shown, holds, usage.free, usage.total)
    return DiskFacts(list(by_device.values()), settings.disk_reserve_bytes, sizes)


def _folder_size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):  # what may not be read is left out
        for name in names:
            try:
                total += Path(folder, name).lstat().st_size
            except OSError:
                continue  # it went meanwhile
    return total


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _database_sizes(postgres_url: str) -> int:
    with connect(postgres_url) as connection:
        try:
            found = connection.execute(
                "select sum(pg_database_size(oid))::bigint from pg_database"
            ).fetchone()
        except psycopg.Error:
            return 0
    return int(found[0]) if found and found[0] else 0
