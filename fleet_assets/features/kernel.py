"""From telemetry to feature windows.

A window depends on the vehicle's messages of the CONTEXT before `window_end` alone: the longest
horizon, and as much before it as an interval or a base of differences may reach back. So whoever
cuts a history gives that much context, and gets the rows that one pass gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.features.blocks import blocks_of
from fleet_assets.features.catalogue import FeatureCatalogue, read_features
from fleet_assets.features.cells import Cells
from fleet_assets.features.lines import Ints
from fleet_assets.features.measures import MEASURES
from fleet_assets.features.measures.view import View
from fleet_assets.features.windows import windows_over
from fleet_assets.rules.samples import samples_of

STEP: Final = timedelta(seconds=10)
"""Usual distance of windows."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
TIME: Final = pl.Datetime("us", "UTC")
RAW_SIGNALS: Final = (
    "engine_rpm", "speed", "throttle_position", "coolant_temp", "fuel_level", "gps_lat", "gps_lon",
    "accel_x", "accel_y", "accel_z", "engine_load", "battery_voltage",
)  # fmt: skip
"""Signals that features are made of."""


def windows_schema(catalogue: FeatureCatalogue | None = None) -> pl.Schema:
    """Columns of feature windows: `vehicle_id`, `window_end` and one number for each feature."""
    names = (catalogue or read_features()).names
    return pl.Schema(
        {"vehicle_id": pl.String(), "window_end": TIME, **dict.fromkeys(names, pl.Float64())}
    )


def feature_windows(
    telemetry: pl.DataFrame,
    *,
    step: timedelta = STEP,
    first_step: datetime | None = None,
    usual_intervals: Mapping[str, float] | None = None,
    catalogue: FeatureCatalogue | None = None,
) -> pl.DataFrame:
    """One row for each vehicle and step in which it has sent; z-scores are null.

    Args:
        telemetry: rows with `vehicle_id`, `event_time`, `conflict`, `null_signals` and the columns
            of RAW_SIGNALS, one for each vehicle and time, in any order.
        step: distance of windows, whole seconds, counted from 1970.
        first_step: windows of steps that begin before it are left out; their messages are context.
        usual_intervals: seconds between messages by vehicle, as known from days before; who is
            missing is taken to be slow, so that its gaps are longer.
        catalogue: another one than the platform's.

    Returns:
        Rows of `windows_schema` in order of vehicle and time; `window_end` is the first moment
        that does not count any more. What cannot be computed is null.

    Raises:
        FleetError: the step is none.
    """
    step_s = step // timedelta(seconds=1)
    if step_s < 1 or timedelta(seconds=step_s) != step:
        raise FleetError(f"a step of {step} is none: give whole seconds, at least one.")
    book = catalogue or read_features()
    schema = windows_schema(book)
    if telemetry.is_empty():
        return schema.to_frame()
    rows = in_order(telemetry)
    least_us = None if first_step is None else (first_step - _EPOCH) // _US
    parts = []
    for block in blocks_of(rows, step // _US):
        samples = samples_of(rows[block.start : block.stop], RAW_SIGNALS)
        cells = Cells(samples, _gaps_ms(samples.vehicle_ids, usual_intervals or {}, book))
        begins = [us for us in (least_us, block.from_us) if us is not None]
        parts.append(_of_cells(cells, step_s, max(begins, default=None), book))
    return pl.concat(parts).select(schema.names())


def in_order(telemetry: pl.DataFrame) -> pl.DataFrame:
    """Rows in order of vehicle and time."""
    vehicle, when = telemetry["vehicle_id"], telemetry["event_time"]
    rising = (vehicle == vehicle.shift(1)) & (when > when.shift(1)) | (vehicle > vehicle.shift(1))
    if rising.slice(1).all():
        return telemetry
    return telemetry.sort("vehicle_id", "event_time")


def _gaps_ms(ids: pl.Series, usual: Mapping[str, float], book: FeatureCatalogue) -> Ints:
    """Longest interval that is no gap, by code of the vehicle."""
    unknown = book.number("unknown_interval_s")
    intervals = np.array([usual.get(name, unknown) for name in ids], np.float64)
    gaps_s = np.clip(
        intervals * book.number("gap_intervals"),
        book.number("least_gap_s"),
        book.number("most_gap_s"),
    )
    return np.rint(gaps_s * 1000).astype(np.int64)


def _of_cells(
    cells: Cells, step_s: int, from_us: int | None, book: FeatureCatalogue
) -> pl.DataFrame:
    """Windows of steps that begin at a moment or later."""
    horizons = sorted({feature.horizon_s for feature in book.features})
    windows = windows_over(cells, step_s, [*horizons])
    if from_us is not None:
        windows = windows.where(windows.end_ms * 1000 >= from_us + step_s * 1_000_000)
    view = View(cells, windows, book)
    columns: dict[str, pl.Series] = {
        "vehicle_id": cells.vehicle_ids.gather(windows.vehicle),
        "window_end": pl.Series(windows.end_ms * 1000).cast(TIME),
    }
    for feature in book.features:
        values = view.nothing
        if feature.measure is not None and cells.line(*feature.signals) is not None:
            values = MEASURES[feature.measure](view, feature)
        columns[feature.name] = pl.Series(values, nan_to_null=True)
    return pl.DataFrame(columns)
