"""Isolation Forests by vehicle type: what is unusual in the fleet, whatever it is.

A forest looks at the features that at least one in twenty windows of the type has. What a window
lacks is taken to be usual (the type's median): a vehicle without a sensor is no anomaly, and that a
sensor has failed is told by features of missingness, which are never null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.frame import FEATURES, Matrix, matrix

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

Values = NDArray[np.float64]
FLEET: Final = "fleet"
"""Stands for types that are not known, or of which there is too little; also the group of vehicles
without a type in the register."""
LEAST_WINDOWS: Final = 500
MOST_WINDOWS: Final = 50_000
_LEAST_KNOWN: Final = 0.05
_TREES: Final = 100
_OF_A_TREE: Final = 256
_BLOCK_ROWS: Final = 20_000


@dataclass(frozen=True)
class Isolation:
    """A forest of one type.

    Attributes:
        columns: features that it looks at, in order.
        usual: what stands for nulls, by column.
        forest: scikit-learn's.
    """

    columns: tuple[str, ...]
    usual: Matrix
    forest: IsolationForest

    def scores(self, frame: pl.DataFrame) -> Values:
        """How unusual windows are, from 0 to 1; about 0.5 is where unusual begins."""
        found = np.empty(frame.height)
        for first in range(0, frame.height, _BLOCK_ROWS):
            rows = _filled(matrix(frame[first : first + _BLOCK_ROWS], self.columns), self.usual)
            found[first : first + len(rows)] = -self.forest.score_samples(rows)
        return found


def fit_isolation(frame: pl.DataFrame, seed: int) -> Isolation:
    """Fits one forest, all vehicles of the frame alike.

    Args:
        frame: a model frame, healthy for the most part.
        seed: the same one gives the same forest.
    """
    from sklearn.ensemble import IsolationForest

    if frame.height > MOST_WINDOWS:
        order = np.random.default_rng(seed).permutation(frame.height)[:MOST_WINDOWS]
        frame = frame[np.sort(order)]
    columns = tuple(
        name for name in FEATURES if frame[name].count() >= max(_LEAST_KNOWN * frame.height, 1)
    )
    rows = matrix(frame, columns)
    usual = np.nanmedian(rows, axis=0)
    forest = IsolationForest(
        n_estimators=_TREES, max_samples=_OF_A_TREE, n_jobs=1, random_state=seed
    )
    forest.fit(_filled(rows, usual))
    return Isolation(columns, usual, forest)


def fit_isolations(
    frame: pl.DataFrame, types: Mapping[str, str], seed: int
) -> dict[str, Isolation]:
    """One forest for each vehicle type with enough windows, and one of the fleet.

    Args:
        frame: a model frame of the fleet.
        types: vehicle type by vehicle.
        seed: as of `fit_isolation`.
    """
    of_types = {
        name: fit_isolation(part, seed)
        for name, part in _by_type(frame, types, None)
        if name != FLEET and part.height >= LEAST_WINDOWS
    }
    return of_types | {FLEET: fit_isolation(frame, seed)}


def isolation_scores(
    made: Mapping[str, Isolation], frame: pl.DataFrame, types: Mapping[str, str]
) -> Values:
    """Scores of windows by the forest of each one's type, in their order: one call a type."""
    found = np.empty(frame.height)
    for name, part in _by_type(frame.with_row_index("row"), types, made):
        found[part["row"].to_numpy()] = made[name].scores(part)
    return found


def _by_type(
    frame: pl.DataFrame, types: Mapping[str, str], made: Mapping[str, Isolation] | None
) -> Iterator[tuple[str, pl.DataFrame]]:
    known = {who: kind for who, kind in types.items() if made is None or kind in made}
    kinds = frame["vehicle_id"].replace_strict(known, default=FLEET, return_dtype=pl.String)
    for (name,), part in frame.with_columns(kind=kinds).group_by("kind", maintain_order=True):
        yield str(name), part


def _filled(rows: Matrix, usual: Matrix) -> Matrix:
    return np.where(np.isnan(rows), usual, rows)
