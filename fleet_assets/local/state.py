"""FLEET_HOME/services.json: what the supervisor tells the other commands about its services."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["starting", "running", "restarting", "down", "external"]


@dataclass(frozen=True)
class ServiceState:
    """One service as the supervisor sees it."""

    state: State
    url: str
    pid: int | None = None


@dataclass(frozen=True)
class PlatformState:
    """Addresses of the platform and its services, in the order in which they were started."""

    supervisor_pid: int
    kafka_bootstrap_servers: str | None = None
    postgres_url: str | None = None
    lake_url: str | None = None
    dagster_url: str | None = None
    services: dict[str, ServiceState] = field(default_factory=dict)


def write_state(path: Path, state: PlatformState) -> None:
    """Replace the file in one step; only its owner may read it, as it holds the password."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(dataclasses.asdict(state), file, indent=2)
    fresh.replace(path)


def read_state(path: Path) -> PlatformState | None:
    """What the last supervisor wrote, or None after a clean stop."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    services = {name: ServiceState(**state) for name, state in content.pop("services").items()}
    return PlatformState(services=services, **content)
