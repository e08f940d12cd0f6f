"""The machine: room on the disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet_assets.doctor.finding import Finding, size


@dataclass(frozen=True)
class Disk:
    """A file system that the platform writes to; `holds` says what of it."""

    path: str
    holds: Sequence[str]
    free: int
    total: int


@dataclass(frozen=True)
class DiskFacts:
    """Room and sizes in bytes; `sizes` is by what takes the room."""

    disks: Sequence[Disk]
    reserve: int
    sizes: Mapping[str, int] = field(default_factory=dict)


def check_disks(facts: DiskFacts) -> list[Finding]:
    """File systems with less room than FLEET_DISK_RESERVE_BYTES."""
    return [_short(disk, facts) for disk in facts.disks if disk.free < facts.reserve]


def _short(disk: Disk, facts: DiskFacts) -> Finding:
    largest = sorted(
        ((held, facts.sizes[held]) for held in disk.holds if held in facts.sizes),
        key=lambda pair: -pair[1],
    )
    taken = ", ".join(f"{what} {size(number)}" for what, number in largest)
    return Finding(
        "disk",
        f"only {size(disk.free)} of {size(disk.total)} are free at {disk.path}"
        f" ({taken or 'nothing of ours is large'})",
        "free some: lower FLEET_KAFKA_RETENTION_BYTES, let raw expire, or move the lake by"
        f" FLEET_LAKE_URL (FLEET_DISK_RESERVE_BYTES sets the limit, {size(facts.reserve)})",
    )
