"""A forest that names what is wrong in a window, by its evidence; trained on injected faults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from fleet_assets.features.kernel import STEP
from fleet_assets.models.evidence import EVIDENCE
from fleet_assets.models.forests import predict
from fleet_assets.models.frame import matrix

Values = NDArray[np.float64]
HEALTHY: Final = "healthy"
AFTERMATH: Final = "aftermath"
"""A fault has just ended and still shows in trailing features: neither healthy nor faulty."""
MOST_WINDOWS: Final = 60_000
USUAL_WINDOWS: Final = 30
"""Windows of a fault that weigh as much as so many healthy ones."""
_LONGEST: Final = timedelta(seconds=300)
_LEAST_OVERLAP: Final = timedelta(seconds=4)
_TREES: Final = 60
_LEAST_LEAF: Final = 4


@dataclass(frozen=True)
class Classifier:
    """Names kinds.

    Attributes:
        columns: evidence that it looks at, in order.
        forest: scikit-learn's; `classes_` holds HEALTHY and kinds.
    """

    columns: tuple[str, ...]
    forest: RandomForestClassifier

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it tells apart, in the order of its shares."""
        return tuple(str(name) for name in self.forest.classes_)

    def shares(self, evidence: pl.DataFrame) -> Values:
        """For each window the share of votes for each of the kinds."""
        return predict(self.forest, matrix(evidence, self.columns))

    def scores(self, evidence: pl.DataFrame) -> tuple[Values, list[str]]:
        """For each window the share of votes for any fault, and the likeliest fault."""
        shares = self.shares(evidence)
        kinds = self.kinds
        healthy = shares[:, kinds.index(HEALTHY)] if HEALTHY in kinds else np.zeros(len(shares))
        faults = [n for n, name in enumerate(kinds) if name != HEALTHY]
        best = np.array([kinds[n] for n in faults])[np.argmax(shares[:, faults], axis=1)]
        return 1 - healthy, best.tolist()


def labels_of(
    windows: pl.DataFrame, truth: pl.DataFrame, *, step: timedelta = STEP
) -> pl.DataFrame:
    """What is true of windows: their kind of fault, HEALTHY or AFTERMATH.

    A window is faulty if a fault covers at least 4 s of its last step, or half of what the step has
    of the fault's length where the fault is shorter.

    Args:
        windows: `vehicle_id`, `window_end`.
        truth: rows of TRUTH_SCHEMA of the same telemetry.
        step: length of steps.

    Returns:
        `kind`, `fault_id`, `is_clear` for each window, in order; the latter two null where healthy.
    """
    keyed = windows.select("vehicle_id", "window_end").with_row_index("row")
    spans = truth.select("vehicle_id", "fault_id", "kind", "is_clear", "started_at", "ended_at")
    met = keyed.join(spans, on="vehicle_id").filter(
        pl.col("window_end") > pl.col("started_at"),
        pl.col("window_end") <= pl.col("ended_at") + step + _LONGEST,
    )
    begin = pl.max_horizontal(pl.col("window_end") - step, "started_at")
    overlap = pl.min_horizontal("window_end", "ended_at") - begin
    least = pl.min_horizontal(
        pl.lit(_LEAST_OVERLAP), (pl.col("ended_at") - pl.col("started_at")) / 2
    )
    during = met.with_columns(
        kind=pl.when(overlap >= least).then("kind").otherwise(pl.lit(AFTERMATH)),
        during=overlap >= least,
    ).sort("row", "during", descending=[False, True])
    first = during.unique("row", keep="first", maintain_order=True)
    return keyed.join(
        first.select("row", "kind", "fault_id", "is_clear"), on="row", how="left",
        maintain_order="left",
    ).select(pl.col("kind").fill_null(HEALTHY), "fault_id", "is_clear")  # fmt: skip


def fit_classifier(evidence: pl.DataFrame, labels: pl.DataFrame, seed: int) -> Classifier:
    """Fits a forest.

    Windows of one fault resemble each other: a fault of n windows weighs as much as √n healthy
    ones times √USUAL_WINDOWS, so that drifts of an hour do not drown what lasts for a minute.

    Args:
        evidence: columns of EVIDENCE, healthy and faulty windows.
        labels: `kind` and `fault_id` of each, as `labels_of` gives them; those of AFTERMATH are
            left out.
        seed: the same one gives the same forest.
    """
    kinds = labels["kind"]
    weights = _weights(labels)
    kept = np.flatnonzero((kinds != AFTERMATH).to_numpy())
    if len(kept) > MOST_WINDOWS:
        kept = np.sort(np.random.default_rng(seed).choice(kept, MOST_WINDOWS, replace=False))
    columns = tuple(name for name in EVIDENCE if evidence[name].count() > 0)
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=_LEAST_LEAF, max_features="sqrt", n_jobs=1, random_state=seed
    )
    forest.fit(
        matrix(evidence[kept], columns), kinds.gather(kept).to_numpy(), sample_weight=weights[kept]
    )
    return Classifier(columns, forest)


def _weights(labels: pl.DataFrame) -> Values:
    """One for each healthy window."""
    count = pl.len().over("fault_id", "kind")
    weight = (USUAL_WINDOWS / count).sqrt()
    healthy = pl.col("kind") == HEALTHY
    return labels.select(pl.when(healthy).then(1.0).otherwise(weight)).to_series().to_numpy()
