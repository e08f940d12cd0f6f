"""``fleet up --detach``: the supervisor as a process of its own, its start followed by a pipe.

The parent prints the lines that come through the pipe and returns when the platform is ready. The
last line is ``ready`` or ``error …``; without either the supervisor has died.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from fleet_assets.errors import FleetError
from fleet_assets.local.logs import last_words, log_path, rotate_if_large
from fleet_assets.local.state import PlatformState, read_state
from fleet_assets.local.up import UpOptions, prepare_home, run_platform
from fleet_assets.settings import Settings

_READY = "ready"
_ERROR = "error "


def start_detached(
    settings: Settings,
    options: UpOptions,
    report: Callable[[str], None],
    env: Mapping[str, str] | None = None,
) -> PlatformState:
    """Start the supervisor in the background and return when all is ready.

    Args:
        env: further environment for the supervisor, which reads its settings from there.

    Raises:
        FleetError: what the supervisor met with.
    """
    home = prepare_home(settings)
    log = log_path(home, "supervisor")
    log.parent.mkdir(exist_ok=True)
    rotate_if_large(log)
    read_end, write_end = os.pipe()
    words = json.dumps({"fd": write_end, "dagster": options.dagster, "demo": options.demo})
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet_assets.local.detach", words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[write_end],
            start_new_session=True,
            env={**os.environ, **(env or {}), "FLEET_HOME": str(home)},
        )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as lines:
            _follow(lines, log, report)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    state = read_state(settings.services_file)
    if state is None:
        raise FleetError(f"The supervisor stopped again at once: see {log}")
    return state


def _follow(lines: IO[str], log: Path, report: Callable[[str], None]) -> None:
    for line in lines:
        text = line.rstrip("\n")
        if text == _READY:
            return
        if text.startswith(_ERROR):
            raise FleetError(text.removeprefix(_ERROR))
        report(text)
    raise FleetError(f"The supervisor died while starting ({last_words(log)}): see {log}")


def main(words: str) -> None:
    """The background side."""
    told = json.loads(words)
    os.set_inheritable(told["fd"], False)
    pipe = os.fdopen(told["fd"], "w", buffering=1)

    def report(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more
            pipe.write(f"{line}\n")

    def ready(state: PlatformState) -> None:
        report(_READY)
        with contextlib.suppress(OSError):
            pipe.close()

    try:
        run_platform(
            Settings(), UpOptions(dagster=told["dagster"], demo=told["demo"]), report, ready
        )
    except FleetError as error:
        report(f"{_ERROR}{' '.join(str(error).split())}")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
