"""Services: which are down, whose port is taken, what a dead supervisor has left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet_assets.doctor.finding import Finding, some, span

_WELL = ("running", "external")
HEARTBEAT_LIMIT_SECONDS = 120


@dataclass(frozen=True)
class TakenPort:
    """A port that a service of ours needs and somebody else listens on."""

    port: int
    setting: str
    holder: str


@dataclass(frozen=True)
class ServiceFacts:
    """What runs.

    Attributes:
        states: state of each service by name, as `fleet status` shows them.
        supervisor: process id of `fleet up`; None: it does not run.
        taken: ports of services that are down and that others hold.
        leftovers: processes of a supervisor that is gone.
        addresses_left: services.json is there although nothing runs.
        logs: folder of the services' logs.
        daemon_silent_seconds: since the Dagster daemon has spoken; None: not known.
    """

    states: Mapping[str, str]
    supervisor: int | None
    logs: str
    taken: Mapping[str, TakenPort] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    addresses_left: bool = False
    daemon_silent_seconds: float | None = None


def check_services(facts: ServiceFacts) -> list[Finding]:
    """Services that do not do their work."""
    found = []
    for name, state in facts.states.items():
        if state in _WELL:
            continue
        taken = facts.taken.get(name)
        if taken is not None:
            found.append(
                Finding(
                    "services",
                    f"{name} is {state}, and its port {taken.port} is taken by {taken.holder}",
                    f"end that process, or set {taken.setting} to a free port, then `fleet up`",
                )
            )
        elif facts.supervisor is None:
            found.append(Finding("services", f"{name} is {state}", "`fleet up` starts it"))
        else:
            log = f"{facts.logs}/{name}.log"
            found.append(
                Finding(
                    "services",
                    f"{name} is {state} although `fleet up` runs (pid {facts.supervisor})",
                    f"it is started again by itself; its last words are in {log}",
                )
            )
    if facts.leftovers:
        found.append(
            Finding(
                "leftovers",
                f"{len(facts.leftovers)} processes outlive their supervisor:"
                f" {some(facts.leftovers)}",
                "`fleet up` ends them before it starts",
                "stop_leftovers",
            )
        )
    if facts.addresses_left and not facts.leftovers:
        found.append(
            Finding(
                "leftovers",
                "services.json names services of a supervisor that was killed",
                "`fleet up` writes it anew",
                "stop_leftovers",
            )
        )
    silent = facts.daemon_silent_seconds
    daemon_runs = facts.states.get("daemon") in _WELL
    if daemon_runs and silent is not None and silent > HEARTBEAT_LIMIT_SECONDS:
        found.append(
            Finding(
                "services",
                f"the Dagster daemon runs but has not spoken for {span(silent)}",
                f"`fleet down` and `fleet up`; why it hangs may stand in {facts.logs}/daemon.log",
            )
        )
    return found
