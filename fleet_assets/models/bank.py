"""Faults of the fleet as evidence, to be held against healthy days of a vehicle that has none.

Evidence means the same on every vehicle, so that what a fault looks like can be learnt from others,
while what is healthy is learnt from the vehicle itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.evidence import EVIDENCE
from fleet_assets.models.frame import matrix
from fleet_assets.models.kinds import AFTERMATH, HEALTHY, classes_of

MOST_OF_CLASS: Final = 400
"""Windows of each device and manner."""


@dataclass(frozen=True)
class Bank:
    """Windows with injected faults.

    Attributes:
        values: a row each, in order of EVIDENCE; NaN where null.
        faults: what is true of them, as kind/subject.
        numbers: which fault of the bank each is part of.
    """

    values: NDArray[np.float16]
    faults: tuple[str, ...]
    numbers: NDArray[np.int64]

    @property
    def evidence(self) -> pl.DataFrame:
        """Columns of EVIDENCE."""
        return pl.DataFrame(
            {name: pl.Series(self.values[:, n].astype(np.float32), nan_to_null=True)
             for n, name in enumerate(EVIDENCE)}
        )  # fmt: skip

    @property
    def labels(self) -> pl.DataFrame:
        """`fault` and `fault_id`, as classifiers are fitted on."""
        ids = pl.Series(self.numbers).cast(pl.String)
        return pl.DataFrame({"fault": pl.Series(self.faults, dtype=pl.String), "fault_id": ids})


def bank_of(evidence: pl.DataFrame, labels: pl.DataFrame, seed: int) -> Bank:
    """Some windows of each device and manner.

    Args:
        evidence: `vehicle_id` and columns of EVIDENCE.
        labels: `fault` and `fault_id` of each, as `labels_of` gives them.
        seed: makes the choice.
    """
    random = np.random.default_rng(seed)
    classes = classes_of(labels["fault"])
    parts = []
    for name in classes.unique().sort():
        rows = np.flatnonzero((classes == name).to_numpy())
        if name not in (HEALTHY, AFTERMATH):
            parts.append(random.permutation(rows)[:MOST_OF_CLASS])
    chosen = np.sort(np.concatenate([np.empty(0, np.int64), *parts]))
    told = pl.DataFrame([evidence["vehicle_id"][chosen], labels["fault_id"][chosen]])
    numbers = told.select(pl.struct(pl.all()).rank("dense")).to_series().to_numpy()
    values = matrix(evidence[chosen], EVIDENCE).astype(np.float16)
    return Bank(values, tuple(labels["fault"][chosen]), numbers.astype(np.int64))
