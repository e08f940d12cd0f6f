"""From telemetry to feature windows.

A window depends on the vehicle's messages of the CONTEXT before `window_end` alone: the longest
horizon, and as much before it as an interval or a base of differences may reach back. So whoever
cuts a history gives that much context, and gets the rows that one pass gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.features.catalogue import LONGEST_S, REACH_S, FeatureCatalogue, read_features
from fleet_assets.features.cells import Cells
from fleet_assets.features.lines import Ints
from fleet_assets.features.measures import MEASURES
from fleet_assets.features.measures.view import View
from fleet_assets.features.windows import Windows, windows_over
from fleet_assets.rules.samples import Samples, samples_of

STEP: Final = timedelta(seconds=10)
"""Usual distance of windows."""
CONTEXT: Final = timedelta(seconds=LONGEST_S + REACH_S)
"""How much of the time before the first window's step is looked at."""
BLOCK_ROWS: Final = 50_000
"""Whole vehicles are taken together up to about so many messages."""
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
    samples = samples_of(in_order(telemetry), RAW_SIGNALS)
    gaps = _gaps_ms(samples.vehicle_ids, usual_intervals or {}, book)
    least_ms = None if first_step is None else _ms(first_step)
    parts = [_of_block(samples.at(rows), gaps, step_s, least_ms, book) for rows in _blocks(samples)]
    return pl.concat(parts).select(schema.names())


def in_order(telemetry: pl.DataFrame) -> pl.DataFrame:
    """Rows in order of vehicle and time."""
    vehicle, when = telemetry["vehicle_id"], telemetry["event_time"]
    rising = (vehicle == vehicle.shift(1)) & (when > when.shift(1)) | (vehicle > vehicle.shift(1))
    if rising.slice(1).all():
        return telemetry
    return telemetry.sort("vehicle_id", "event_time")


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


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


def _blocks(samples: Samples) -> Iterator[slice]:
    """Whole vehicles, so many together that what is computed of them stays in the cache."""
    starts = np.flatnonzero(samples.is_first)
    cuts = starts[np.diff(starts // BLOCK_ROWS, prepend=-1) > 0]
    for start, end in pairwise([*cuts.tolist(), len(samples)]):
        yield slice(start, end)


def _of_block(
    samples: Samples, gaps_ms: Ints, step_s: int, least_ms: int | None, book: FeatureCatalogue
) -> pl.DataFrame:
    cells = Cells(samples, gaps_ms)
    horizons = sorted({feature.horizon_s for feature in book.features})
    windows = windows_over(cells, step_s, [*horizons])
    if least_ms is not None:
        windows = _from(windows, least_ms + step_s * 1000)
    view = View(cells, windows, book)
    columns: dict[str, pl.Series] = {
        "vehicle_id": samples.vehicle_ids.gather(windows.vehicle),
        "window_end": pl.Series(windows.end_ms * 1000).cast(TIME),
    }
    for feature in book.features:
        values = view.nothing
        if feature.measure is not None and cells.line(*feature.signals) is not None:
            values = MEASURES[feature.measure](view, feature)
        columns[feature.name] = pl.Series(values, nan_to_null=True)
    return pl.DataFrame(columns)


def _from(windows: Windows, least_end_ms: int) -> Windows:
    """Windows that end at a moment or later."""
    wanted = np.flatnonzero(windows.end_ms >= least_end_ms)
    return Windows(
        windows.vehicle[wanted],
        windows.end_ms[wanted],
        {horizon: first[wanted] for horizon, first in windows.first.items()},
        windows.stop[wanted],
    )
