"""Rows of `telemetry` in the small form that `vehicle_hours` is computed from: whole numbers.

Signals are decimals, times are counted in milliseconds; so sums are exact, and the same rows give
the same result whatever the order and the batches in which they came.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.contracts.tables import MISSING_SHARES

STEPS: Final = {
    name: 10 ** SIGNAL_BY_NAME[name].scale
    for name in (
        "engine_rpm", "speed", "coolant_temp", "fuel_level", "gps_lat", "gps_lon", "odometer",
    )
}  # fmt: skip
"""Signals whose values count, and the whole steps in one unit of each."""

SIGNAL_OF_SHARE: Final = {"gps": "gps_lat", "accelerometer": "accel_x"}
"""What `missing_…` looks at, where it is not the signal of that name."""

_ONLY_MISSING: Final = tuple(
    signal
    for name in MISSING_SHARES
    if (signal := SIGNAL_OF_SHARE.get(name, name)) not in STEPS
)  # fmt: skip

NEEDED: Final = [
    "vehicle_id", "event_time", "conflict", "invalid_values", *STEPS, *_ONLY_MISSING,
]  # fmt: skip
"""Columns of `telemetry` that the computation reads."""

MOMENTARY: Final = ["vehicle_id", "event_time", "speed", "engine_rpm"]
"""What has to be known of a sample to which another one is a neighbour; see `hour_states`."""


def samples(telemetry: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `telemetry`, at least the columns NEEDED, as samples.

    Returns:
        `vehicle_id`, `event_time`, `conflict`, `invalid` (a value was refused), `has_…` for what
        is only looked at for presence, and the signals of STEPS as whole steps. Values of rows in
        conflict are unknown.
    """
    known = ~pl.col("conflict")
    return telemetry.select(
        *MOMENTARY[:2],
        *(_in_steps(name) for name in STEPS),
        *((pl.col(name).is_not_null() & known).alias(f"has_{name}") for name in _ONLY_MISSING),
        "conflict",
        invalid=pl.col("invalid_values").is_not_null(),
    )


def momentary(telemetry: pl.LazyFrame) -> pl.LazyFrame:
    """The columns MOMENTARY alone, as `samples` gives them."""
    return telemetry.select(*MOMENTARY[:2], *(_in_steps(name) for name in MOMENTARY[2:]))


def is_missing(share: str) -> pl.Expr:
    """A sample lacks what `missing_<share>` counts."""
    name = SIGNAL_OF_SHARE.get(share, share)
    return ~pl.col(f"has_{name}") if name in _ONLY_MISSING else pl.col(name).is_null()


def _in_steps(name: str) -> pl.Expr:
    known = pl.when(~pl.col("conflict")).then(pl.col(name))
    return known.to_physical().cast(pl.Int32).alias(name)
