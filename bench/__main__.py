"""`make bench`: all benchmarks, one after the other."""

from __future__ import annotations

from bench import (
    closed_hour,
    features,
    growth,
    landing,
    models,
    pipeline,
    queries,
    rules,
    scoring,
    simulator,
    size,
    vehicle_hours,
)

if __name__ == "__main__":
    simulator.main()
    landing.main()
    pipeline.main()
    size.main()
    vehicle_hours.main()
    queries.main()
    rules.main()
    features.main()
    scoring.main()
    models.main(())
    growth.main()
    closed_hour.main()
