"""A whole installation for tests: its own FLEET_HOME, free ports, the code of ``fleet up``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from fleet_assets.local.detach import start_detached
from fleet_assets.local.ports import free_port
from fleet_assets.local.single_instance import supervisor_pid
from fleet_assets.local.state import PlatformState, read_state
from fleet_assets.local.up import UpOptions
from fleet_assets.settings import Endpoints, Settings, resolve_endpoints

COMMAND_LINE = """
import sys, typer
from fleet_assets.commands import services
from fleet_assets.errors import FleetError
app = typer.Typer()
services.register(app)
try:
    app()
except FleetError as error:
    sys.exit(f"fleet: {error}")
"""


@dataclass(frozen=True)
class Installation:
    """Settings that touch nothing of the developer's own platform."""

    home: Path
    kafka_port: int = field(default_factory=free_port)
    postgres_port: int = field(default_factory=free_port)
    dagster_port: int = field(default_factory=free_port)
    kafka_bootstrap_servers: str = ""
    postgres_url: str = ""

    @property
    def env(self) -> dict[str, str]:
        return {
            "FLEET_HOME": str(self.home),
            "FLEET_KAFKA_PORT": str(self.kafka_port),
            "FLEET_POSTGRES_PORT": str(self.postgres_port),
            "FLEET_DAGSTER_PORT": str(self.dagster_port),
            "FLEET_KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "FLEET_POSTGRES_URL": self.postgres_url,
            "FLEET_LAKE_URL": "",
            "FLEET_KAFKA_HEAP": "256m",
        }

    @property
    def settings(self) -> Settings:
        return Settings(
            _env_file=None,
            home=self.home,
            kafka_port=self.kafka_port,
            postgres_port=self.postgres_port,
            dagster_port=self.dagster_port,
            kafka_bootstrap_servers=self.kafka_bootstrap_servers or None,
            postgres_url=self.postgres_url or None,
        )

    @property
    def endpoints(self) -> Endpoints:
        return resolve_endpoints(self.settings)

    @property
    def state(self) -> PlatformState:
        state = read_state(self.settings.services_file)
        assert state is not None
        return state

    @property
    def supervisor(self) -> psutil.Process:
        pid = supervisor_pid(self.home)
        assert pid is not None
        return psutil.Process(pid)

    def with_outside(self, endpoints: Endpoints, database: str) -> Installation:
        server = endpoints.postgres_url.rpartition("/")[0]
        return replace(
            self,
            kafka_bootstrap_servers=endpoints.kafka_bootstrap_servers,
            postgres_url=f"{server}/{database}",
        )

    def up(self, options: UpOptions | None = None) -> list[str]:
        """Start and return the lines of progress."""
        lines: list[str] = []
        start_detached(
            self.settings, options or UpOptions(dagster=False), lines.append, env=self.env
        )
        return lines

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if supervisor_pid(self.home) is not None:
            process = self.supervisor
            process.send_signal(number)
            process.wait(timeout=120)

    def fleet(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the service commands as a user does."""
        return subprocess.run(
            [sys.executable, "-c", COMMAND_LINE, *words],
            env={**os.environ, **self.env},
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )

    def log(self, name: str) -> str:
        return (self.home / "logs" / f"{name}.log").read_text()
