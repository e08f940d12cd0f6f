"""What models look at: feature windows and steps side by side, with the regime."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.errors import FleetError
from fleet_assets.features.catalogue import read_features
from fleet_assets.features.regimes import regime
from fleet_assets.models.steps import COLUMNS

Matrix = NDArray[np.float32]
KEY: Final = ("vehicle_id", "window_end")
FEATURES: Final = tuple(feature.name for feature in read_features().features if feature.of is None)
"""Without z-scores: what they mean changes while a baseline grows, and the forests have each
vehicle's own ranges."""
INPUTS: Final = (*FEATURES, *COLUMNS)
"""Numbers of a model frame, in the order that models take them."""
CONSTANT_REGIME: Final = "unknown"


def model_frame(windows: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Joins the two by vehicle and window.

    Args:
        windows: rows of `feature_windows`, with z-scores or without.
        steps: rows of `steps_of` for the same telemetry and step.

    Returns:
        `vehicle_id`, `window_end`, `regime` (`unknown` where speed is not known) and INPUTS, in the
        order of the windows.

    Raises:
        FleetError: a window has no step: they were made from other telemetry.
    """
    if windows.select(KEY).equals(steps.select(KEY)):
        joined = windows.hstack(steps.drop(KEY))
    else:
        joined = windows.join(steps, on=KEY, how="inner", maintain_order="left")
    if joined.height < windows.height:
        raise FleetError(
            f"{windows.height - joined.height} windows have no step: make both from the same"
            " telemetry, with the same length of steps."
        )
    named = regime().fill_null(CONSTANT_REGIME)
    return joined.with_columns(named).select(*KEY, "regime", *INPUTS)


def matrix(frame: pl.DataFrame, columns: tuple[str, ...] | list[str]) -> Matrix:
    """Columns as numbers of 32 bits, row by row, NaN where null."""
    found = np.empty((frame.height, len(columns)), np.float32)
    for number, name in enumerate(columns):
        values = frame[name]
        # of floats nulls become NaN by themselves: a plan for each column took most of the time
        found[:, number] = (
            values.to_numpy() if values.dtype.is_float() else values.fill_null(np.nan).to_numpy()
        )
    return found
