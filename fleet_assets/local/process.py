"""One supervised child process: how it is described, started, signalled and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil

from fleet_assets.local.logs import log_path

#: In the environment of every child and its children: whose they are. Leftovers are found by it.
OWNER_VARIABLE = "FLEET_SUPERVISED_HOME"

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class RunAs:
    """The user a child runs as when root starts it."""

    uid: int
    gid: int
    keep_read: bool = False
    """Keep root's right to enter and read folders of others."""


@dataclass(frozen=True)
class Service:
    """What to run, when it counts as ready, and how it is asked to stop."""

    name: str
    command: list[str]
    ready: Callable[[], bool]
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    run_as: RunAs | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    start_timeout: timedelta = timedelta(minutes=2)
    stop_timeout: timedelta = timedelta(seconds=20)
    before_start: Callable[[], None] = lambda: None
    """Called before each start and restart, e.g. to clear what a killed process has left."""
    signal_group: bool = True
    """Ask all its processes to stop, not only the first (PostgreSQL tells its own)."""


class Child:
    """A running process of a service, in a session of its own."""

    def __init__(self, service: Service, home: Path) -> None:
        self.service = service
        self.started = time.monotonic()
        run_as = service.run_as or RunAs(-1, -1)
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())]
        launcher += [str(int(service.stop_signal)), str(run_as.uid), str(run_as.gid)]
        launcher += [str(int(run_as.keep_read))]
        log = log_path(home, service.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                launcher + service.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **service.env, OWNER_VARIABLE: str(home)},
                start_new_session=True,  # Ctrl-C reaches the supervisor only; it keeps the order
            )
        self.pid = self._process.pid

    def exit_code(self) -> int | None:
        """Exit code (negative: the signal), or None while it runs."""
        return self._process.poll()

    def stop(self) -> bool:
        """Ask the process and its children to end, wait, then kill; True if it went by itself."""
        if self.service.signal_group:
            self._signal_all(self.service.stop_signal)
        else:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.service.stop_signal)
        graceful = self._wait_until_gone(self.service.stop_timeout)
        if not graceful:
            self._signal_all(signal.SIGKILL)
            self._wait_until_gone(timedelta(seconds=10))
        return graceful

    def _signal_all(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _wait_until_gone(self, timeout: timedelta) -> bool:
        deadline = time.monotonic() + timeout.total_seconds()
        while self._process.poll() is None or self._group_lives():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        # Without an init that reaps, as in many containers, dead orphans stay in the group.
        for process in psutil.process_iter(["pid", "status"]):
            with contextlib.suppress(ProcessLookupError):
                if (
                    process.info["status"] != psutil.STATUS_ZOMBIE
                    and os.getpgid(process.info["pid"]) == self.pid
                ):
                    return True
        return False
