"""Dagster's processes as services: run watcher, code server, daemon, webserver.

One code server serves the others, so that the definitions are loaded once. This module describes
processes; it does not import Dagster, which the supervisor has no need to hold in memory.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import fleet_assets
from fleet_assets.local.ports import LOOPBACK
from fleet_assets.local.process import Service
from fleet_assets.settings import Settings

DEFINITIONS_MODULE = "fleet_assets.definitions"
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 108 bytes


def dagster_home(home: Path) -> Path:
    """DAGSTER_HOME of the platform."""
    return home / "dagster"


def dagster_services(
    settings: Settings, home: Path, env: Mapping[str, str], postgres_url: str
) -> list[list[Service]]:
    """Groups of services in the order in which they are to be started.

    The watcher is first and alone: with its first look it also creates Dagster's tables, which
    several processes must not do at once, and no run is launched before the dead ones are marked.
    """
    folder = dagster_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    template = Path(fleet_assets.__file__).parent.parent / "dagster.yaml"
    if template.exists():
        shutil.copyfile(template, folder / "dagster.yaml")
    else:
        (folder / "dagster.yaml").write_text(_DAGSTER_YAML)
    code_socket = _socket_path(home)
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server:\n      socket: {code_socket}\n"
        "      location_name: fleet_assets\n"
    )
    ready_file = folder / "run-watcher.ready"
    known_daemons: set[str] = set()
    url = f"http://{LOOPBACK}:{settings.dagster_port}"

    def remember_daemons() -> None:
        known_daemons.clear()
        known_daemons.update(_daemon_ids(postgres_url))

    watcher = Service(
        name="run-watcher",
        command=[sys.executable, "-m", "fleet_assets.local.run_watch", str(ready_file)],
        ready=ready_file.exists,
        env=env,
        start_timeout=timedelta(minutes=5),
        before_start=lambda: ready_file.unlink(missing_ok=True),
    )
    code_server = Service(
        name="code-server",
        command=[
            *(sys.executable, "-m", "dagster", "api", "grpc", "--socket", str(code_socket)),
            *("-m", os.environ.get("FLEET_DEFINITIONS_MODULE", DEFINITIONS_MODULE)),
            *("-d", str(Path.cwd()), "--location-name", "fleet_assets"),
            "--use-python-environment-entry-point",
        ],
        ready=lambda: _accepts(code_socket),
        env=env,
        start_timeout=timedelta(minutes=5),
        before_start=lambda: code_socket.unlink(missing_ok=True),
    )
    daemon = Service(
        name="daemon",
        command=[sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)],
        ready=lambda: bool(_daemon_ids(postgres_url) - known_daemons),
        env=env,
        before_start=remember_daemons,
    )
    webserver = Service(
        name="dagster",
        command=[
            *(sys.executable, "-m", "dagster_webserver", "-w", str(workspace)),
            *("-h", LOOPBACK, "-p", str(settings.dagster_port)),
        ],
        ready=lambda: ui_answers(url),
        url=url,
        env=env,
    )
    return [[watcher, code_server], [daemon, webserver]]


def ui_answers(url: str) -> bool:
    """Whether the Dagster UI answers."""
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _daemon_ids(postgres_url: str) -> set[str]:
    import psycopg

    try:
        with psycopg.connect(postgres_url, connect_timeout=3) as connection:
            rows = connection.execute("SELECT DISTINCT daemon_id FROM daemon_heartbeats")
            return {row[0] for row in rows}
    except psycopg.Error:
        return set()


def _accepts(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(path))
            return True
    except OSError:
        return False


def _socket_path(home: Path) -> Path:
    # A socket in a folder that only we may enter: who may connect may run code as us.
    folder = home / "run"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "code-server.sock"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        path = Path(tempfile.mkdtemp(prefix="fleet-")) / "code-server.sock"
    return path


# For an installation from a wheel, where the repository's dagster.yaml is not at hand.
_DAGSTER_YAML = """\
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
telemetry:
  enabled: false
"""
