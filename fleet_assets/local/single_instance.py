"""One ``fleet up`` per FLEET_HOME, and nothing left over from the one before it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil

from fleet_assets.errors import FleetError
from fleet_assets.local.process import OWNER_VARIABLE

_GRACE_SECONDS = 10


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the lock of ``home``; the kernel releases it however the process ends.

    Raises:
        FleetError: another supervisor holds it.
    """
    path = home / "supervisor.lock"
    with path.open("a+") as lock:
        if not _acquired(lock):
            raise FleetError(
                f"Already running for {home} (pid {supervisor_pid(home) or 'unknown'}): "
                "`fleet status` shows it, `fleet down` stops it."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
        lock.truncate(0)


def _acquired(lock: IO[str]) -> bool:
    for _ in range(5):  # `fleet status` may be looking, which takes the lock for a moment
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def supervisor_pid(home: Path) -> int | None:
    """The process that holds the lock of ``home``, or None."""
    path = home / "supervisor.lock"
    if not path.exists():
        return None
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = lock.read().strip()
            return int(text) if text.isdigit() else None
    return None


def stop_leftovers(home: Path, report: Callable[[str], None]) -> None:
    """End what a killed supervisor left behind, gracefully if possible.

    The kernel has already signalled its direct children; their children (Dagster's run workers)
    it has not. All of them carry the owner's name in their environment, which, unlike recorded
    process ids, cannot be mistaken for somebody else's.
    """
    leftovers = _owned_by(home)
    if not leftovers:
        return
    names = ", ".join(sorted({_name(process) for process in leftovers}))
    report(f"Stopping what an interrupted run left behind: {names}")
    for process in leftovers:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT if _name(process) == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(leftovers, timeout=_GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)


def leftovers(home: Path) -> list[str]:
    """Processes of a supervisor of ``home``, name and number; only sensible when none runs."""
    return [f"{_name(process)} (pid {process.pid})" for process in _owned_by(home)]


def _owned_by(home: Path) -> list[psutil.Process]:
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["pid", "environ", "status"]):
        if process.info["pid"] in family or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if (process.info["environ"] or {}).get(OWNER_VARIABLE) == str(home):
            found.append(process)
    return found


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "gone"
