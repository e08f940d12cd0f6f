"""Model frames of chosen vehicle-days, healthy and with faults in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.features.blocks import CONTEXT
from fleet_assets.features.catalogue import TRAILS
from fleet_assets.features.kernel import STEP, feature_windows
from fleet_assets.injection.catalogue import Catalogue
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.lake.training_data import Chunk, VehicleDay, within
from fleet_assets.models.frame import INPUTS, model_frame
from fleet_assets.models.steps import steps_of
from fleet_assets.models.training import Copy

TRAILED: Final = timedelta(seconds=180)
"""What evidence looks back over, in windows."""


def healthy_frame(chunk: Chunk, incidents: pl.DataFrame) -> pl.DataFrame:
    """A model frame of the days of a chunk, in 32 bits, without what is known to have been wrong.

    Args:
        chunk: telemetry with context.
        incidents: `vehicle_id`, `started_at`, `ended_at`; windows that look at any moment of one
            are left out.
    """
    frame = frame_of(chunk.telemetry, chunk.intervals)
    return without(frame.filter(within(frame, chunk.days, "window_end")), incidents)


def faulty_frame(
    chunk: Chunk,
    days: Sequence[VehicleDay],
    seed: int,
    chosen: Chosen,
    incidents: pl.DataFrame,
    *,
    around_faults: bool,
    catalogue: Catalogue | None = None,
) -> Copy:
    """The same days with faults, which are put within the days and not into their context.

    Args:
        chunk: telemetry with context.
        days: those of its days that get faults.
        seed: of the faults.
        chosen: which faults.
        incidents: as of `healthy_frame`.
        around_faults: only windows of faults, and before them those that evidence looks back on:
            training looks at nothing else of a copy.
        catalogue: of faults; None: the platform's.
    """
    telemetry = chunk.of(days)
    core = telemetry.filter(within(telemetry, days, "event_time"))
    changed, truth = inject(telemetry, plan(core, seed, chosen, catalogue))
    spans = truth.select(
        "vehicle_id", begin=pl.col("started_at") - TRAILED - STEP, end=pl.col("ended_at") + STEP
    )
    if around_faults:
        needed = spans.with_columns(pl.col("begin") - CONTEXT)
        changed = changed.filter(_covered(changed, needed, "event_time"))
    frame = frame_of(changed, chunk.intervals)
    kept = frame.filter(within(frame, days, "window_end"))
    if around_faults:
        kept = kept.filter(_covered(kept, spans, "window_end"))
    return Copy(without(kept, incidents), truth)


def frame_of(telemetry: pl.DataFrame, intervals: Mapping[str, float]) -> pl.DataFrame:
    """What models look at, in 32 bits."""
    windows = feature_windows(telemetry, usual_intervals=intervals)
    return model_frame(windows, steps_of(telemetry)).cast(dict.fromkeys(INPUTS, pl.Float32()))


def without(frame: pl.DataFrame, incidents: pl.DataFrame) -> pl.DataFrame:
    """Windows that look at no moment of an incident."""
    spans = incidents.select("vehicle_id", begin="started_at", end=pl.col("ended_at") + TRAILS)
    return frame.filter(~_covered(frame, spans, "window_end"))


def _covered(rows: pl.DataFrame, spans: pl.DataFrame, column: str) -> pl.Series:
    """Which rows lie within any of the spans of their vehicle.

    Args:
        rows: `vehicle_id` and a time.
        spans: `vehicle_id`, `begin`, `end`, both included; they may overlap.
        column: the time.
    """
    ordered = spans.sort("vehicle_id", "begin").with_columns(
        end=pl.col("end").cum_max().over("vehicle_id")
    )
    keyed = rows.select("vehicle_id", moment=column).with_row_index("row")
    met = keyed.sort("moment").join_asof(
        ordered.sort("begin"), left_on="moment", right_on="begin", by="vehicle_id",
        strategy="backward", check_sortedness=False,
    )  # fmt: skip
    inside = (pl.col("moment") <= pl.col("end")).fill_null(value=False)
    return met.sort("row").select(inside.alias("inside"))["inside"]
