"""The lake's disk runs full in the middle of the work: a clear error, no half of anything, and it
goes on by itself once there is room.

The disk is a small one of its own where mounting is allowed; elsewhere the kernel refuses to let
this process's files grow past a limit, which fails the same writes.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from end_state import (
    assert_counts_add_up,
    assert_nothing_lost_or_doubled,
    assert_same_as_fault_free,
    fault_free_pass,
)
from fire import NOTES, Load
from installation import Installation
from platform_run import platform_run
from victim import flow
from warehouse_data import fresh_warehouse

from fleet_assets.errors import FleetError
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.vehicles import import_vehicles, list_vehicles

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(900)]

SENT = ["--vehicles", "20", "--interval", "10", "--rate", "max", "--span", "3h",
        "--start", "2026-01-05T00:30:00Z", "--duplicate", "0.1", "--corrupt", "0.05",
        "--late", "0.05", "--late-by", "10s..2h"]  # fmt: skip
ROOM_KIB = (0, 4, 12, 24, 40, 60, 90, 130, 180, 250)
"""Room left on the disk, try after try: the write that no longer fits is another one each time."""
DISK_MIB = 64


class Disk(Protocol):
    """A folder on which the room can be taken away."""

    folder: Path

    def nearly_full(self, room_kib: int) -> object:
        """A context in which so much may still be written."""


class SmallDisk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def nearly_full(self, room_kib: int) -> Iterator[None]:
        ballast = self.folder / "ballast"
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize - room_kib * 1024
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        try:
            yield
        finally:
            ballast.unlink()


class SmallFiles:
    """No file may grow past what is left: what a limit of the process can do without any right."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def nearly_full(self, room_kib: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_kib * 256, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "fleet-test", str(folder)]
    try:
        allowed = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    if not allowed:
        yield SmallFiles(folder)
        return
    yield SmallDisk(folder)
    subprocess.run(["umount", str(folder)], check=True)


def versions(lake: Lake) -> dict[str, int]:
    names = ("raw_telemetry", "telemetry", "telemetry_rejects", "telemetry_outcomes")
    return {name: lake.open(name).version for name in names}


def test_a_full_disk_costs_time_but_no_message(
    services: Installation, disk: Disk, flow_home: Path, tmp_path: Path
) -> None:
    clean_warehouse = fresh_warehouse(services, "full_disk_clean")
    with platform_run(services, "full-disk", flow_home, disk.folder / "lake") as run:
        sent = [Load({}, tmp_path / "manifest.json", *SENT).finish()]
        said: list[str] = []
        for room in ROOM_KIB:
            with disk.nearly_full(room):
                for _ in range(3):
                    try:
                        flow(run.platform)
                    except FleetError as error:
                        said.append(str(error))
        assert said, "the disk was never full"
        assert all("no room left" in line and "\n" not in line for line in said), said
        while flow(run.platform):
            pass
        import_vehicles(clean_warehouse, list_vehicles(run.postgres_url), "test")
        clean = fault_free_pass(tmp_path / "clean", clean_warehouse)
        told = [
            assert_nothing_lost_or_doubled(sent, run.platform),
            assert_counts_add_up(run.platform),
            assert_same_as_fault_free(run.platform, clean),
        ]
        NOTES.append(f"full disk, {len(said)} writes refused: " + "; ".join(told))


def test_what_a_refused_write_leaves_is_no_commit(
    services: Installation, disk: Disk, flow_home: Path, tmp_path: Path
) -> None:
    with platform_run(services, "full-disk-2", flow_home, disk.folder / "lake") as run:
        Load({}, tmp_path / "manifest.json", *SENT).finish()
        before = versions(run.lake)
        with disk.nearly_full(0), pytest.raises(FleetError, match="no room left"):
            flow(run.platform)
        assert versions(run.lake) == before
