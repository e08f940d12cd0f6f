"""``fleet up``, ``fleet down`` and ``fleet status``."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleet_assets.commands.printing import print_json

if TYPE_CHECKING:
    from fleet_assets.local.state import PlatformState, ServiceState

_DOWN_TIMEOUT_SECONDS = 180
_POLL_SECONDS = 0.1


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when ready; `fleet down` stops it.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Also register vehicles and simulate them.")
    ] = False,
    dagster: Annotated[bool, typer.Option(help="Start Dagster as well.")] = True,
) -> None:
    """Start the platform: Kafka, PostgreSQL and Dagster, as far as the settings name no others."""
    from fleet_assets.local.detach import start_detached
    from fleet_assets.local.up import UpOptions, run_platform
    from fleet_assets.settings import Settings

    settings, options = Settings(), UpOptions(dagster=dagster, demo=demo)
    if detach:
        _show(start_detached(settings, options, _report), "fleet down")
    else:
        run_platform(settings, options, _report, lambda state: _show(state, "Ctrl-C"))


def down() -> None:
    """Stop what `fleet up` started; the data stays."""
    from fleet_assets.errors import FleetError
    from fleet_assets.local.single_instance import supervisor_pid
    from fleet_assets.settings import Settings

    home = Settings().home.absolute()
    pid = supervisor_pid(home)
    if pid is None:
        _report(f"Nothing runs for {home}.")
        return
    _report(f"Stopping the platform (pid {pid})")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it ended just now
    except PermissionError:
        raise FleetError(
            f"Process {pid} is another user's: stop it as the user who started it."
        ) from None
    deadline = time.monotonic() + _DOWN_TIMEOUT_SECONDS
    # Its lock, not its process id: where nobody reaps, as in many containers, the id stays.
    while supervisor_pid(home) == pid:
        if time.monotonic() > deadline:
            raise FleetError(
                f"Process {pid} is still stopping after {_DOWN_TIMEOUT_SECONDS} s: see "
                f"{home / 'logs'}, or end it with `kill -9 {pid}`; no data is lost."
            )
        time.sleep(_POLL_SECONDS)
    _report("Stopped. The data stays; `fleet up` goes on from there.")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show services, lag and failing checks; exit code 0 when all is well."""
    from fleet_assets.local.status import platform_status
    from fleet_assets.settings import Settings

    found = platform_status(Settings())
    if as_json:
        print_json(found.as_json())
    else:
        _print_services(found.services, None)
        if not found.flow_known:
            _report("Kafka or PostgreSQL is down, so how the data flow cannot be told: `fleet up`.")
            raise typer.Exit(1)
        flow = found.flow
        _report(f"Messages not yet in the lake: {sum(flow.lag.values()):,}")
        for partition, lag in sorted(flow.lag.items()):
            landed = flow.last_landed_offset.get(partition)
            last = "nothing landed" if landed is None else f"landed up to offset {landed:,}"
            _report(f"  partition {partition}: lag {lag:,}, {last}")
        _report(f"Hours waiting for refresh: {flow.stale_hours}")
        _report(f"Hours waiting for trips and anomalies: {flow.unjudged_hours}")
        _report(f"Hours waiting for features: {flow.unwindowed_hours}")
        _report(f"Hours waiting for models: {flow.unscored_hours}")
        _report(f"Newest event in the lake: {flow.newest_event or 'none yet'}")
        _report(f"Newest event in the marts: {flow.newest_mart_row or 'none yet'}")
        _report(f"Failing checks: {', '.join(flow.failing_checks) or 'none'}")
        if found.problem:
            _report(f"Not all could be looked at: {found.problem}")
    raise typer.Exit(0 if found.well else 1)


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _show(state: PlatformState, stop: str) -> None:
    _print_services(state.services, stop)
    if state.dagster_url:
        _report(f"Open {state.dagster_url} (Lineage); `fleet status` tells how the data flow.")


def _print_services(services: dict[str, ServiceState], stop: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from fleet_assets.local.databases import without_password

    table = Table()
    for heading in ("service", "state", "address", *(["stop with"] if stop else [])):
        table.add_column(heading, overflow="fold")
    for name, service in services.items():
        cure = "not ours" if service.state == "external" else stop
        row = [name, service.state, without_password(service.url) if service.url else "-"]
        table.add_row(*row, *([cure] if cure and stop else []))
    Console().print(table)
