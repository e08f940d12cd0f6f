"""What ``fleet status`` shows: each service by its process and by a question it must answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from fleet_assets.errors import FleetError
from fleet_assets.local.dagster_services import ui_answers
from fleet_assets.local.databases import server_answers
from fleet_assets.local.flow_status import FlowStatus, flow_status
from fleet_assets.local.single_instance import supervisor_pid
from fleet_assets.local.state import PlatformState, ServiceState, read_state
from fleet_assets.local.topics import broker_answers
from fleet_assets.settings import Endpoints, Settings

_WELL = ("running", "external")
#: Shown as down when nothing runs.
_EXPECTED = ("kafka", "postgres", "dagster")


@dataclass(frozen=True)
class PlatformStatus:
    """Services, addresses and flow at this moment."""

    services: dict[str, ServiceState]
    kafka_bootstrap_servers: str | None
    postgres_url: str | None
    lake_url: str
    dagster_url: str | None
    flow: FlowStatus
    flow_known: bool = True
    """Both stores answer, so that the flow could be looked at."""
    problem: str | None = None
    """Why the flow could not be looked at, if it could not."""

    @property
    def well(self) -> bool:
        """Everything that was started works, and no check fails."""
        states = [service.state in _WELL for service in self.services.values()]
        return all(states) and not self.flow.failing_checks and self.problem is None

    def as_json(self) -> dict[str, Any]:
        """The documented shape of ``fleet status --json``."""
        flow = dataclasses.asdict(self.flow)
        return {
            "services": {name: dataclasses.asdict(s) for name, s in self.services.items()},
            "kafka_bootstrap_servers": self.kafka_bootstrap_servers,
            "postgres_url": self.postgres_url,
            "lake_url": self.lake_url,
            "dagster_url": self.dagster_url,
            **flow,
            "problem": self.problem,
        }


def platform_status(settings: Settings) -> PlatformStatus:
    """Look at everything; what does not run is shown as down, not raised."""
    state = read_state(settings.services_file)
    if supervisor_pid(settings.home.absolute()) is None:
        state = None
    kafka = settings.kafka_bootstrap_servers or (state.kafka_bootstrap_servers if state else None)
    postgres = settings.postgres_url or (state.postgres_url if state else None)
    services = service_states(settings, state)
    lake = settings.lake_url or str(settings.home.absolute() / "lake")
    flow, problem = FlowStatus(), None
    answers = all(services[name].state in _WELL for name in ("kafka", "postgres"))
    if kafka and postgres and answers:
        try:
            flow = flow_status(Endpoints(kafka, postgres, lake), settings)
        except (FleetError, OSError) as error:
            problem = " ".join(str(error).split())
    return PlatformStatus(
        services=services,
        kafka_bootstrap_servers=kafka,
        postgres_url=postgres,
        lake_url=lake,
        dagster_url=state.dagster_url if state else None,
        flow=flow,
        flow_known=bool(kafka and postgres and answers),
        problem=problem,
    )


def service_states(settings: Settings, state: PlatformState | None) -> dict[str, ServiceState]:
    """Each service by its process and by a question that it must answer.

    Args:
        settings: the installation.
        state: what the running supervisor says; None: none runs.
    """
    known = dict(state.services) if state else {}
    if state is None:
        for name in _EXPECTED:
            known[name] = ServiceState("down", "")
        if settings.kafka_bootstrap_servers:
            known["kafka"] = ServiceState("external", settings.kafka_bootstrap_servers)
        if settings.postgres_url:
            known["postgres"] = ServiceState("external", settings.postgres_url)
    return {name: _checked(name, service, settings) for name, service in known.items()}


def _checked(name: str, service: ServiceState, settings: Settings) -> ServiceState:
    probes: dict[str, Callable[[str], bool]] = {
        "kafka": lambda url: broker_answers(url, settings.kafka_client_options()),
        "postgres": server_answers,
        "dagster": ui_answers,
    }
    if service.state not in _WELL:
        return service
    if service.pid is not None and not psutil.pid_exists(service.pid):
        return dataclasses.replace(service, state="down", pid=None)
    if name in probes and not probes[name](service.url):
        return dataclasses.replace(service, state="down")
    return service
