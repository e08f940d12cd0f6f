"""The PyOD peer from our side: a child process that scores model frames."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.models.frame import INPUTS, matrix

PYTHON: Final = Path(".venv-pyod/bin/python")


def is_there() -> bool:
    """Whether `make .venv-pyod/.installed` has made its environment."""
    return PYTHON.exists()


class PyodScores:
    """Learns from healthy windows, then scores others.

    Args:
        early: a model frame.
    """

    def __init__(self, early: pl.DataFrame) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fleet-pyod-")
        command = [str(PYTHON.absolute()), "-m", "bench.pyod_peer"]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._early, self._of_early = early, self._ask(early)

    def __call__(self, frame: pl.DataFrame) -> np.ndarray:
        """Scores of windows."""
        return self._of_early if frame is self._early else self._ask(frame)

    def close(self) -> None:
        """Ends the child."""
        self._child.communicate()
        self._folder.cleanup()

    def _ask(self, frame: pl.DataFrame) -> np.ndarray:
        path = Path(self._folder.name) / "frame.npz"
        vehicles = frame["vehicle_id"].to_numpy().astype(np.str_)
        np.savez(path, vehicles=vehicles, values=matrix(frame, INPUTS))
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{path}\n")
        self._child.stdin.flush()
        if self._child.stdout.readline() != "done\n":
            raise RuntimeError("The PyOD peer has ended; its error stands above.")
        found: np.ndarray = np.load(f"{path}.scores.npy")
        return found
