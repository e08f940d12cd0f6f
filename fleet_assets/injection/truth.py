"""What is known of faults: rows of a plan, and the truth that is left when it was carried out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from fleet_assets.errors import FleetError

TIME: Final = pl.Datetime("us", "UTC")
TRUTH_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "fault_id": pl.String(),
        "kind": pl.String(),
        "family": pl.String(),
        "signal": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "magnitude": pl.Float64(),
        "unit": pl.String(),
        "is_clear": pl.Boolean(),
        "seed": pl.Int64(),
    }
)
"""One row a fault. `fault_id` is a hash of vehicle, kind, signal, start and seed; `signal` is a
signal, `gps`, `accelerometer` or a pair a+b; `started_at` and `ended_at` are the first and the last
message that may be changed."""

PLAN_SCHEMA: Final = pl.Schema(
    dict(TRUTH_SCHEMA)
    | {"amount": pl.Float64(), "is_up": pl.Boolean(), "steps": pl.List(pl.Float64())}
)
"""The same, and what injecting needs: `amount` is the magnitude in the signal's unit, `is_up` says
whether readings get too large, `steps` are those in which each signal of the subject moves."""


def write_truth(path: Path, truth: pl.DataFrame) -> None:
    """Writes (or replaces) truth as CSV, times in ISO 8601 with microseconds and Z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    truth.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")


def read_truth(path: Path) -> pl.DataFrame:
    """Rows of TRUTH_SCHEMA from a file that `write_truth` has written.

    Raises:
        FleetError: the file cannot be read, or is something else.
    """
    text = {name: pl.String() if kind == TIME else kind for name, kind in TRUTH_SCHEMA.items()}
    times = pl.col("started_at", "ended_at").str.to_datetime("%+", time_unit="us", time_zone="UTC")
    try:
        found = pl.read_csv(path, schema_overrides=text)
        return found.select(TRUTH_SCHEMA.names()).with_columns(times)
    except OSError as error:
        raise FleetError(f"{path.name} cannot be read: {error.strerror}") from None
    except pl.exceptions.PolarsError:
        raise FleetError(
            f"{path.name} holds no injected faults; `fleet inject FILE --truth OUT.csv` writes"
            " them."
        ) from None
