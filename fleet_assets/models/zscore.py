"""The detector that one writes first: how many spreads a feature lies from the vehicle's median.

It stands beside the models in evaluations, to show what they add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.frame import FEATURES, matrix
from fleet_assets.robust import MAD_TO_SIGMA

Values = NDArray[np.float64]
MOST_Z = 100.0


@dataclass(frozen=True)
class ZScores:
    """Medians and spreads of FEATURES: by vehicle, and of the fleet (None)."""

    usual: Mapping[str | None, tuple[Values, Values]]

    def scores(self, frame: pl.DataFrame) -> Values:
        """The largest z-score of any feature of each window."""
        found = np.zeros(frame.height)
        for (name,), part in frame.with_row_index("row").group_by("vehicle_id"):
            median, spread = self.usual.get(str(name), self.usual[None])
            away = np.abs(matrix(part, FEATURES) - median) / spread
            found[part["row"].to_numpy()] = np.nanmax(np.nan_to_num(away), axis=1, initial=0)
        return np.minimum(found, MOST_Z)


def fit_z_scores(frame: pl.DataFrame) -> ZScores:
    """Learns what is usual from healthy windows.

    A feature that is nearly always the same has no spread of its own: it gets its standard
    deviation, and none at all is never unusual.
    """
    parts = {str(name): part for (name,), part in frame.group_by("vehicle_id")}
    return ZScores({None: _of(frame)} | {name: _of(part) for name, part in parts.items()})


def _of(frame: pl.DataFrame) -> tuple[Values, Values]:
    told = []
    for name in FEATURES:
        values = frame[name].drop_nulls()
        median = values.median() if len(values) else np.nan
        mad = (values - median).abs().median() if len(values) else np.nan
        deviation = values.std() if len(values) > 1 else np.nan
        spread = MAD_TO_SIGMA * mad if mad else deviation  # type: ignore[operator]
        told.append((median, spread or np.inf))
    median_of, spread_of = np.array(told, np.float64).T
    return median_of, spread_of
