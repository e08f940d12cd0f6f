"""What ``fleet up`` does: Kafka, PostgreSQL, topics, databases, migrations, Dagster, demo.

The order and what is passed from one to the next stands here; how each is run stands in its own
module. A service that the settings name is used as it is; every other one is started embedded.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fleet_assets.errors import FleetError
from fleet_assets.local.dagster_services import dagster_home, dagster_services
from fleet_assets.local.databases import database_name, ensure_database, with_database
from fleet_assets.local.external import require_kafka, require_postgres
from fleet_assets.local.kafka import embedded_kafka
from fleet_assets.local.ports import ensure_free
from fleet_assets.local.postgres import embedded_postgres
from fleet_assets.local.process import Service
from fleet_assets.local.single_instance import only_one, stop_leftovers
from fleet_assets.local.state import PlatformState, ServiceState, write_state
from fleet_assets.local.supervisor import Supervisor
from fleet_assets.local.topics import create_missing_topics
from fleet_assets.settings import Settings


@dataclass(frozen=True)
class UpOptions:
    """Which parts of the platform to start besides Kafka and PostgreSQL."""

    dagster: bool = True
    demo: bool = False


def run_platform(
    settings: Settings,
    options: UpOptions,
    report: Callable[[str], None],
    on_ready: Callable[[PlatformState], None],
) -> None:
    """Start everything, call ``on_ready``, and keep it running until told to stop.

    Raises:
        FleetError: something cannot be started; what was started has been stopped again.
    """
    home = prepare_home(settings)
    with only_one(home):
        stop_leftovers(home, report)
        if options.dagster:
            ensure_free(settings.dagster_port, "the Dagster UI", "FLEET_DAGSTER_PORT")
        platform = _Platform(settings, home, report)
        try:
            with platform.supervisor.running():
                platform.start_stores()
                if options.dagster:
                    platform.start_dagster()
                if options.demo:
                    platform.start_demo()
                on_ready(platform.state)
                platform.supervisor.watch()
        finally:
            settings.services_file.unlink(missing_ok=True)


def prepare_home(settings: Settings) -> Path:
    """FLEET_HOME as an absolute path, existing and writable."""
    home = settings.home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FleetError(
            f"FLEET_HOME {home} cannot be made ({error.strerror}): set it to a folder of yours."
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise FleetError(f"FLEET_HOME {home} is not writable: set it to a folder of yours.")
    return home


class _Platform:
    def __init__(self, settings: Settings, home: Path, report: Callable[[str], None]) -> None:
        self._settings = settings
        self._home = home
        self._report = report
        self._external: dict[str, ServiceState] = {}
        self.state = PlatformState(
            supervisor_pid=os.getpid(), lake_url=settings.lake_url or str(home / "lake")
        )
        self.supervisor = Supervisor(home, report, self._services_changed)

    def start_stores(self) -> None:
        settings = self._settings
        embedded: list[Service] = []
        if settings.kafka_bootstrap_servers is None:
            embedded.append(embedded_kafka(settings, self._home, self._report))
        if settings.postgres_url is None:
            embedded.append(embedded_postgres(settings, self._home, self._report))
        urls = {service.name: service.url for service in embedded}
        kafka = settings.kafka_bootstrap_servers or urls["kafka"]
        postgres = settings.postgres_url or urls["postgres"]
        if settings.kafka_bootstrap_servers:
            require_kafka(settings, kafka, self._report)
            self._external["kafka"] = ServiceState("external", kafka)
        if settings.postgres_url:
            require_postgres(postgres, self._report)
            self._external["postgres"] = ServiceState("external", postgres)
        self.state = replace(self.state, kafka_bootstrap_servers=kafka, postgres_url=postgres)
        if embedded:
            self._report(f"Starting {' and '.join(service.name for service in embedded)}")
        self.supervisor.start(embedded)
        if made := create_missing_topics(settings, kafka):
            self._report(f"Topics made: {', '.join(made)}")
        ensure_database(postgres)
        self._migrate(postgres)
        self._services_changed(self.state.services)

    def start_dagster(self) -> None:
        settings = self._settings
        storage = self._dagster_database()
        ensure_database(storage)
        self._report("Starting Dagster (the first start makes its tables: up to a minute)")
        env = self._environment() | {
            "DAGSTER_HOME": str(dagster_home(self._home)),
            "DAGSTER_POSTGRES_URL": storage,
        }
        for group in dagster_services(settings, self._home, env, storage):
            self.supervisor.start(group)
        self.state = replace(self.state, dagster_url=f"http://127.0.0.1:{settings.dagster_port}")
        self._services_changed(self.state.services)

    def start_demo(self) -> None:
        self._report("Starting the simulator")
        program = "from fleet_assets.cli import main; main()"
        self.supervisor.start(
            [
                Service(
                    name="simulator",
                    command=[sys.executable, "-c", program, "simulate", "--demo"],
                    ready=lambda: True,
                    env=self._environment(),
                )
            ]
        )

    def _dagster_database(self) -> str:
        assert self.state.postgres_url is not None
        if self._settings.postgres_url is None:
            return with_database(self.state.postgres_url, "dagster")
        name = database_name(self.state.postgres_url)
        return with_database(self.state.postgres_url, f"{name}_dagster")

    def _environment(self) -> dict[str, str]:
        """Addresses for the children; and nothing in them reports to anybody."""
        return {
            "FLEET_HOME": str(self._home),
            "FLEET_KAFKA_BOOTSTRAP_SERVERS": str(self.state.kafka_bootstrap_servers),
            "FLEET_POSTGRES_URL": str(self.state.postgres_url),
            "FLEET_LAKE_URL": str(self.state.lake_url),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "DO_NOT_TRACK": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "PYTHONUNBUFFERED": "1",
        }

    def _migrate(self, postgres_url: str) -> None:
        try:
            migrate = importlib.import_module("fleet_assets.warehouse.migrate")
        except ModuleNotFoundError as error:
            if error.name != "fleet_assets.warehouse.migrate":
                raise
            return
        self._report("Bringing the warehouse's schema up to date")
        migrate.upgrade(postgres_url)

    def _services_changed(self, services: dict[str, ServiceState]) -> None:
        self.state = replace(self.state, services=self._external | services)
        write_state(self._settings.services_file, self.state)
