"""`make bench`: all benchmarks, one after the other."""

from __future__ import annotations

from bench import pipeline, simulator, size

if __name__ == "__main__":
    simulator.main()
    pipeline.main()
    size.main()
