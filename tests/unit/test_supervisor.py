"""The supervisor with small children instead of servers: order, restarts, leftovers, logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from fleet_assets.errors import FleetError
from fleet_assets.local.logs import rotate_if_large
from fleet_assets.local.process import OWNER_VARIABLE, Service
from fleet_assets.local.single_instance import only_one, stop_leftovers, supervisor_pid
from fleet_assets.local.state import ServiceState
from fleet_assets.local.supervisor import Supervisor

SHELL = "/bin/sh"

pytestmark = pytest.mark.timeout(60)


def forever(name: str, script: str = "exec sleep 1000") -> Service:
    return Service(name=name, command=[SHELL, "-c", script], ready=lambda: True)


class Recorder:
    """Collects what the supervisor reports, and can interrupt it at a line."""

    def __init__(self, stop_at: str = "") -> None:
        self.lines: list[str] = []
        self.services: dict[str, ServiceState] = {}
        self._stop_at = stop_at

    def report(self, line: str) -> None:
        self.lines.append(line)
        if self._stop_at and self._stop_at in line:
            os.kill(os.getpid(), signal.SIGINT)

    def changed(self, services: dict[str, ServiceState]) -> None:
        self.services = services


def run(home: Path, recorder: Recorder, groups: Iterable[list[Service]]) -> None:
    supervisor = Supervisor(home, recorder.report, recorder.changed)
    with supervisor.running():
        for group in groups:
            supervisor.start(group)
        supervisor.watch()


def test_children_stop_in_reverse_order_of_their_start(tmp_path: Path) -> None:
    recorder = Recorder(stop_at="third is ready")
    run(tmp_path, recorder, [[forever("first")], [forever("second")], [forever("third")]])
    stopped = [line.split()[0] for line in recorder.lines if " stopped after " in line]
    assert stopped == ["third", "second", "first"]


def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    once = tmp_path / "once"
    script = f"if [ -e {once} ]; then exec sleep 1000; fi; touch {once}; exit 3"
    recorder = Recorder(stop_at="is ready again")
    run(tmp_path, recorder, [[forever("flaky", script)]])
    assert any("flaky ended (exit code 3); restart" in line for line in recorder.lines)


def test_a_child_that_ends_while_starting_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    recorder = Recorder()
    broken = Service("broken", [SHELL, "-c", "echo no such luck; exit 4"], ready=lambda: False)
    with pytest.raises(FleetError, match=r"broken ended.*exit code 4.*no such luck"):
        run(tmp_path, recorder, [[forever("fine")], [broken]])
    assert any("fine stopped" in line for line in recorder.lines)


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    service = Service(
        name="stubborn",
        command=[SHELL, "-c", f"trap '' TERM; touch {deaf}; while :; do sleep 1; done"],
        ready=deaf.exists,
        stop_timeout=timedelta(seconds=0.5),
    )
    recorder = Recorder(stop_at="stubborn is ready")
    run(tmp_path, recorder, [[service]])
    assert any("stubborn had to be killed" in line for line in recorder.lines)


SUPERVISE = """
import sys
from pathlib import Path
from fleet_assets.local.process import Service
from fleet_assets.local.supervisor import Supervisor
home = Path(sys.argv[1])
script = f"sleep 1001 & echo $! > {home}/grandchild; sleep 1002"
service = Service("parent", ["/bin/sh", "-c", script], ready=(home / "grandchild").exists)
supervisor = Supervisor(home, lambda line: print(line, flush=True), lambda services: None)
with supervisor.running():
    supervisor.start([service])
    supervisor.watch()
"""


def test_nothing_is_left_of_a_killed_supervisor(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        (child,) = psutil.Process(process.pid).children()
        grandchild = psutil.Process(int((tmp_path / "grandchild").read_text()))
        process.kill()
        process.wait()
    child.wait(timeout=10)  # by the kernel's signal
    assert grandchild.is_running()
    stop_leftovers(tmp_path, lambda line: None)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_processes_of_another_home_are_not_leftovers(tmp_path: Path) -> None:
    env = {**os.environ, OWNER_VARIABLE: str(tmp_path / "other")}
    with subprocess.Popen(["sleep", "1000"], env=env) as other:
        stop_leftovers(tmp_path, lambda line: None)
        assert other.poll() is None
        other.kill()


def test_a_second_instance_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    assert supervisor_pid(tmp_path) is None
    with only_one(tmp_path):
        assert supervisor_pid(tmp_path) == os.getpid()
        with pytest.raises(FleetError, match=f"pid {os.getpid()}"), only_one(tmp_path):
            pass
    assert supervisor_pid(tmp_path) is None


def test_a_log_stays_bounded_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("a") as writer:
        for round_ in range(6):
            writer.write(f"{round_}" * 600)
            writer.flush()
            rotate_if_large(log, max_bytes=1000, kept=2)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    assert {path.name for path in tmp_path.iterdir()} == {"x.log", "x.log.1", "x.log.2"}
