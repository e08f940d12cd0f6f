"""PyOD's ECOD as a detector beside ours, run by a Python of its own (`make .venv-pyod/.installed`).

PyOD needs numba and LLVM, which nothing else here does. The peer reads a line from standard input
for each piece of work, the name of a file of arrays, and answers with a line when its scores are
written beside it. The first file has the healthy windows that it learns from; each vehicle that has
enough of them gets a detector of its own, as they differ more than faults do.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from pyod.models.ecod import ECOD

LEAST_WINDOWS = 300
"""Of a vehicle, for a detector of its own; those with fewer are judged by that of all."""


class Peer:
    """Detectors by vehicle, and "" for all others."""

    def __init__(self, vehicles: np.ndarray, values: np.ndarray) -> None:
        self._known = ~np.isnan(values).all(axis=0)
        self._usual = np.nanmedian(values[:, self._known], axis=0)
        names, counts = np.unique(vehicles, return_counts=True)
        whole = self._filled(values)
        own = [str(name) for name in names[counts >= LEAST_WINDOWS]]
        self._detectors: dict[str, Any] = {
            name: ECOD().fit(whole[vehicles == name]) for name in own
        }
        if len(own) < len(names) or not own:
            self._detectors[""] = ECOD().fit(whole)

    def scores(self, vehicles: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The higher, the less usual."""
        whole, found = self._filled(values), np.zeros(len(values))
        for name in np.unique(vehicles):
            mine = vehicles == name
            detector = self._detectors.get(str(name), self._detectors.get(""))
            if detector is not None:
                found[mine] = detector.decision_function(whole[mine])
        return found

    def _filled(self, values: np.ndarray) -> np.ndarray:
        """ECOD knows no missing numbers: they are as usual."""
        mine = values[:, self._known]
        return np.where(np.isnan(mine), self._usual, mine)


def main() -> None:
    """Answers until standard input ends."""
    warnings.filterwarnings("ignore", "Precision loss")  # columns that never change are no news
    peer: Peer | None = None
    for line in sys.stdin:
        with np.load(line.strip()) as given:
            vehicles, values = given["vehicles"], given["values"].astype(np.float64)
        peer = peer or Peer(vehicles, values)
        np.save(f"{line.strip()}.scores.npy", peer.scores(vehicles, values))
        print("done", flush=True)


if __name__ == "__main__":
    main()
