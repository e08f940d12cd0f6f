"""Telemetry rows for tests of features: signals by second, from a full minute on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from fleet_assets.features.kernel import RAW_SIGNALS, feature_windows

START: Final = datetime(2026, 2, 1, 5, tzinfo=UTC)
TIME: Final = pl.Datetime("us", "UTC")
Values = Sequence[float | str | None] | float | None
NULL: Final = "null"
CONFLICT: Final = "conflict"


def rows(at_s: Sequence[float], vehicle_id: str = "v1", **signals: Values) -> pl.DataFrame:
    """One row for each time; a signal is one value for all, or one for each.

    NULL is an explicit null, None an absent key, CONFLICT makes the message one in conflict.
    """
    columns = {
        name: list(given) if isinstance(given, (list, tuple)) else [given] * len(at_s)
        for name, given in signals.items()
    }
    micros = [round(t * 1e6) for t in at_s]
    frame = pl.DataFrame(
        {
            "vehicle_id": [vehicle_id] * len(at_s),
            "event_time": [START + timedelta(microseconds=t) for t in micros],
            "conflict": [any(v[n] == CONFLICT for v in columns.values()) for n in range(len(at_s))],
            "null_signals": [
                [name for name, values in columns.items() if values[n] == NULL]
                for n in range(len(at_s))
            ],
        },
        schema={
            "vehicle_id": pl.String, "event_time": TIME, "conflict": pl.Boolean,
            "null_signals": pl.List(pl.String),
        },
    )  # fmt: skip
    return frame.with_columns(
        pl.Series(
            name,
            [None if isinstance(v, str) else v for v in columns.get(name, [None] * len(at_s))],
            dtype=pl.Float64,
        )
        for name in RAW_SIGNALS
    )


def value(feature: str, frame: pl.DataFrame, end_s: float, **more: Any) -> float | None:
    """A feature of the window that ends so many seconds after START."""
    end = START + timedelta(seconds=end_s)
    found = feature_windows(frame, **more).filter(pl.col("window_end") == end)
    assert found.height == 1, f"no window ends after {end_s} s"
    given = found[feature][0]
    assert given is None or isinstance(given, float)
    return given
