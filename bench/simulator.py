"""How fast the simulator makes messages, JSON text included: medians, printed and not asserted.

Run ``taskset -c 0 .venv/bin/python bench/simulator.py`` for one core's figure.
"""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")

from statistics import median
from time import perf_counter

from fleet_assets.fleet_sim.runner import BLOCK
from fleet_assets.fleet_sim.simulation import Options, Simulation
from fleet_assets.fleet_sim.transport import Mishaps

REPEATS = 5
START_MS = 1_767_225_600_000
MISHAPS = Mishaps(late=0.01, reorder=0.01, duplicate=0.005, corrupt=0.002)
CASES = {
    "1 vehicle, 100,000 s": Options(1, START_MS, 100_000_000),
    "24 vehicles, 10,000 s": Options(24, START_MS, 10_000_000),
    "1,000 vehicles, 600 s": Options(1_000, START_MS, 600_000),
    "1,000 vehicles, 600 s, mishaps and faults": Options(
        1_000, START_MS, 600_000, mishaps=MISHAPS, faults=0.2
    ),
    "12,500 vehicles, 60 s": Options(12_500, START_MS, 60_000),
}


def run(options: Options) -> tuple[int, float]:
    """Messages made and seconds taken."""
    began, count = perf_counter(), 0
    simulation = Simulation(options)
    while (batch := simulation.block(BLOCK)) is not None:
        count += len(batch)
    return count, perf_counter() - began


def main() -> None:
    """Prints a line per case."""
    for name, options in CASES.items():
        results = [run(options) for _ in range(REPEATS)]
        rate = median(count / seconds for count, seconds in results)
        print(f"{name:45} {results[0][0]:>9,} messages {rate:>10,.0f} messages/s")


if __name__ == "__main__":
    main()
