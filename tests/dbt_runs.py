"""dbt as a child of its own, as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet_assets.warehouse.dbt_env import (
    dbt_environment,
    marked_environment,
    touched_environment,
)

_NO_TESTS = ("--exclude-resource-type", "test", "unit_test")
PROJECT = Path(__file__).parents[1] / "dbt_project"


def run_dbt(
    url: str,
    state: Path,
    *words: str,
    touched: list[str] | None = None,
    marked: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Runs dbt against a warehouse; its output ends up in the failure's message.

    Args:
        url: the warehouse.
        state: a folder for what dbt keeps.
        words: of its command; `run` makes seeds, too, as the platform does.
        touched: hours to rebuild; None: everything.
        marked: hours of trips and findings to rebuild, by topic; None: all of them.
    """
    if words[0] == "run":
        words = ("build", *_NO_TESTS, *words[1:])
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--no-write-json", *words,
         "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)],
        env={
            **os.environ,
            **dbt_environment(url, state),
            **({} if touched is None else touched_environment(touched)),
            **marked_environment(marked),
        },
        text=True,
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
