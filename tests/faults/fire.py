"""What the kill suites share: the fault points in the source, processes to kill, and the load."""

from __future__ import annotations

import ast
import json
import logging
import os
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from platform_run import wait_until

_log = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
PATIENCE_S = 600
"""A process that ought to die at a point has this long to come by, on a busy machine."""
KILLS: Counter[str] = Counter()
"""How many processes were killed, by the way of it; shown at the end of the session."""
NOTES: list[str] = []
"""Further lines for the end of the session."""


def fault_points() -> dict[str, str]:
    """Every ``fault_point("…")`` in the source and its file; ``*`` where a name is put in."""
    found: dict[str, str] = {}
    for package in ("fleet_assets", "partitions", "sensors"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
                if (name if isinstance(name, str) else getattr(name, "id", "")) == "fault_point":
                    found[_text(node.args[0])] = str(path.relative_to(ROOT))
    return found


def _text(argument: ast.expr) -> str:
    if isinstance(argument, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "*" for part in argument.values
        )
    assert isinstance(argument, ast.Constant), "a fault point has a literal name"
    return str(argument.value)


def named_by(point: str, pattern: str) -> bool:
    """Whether a point of this name is one that the source writes so."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", r"\w+"), point) is not None


def child_env(env: dict[str, str]) -> dict[str, str]:
    """Environment of a child that finds this tree and the test helpers."""
    tests = ROOT / "tests"
    path = os.pathsep.join(map(str, (ROOT, tests, tests / "faults")))
    return {**os.environ, **env, "PYTHONPATH": path}


class Victim:
    """A process of `victim.py`: it has imported everything and waits for its order."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        # a pipe would fill up and hold the process; the file goes with this object
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("victim.py")), *arguments],
            env=child_env(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ready(self) -> Victim:
        """Wait until it has imported everything."""
        self._hear("ready\n")
        return self

    def done(self) -> None:
        """Wait until it has done what it was ordered to."""
        self._hear("done\n")

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        assert word in iter(self.process.stdout.readline, ""), self.complaint()

    def complaint(self) -> str:
        """What it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()[-5000:]

    def order(self, **order: Any) -> None:
        """Let it work."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def end(self, seconds: float = PATIENCE_S) -> int:
        """Wait for its end; 0, or the signal that killed it as a negative number."""
        try:
            self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return 1
        if self.process.returncode > 0:
            sys.stderr.write(self.complaint())
        return self.process.returncode


class Breeder(Victim):
    """A process that has imported everything and forks a child for each order."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(env, "breed")
        self.ready()

    def child(self, **order: Any) -> int:
        """Process id of a child that works as ordered."""
        self.order(**order)
        return int(self._line())

    def child_ends(self, child: int, seconds: float = PATIENCE_S) -> int:
        """Wait for the child's end; its exit code, or the signal as a negative number."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
            self._line()
            return 1
        return int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, ""):
            if line.strip().lstrip("-").isdigit():  # a child's dbt may speak here too
                return line
        raise AssertionError(self.complaint())


@dataclass
class Arena:
    """One lake, topic and warehouse on which processes are killed.

    Attributes:
        env: settings of the platform, as every process gets them.
        kinds: how many were killed here, by the way of it.
    """

    env: dict[str, str]
    kinds: Counter[str] = field(default_factory=Counter)

    @cached_property
    def breeder(self) -> Breeder:
        """What the victims are children of."""
        return Breeder(self.env)

    def victim(self) -> Victim:
        """A process of its own that waits for orders."""
        return Victim(self.env).ready()

    def close(self) -> None:
        """End the process that victims come from."""
        if "breeder" in self.__dict__:
            self.breeder.process.kill()
            self.breeder.process.communicate()

    def kill_at(self, point: str, work: str = "flow") -> None:
        """A process dies at a fault point."""
        self._dies(f"never came by {point}", work=work, point=point)
        self._count(f"{work}: fault point", point)

    def kill_torn(self, table: str, work: str = "flow") -> None:
        """A process dies when files of a table are written and, mostly, not yet committed."""
        self._dies(f"never wrote {table}", work=work, torn=table)
        self._count(f"{work}: files written, not committed", table)

    def kill_after(self, seconds: float, work: str = "flow") -> None:
        """A process dies at whatever it does then."""
        child = self.breeder.child(work=work)
        time.sleep(seconds)  # the moment is the point: there is no condition to wait for
        os.kill(child, signal.SIGKILL)
        ended = self.breeder.child_ends(child)
        assert ended == -signal.SIGKILL, f"{work} failed by itself: {self.breeder.complaint()}"
        self._count(f"{work}: random moment", f"after {seconds:.2f} s")

    def _dies(self, or_else: str, **order: Any) -> None:
        ended = self.breeder.child_ends(self.breeder.child(**order))
        assert ended == -signal.SIGKILL, (
            f"{order['work']} {or_else}, or failed: {self.breeder.complaint()}"
        )

    def _count(self, kind: str, where: str) -> None:
        self.kinds[kind] += 1
        _log.info("%d killed: %s, %s", self.kinds.total(), kind, where)
        KILLS[kind] += 1

    def settle(self, work: str = "flow") -> None:
        """Let a process work undisturbed until nothing is left to do."""
        child = self.breeder.child(work=work, until_quiet=True)
        assert self.breeder.child_ends(child) == 0, self.breeder.complaint()


class Load:
    """`fleet simulate` in a process of its own, sending until it is told to stop."""

    def __init__(self, env: dict[str, str], manifest: Path, *options: str) -> None:
        self._manifest = manifest
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from fleet_assets.cli import main; main()", "simulate",
             "--manifest", str(manifest), *options],
            env=child_env(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def stop(self) -> dict[str, Any]:
        """What was sent and acknowledged, by the simulator's own count."""
        self._process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> dict[str, Any]:
        """Wait for the end of what it was told to send."""
        said, _ = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, said
        counts = dict(json.loads(self._manifest.read_text()))
        assert counts["acknowledged"] == counts["messages"], counts
        return counts

    def wait_for_start(self, sent: Any) -> None:
        """Until `sent()` says that messages arrive."""
        wait_until(lambda: self._process.poll() is not None or sent(), 60)
        assert self._process.poll() is None, self._process.communicate()[0]


def moments(seed: int, longest: float) -> Iterator[float]:
    """Random moments, the same for the same seed, in seconds."""
    drawn = random.Random(seed)
    while True:
        yield drawn.uniform(0.0, longest)


@contextmanager
def arena(env: dict[str, str]) -> Iterator[Arena]:
    """An arena whose waiting process is ended with it."""
    made = Arena(env)
    try:
        yield made
    finally:
        made.close()
