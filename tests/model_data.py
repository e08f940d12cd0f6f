"""Healthy drives as models see them, for tests of models."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from fleet_assets.features.kernel import RAW_SIGNALS, feature_windows
from fleet_assets.models.frame import model_frame
from fleet_assets.models.steps import steps_of
from tests.injection_data import BEGIN, healthy

__all__ = ["BEGIN", "frame_of", "healthy_days", "telemetry_days"]


def telemetry_days(vehicle_id: str, days: int, **more: Any) -> pl.DataFrame:
    """Drives of 59 minutes on so many days, with every raw signal."""
    seed = more.pop("seed", 0)
    rows = pl.concat(
        healthy(vehicle_id, begin=BEGIN + timedelta(days=day), seed=seed + day, **more)
        for day in range(days)
    )
    lacking = [name for name in RAW_SIGNALS if name not in rows.columns]
    return rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in lacking)


def frame_of(telemetry: pl.DataFrame) -> pl.DataFrame:
    return model_frame(feature_windows(telemetry), steps_of(telemetry))


def healthy_days(vehicle_id: str, days: int, **more: Any) -> pl.DataFrame:
    return frame_of(telemetry_days(vehicle_id, days, **more))
