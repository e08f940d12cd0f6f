"""Starts services in order, keeps them running, stops them in reverse order.

It knows nothing of Kafka, PostgreSQL or Dagster: what to run and when it is ready comes with each
``Service``. It has one thread, the main one, because the kernel ties the children's parent-death
signal to the thread that started them.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fleet_assets.errors import FleetError
from fleet_assets.local.logs import last_words, log_path, rotate_if_large
from fleet_assets.local.process import Child, Service
from fleet_assets.local.state import ServiceState, State

POLL_SECONDS = 0.1
_WATCH_SECONDS = 0.5
_LOG_SECONDS = 5.0
_LONGEST_BACKOFF_SECONDS = 30.0
_STEADY_SECONDS = 60.0


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal: ends whatever the supervisor is doing."""


@dataclass
class _Supervised:
    service: Service
    child: Child
    state: State = "starting"
    failures: int = 0
    restart_at: float = 0.0


class Supervisor:
    """Parent of all services; use it inside ``with supervisor.running():``."""

    def __init__(
        self,
        home: Path,
        report: Callable[[str], None],
        on_change: Callable[[dict[str, ServiceState]], None],
    ) -> None:
        self._home = home
        self._report = report
        self._on_change = on_change
        self._supervised: list[_Supervised] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Turn stop signals into ``StopRequested``; at the end, however it comes, stop all."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup stays in force
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, _request_stop) for number in numbers}
        try:
            yield
        except StopRequested:
            self._report("Stopping")
        finally:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, services: Sequence[Service]) -> None:
        """Start ``services`` together and return when all are ready.

        Raises:
            FleetError: one of them ended or did not become ready; the line has its last words.
        """
        group = []
        for service in services:
            service.before_start()
            group.append(_Supervised(service, Child(service, self._home)))
            self._supervised.append(group[-1])
        self._changed()
        waiting = list(group)
        while waiting:
            for one in list(waiting):
                require_progress(one.child, one.service, self._home)
                if one.service.ready():
                    one.state = "running"
                    waiting.remove(one)
                    seconds = time.monotonic() - one.child.started
                    self._report(f"  {one.service.name} is ready after {seconds:.1f} s")
                    self._changed()
            if waiting:
                time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Restart children that end, bound their logs; returns only by ``StopRequested``."""
        next_log_check = 0.0
        while True:
            for one in self._supervised:
                self._tend(one)
            if time.monotonic() >= next_log_check:
                for path in (self._home / "logs").glob("*.log"):
                    rotate_if_large(path)
                next_log_check = time.monotonic() + _LOG_SECONDS
            time.sleep(_WATCH_SECONDS)

    def _tend(self, one: _Supervised) -> None:
        now = time.monotonic()
        if one.state == "restarting":
            if now >= one.restart_at:
                one.service.before_start()
                one.child = Child(one.service, self._home)
                one.state = "starting"
                self._changed()
            return
        code = one.child.exit_code()
        if code is not None:
            if now - one.child.started > _STEADY_SECONDS:
                one.failures = 0
            delay = min(0.5 * 2**one.failures, _LONGEST_BACKOFF_SECONDS)
            one.failures += 1
            one.state, one.restart_at = "restarting", now + delay
            self._report(f"{one.service.name} ended ({_how(code)}); restart in {delay:.1f} s")
            self._changed()
        elif one.state == "starting" and one.service.ready():
            one.state = "running"
            self._report(f"{one.service.name} is ready again")
            self._changed()

    def _stop_all(self) -> None:
        while self._supervised:
            one = self._supervised.pop()
            started = time.monotonic()
            graceful = one.child.stop()
            how = "stopped" if graceful else "had to be killed"
            self._report(f"  {one.service.name} {how} after {time.monotonic() - started:.1f} s")

    def _changed(self) -> None:
        self._on_change(
            {
                one.service.name: ServiceState(
                    state=one.state,
                    url=one.service.url,
                    pid=None if one.state == "restarting" else one.child.pid,
                )
                for one in self._supervised
            }
        )


def require_progress(child: Child, service: Service, home: Path) -> None:
    """Of a service that is being started.

    Raises:
        FleetError: it ended or is not ready in time; the message has its last words.
    """
    log = log_path(home, service.name)
    code = child.exit_code()
    if code is not None:
        raise FleetError(
            f"{service.name} ended while it was starting ({_how(code)}; "
            f"last words: {last_words(log)}): see {log}"
        )
    if time.monotonic() - child.started > service.start_timeout.total_seconds():
        raise FleetError(
            f"{service.name} is not ready after {service.start_timeout.total_seconds():.0f} s "
            f"(last words: {last_words(log)}): see {log}"
        )


def _request_stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough
    raise StopRequested


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
