"""Which services run, who holds their ports, what was left behind."""

from __future__ import annotations

from fleet_assets.doctor.checks.services import ServiceFacts, TakenPort
from fleet_assets.local.ports import holder_of, is_listening
from fleet_assets.local.single_instance import leftovers, supervisor_pid
from fleet_assets.local.state import PlatformState, ServiceState
from fleet_assets.settings import Settings


def service_facts(
    settings: Settings,
    states: dict[str, ServiceState],
    state: PlatformState | None,
    daemon_silent_seconds: float | None,
) -> ServiceFacts:
    """Facts of this machine.

    Args:
        settings: the installation.
        states: states of the services.
        state: what the running supervisor says; None: none runs.
        daemon_silent_seconds: since the Dagster daemon has spoken; None: not known.
    """
    home = settings.home.absolute()
    ports = {
        "kafka": (settings.kafka_port, "FLEET_KAFKA_PORT"),
        "postgres": (settings.postgres_port, "FLEET_POSTGRES_PORT"),
        "dagster": (settings.dagster_port, "FLEET_DAGSTER_PORT"),
    }
    down = [n for n, s in states.items() if s.state not in ("running", "external") and n in ports]
    taken = {
        name: TakenPort(*ports[name], holder_of(ports[name][0]) or "somebody")
        for name in down
        if is_listening(ports[name][0])
    }
    alone = supervisor_pid(home) is None
    return ServiceFacts(
        states={name: service.state for name, service in states.items()},
        supervisor=None if state is None else state.supervisor_pid,
        logs=str(home / "logs"),
        taken=taken,
        leftovers=tuple(leftovers(home)) if alone else (),
        addresses_left=alone and settings.services_file.exists(),
        daemon_silent_seconds=daemon_silent_seconds,
    )
