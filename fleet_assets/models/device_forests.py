"""A forest for each device, by what has to do with it alone: that carries over to other vehicles.

One forest that sees everything learns from what else its few vehicles do. These learn less of the
vehicles that they are trained on (`kinds.Classifier` is better there), and no habits of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.devices import levels_of, null_shares_of
from fleet_assets.models.evidence import evidence_of
from fleet_assets.models.forests import predict
from fleet_assets.models.frame import matrix
from fleet_assets.models.kinds import (
    AFTERMATH,
    HEALTHY,
    aspects_of,
    classes_of,
    fitted,
    some,
    weights_of,
)

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

Values = NDArray[np.float64]
OTHER: Final = "other"
"""Another device lies."""
TREES: Final = 16
MOST_HEALTHY: Final = 15_000
MOST_OF_DEVICE: Final = 10_000
MOST_OF_OTHERS: Final = 8_000
"""Windows that a forest is trained on."""


@dataclass(frozen=True)
class DeviceForest:
    """Says how one device lies, by what has to do with it alone.

    Attributes:
        columns: evidence that it looks at, in order.
        forest: scikit-learn's; `classes_` holds HEALTHY, OTHER and device/manner.
    """

    columns: tuple[str, ...]
    forest: RandomForestClassifier


@dataclass(frozen=True)
class DeviceForests:
    """Names the device that a fault is about, and the manner: MISSING, FROZEN or OFF.

    Attributes:
        forests: by device.
    """

    forests: Mapping[str, DeviceForest]

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart, as device/manner, in the order of its shares."""
        return tuple(
            str(name)
            for one in self.forests.values()
            for name in one.forest.classes_
            if name not in (HEALTHY, OTHER)
        )

    def shares(self, evidence: pl.DataFrame) -> Values:
        """For each window and class the share of votes of the device's forest.

        None where the device has told nothing, not even null: most vehicles lack some.
        """
        parts = [np.empty((evidence.height, 0))]
        all_heard = evidence.select(**{device: _heard(device) for device in self.forests})
        for device, one in self.forests.items():
            of_device = ~np.isin(one.forest.classes_, [HEALTHY, OTHER])
            found = np.zeros((evidence.height, int(of_device.sum())))
            heard = all_heard[device].to_numpy()
            if heard.any():
                rows = matrix(evidence.filter(pl.Series(heard)), one.columns)
                found[heard] = predict(one.forest, rows)[:, of_device]
            parts.append(found)
        return np.hstack(parts)

    def importances(self) -> dict[str, float]:
        """How much each column matters, over all devices alike; together 1."""
        found: dict[str, float] = {}
        for one in self.forests.values():
            for name, share in zip(one.columns, one.forest.feature_importances_, strict=True):
                found[name] = found.get(name, 0.0) + float(share) / len(self.forests)
        return found

    def aspects(self) -> Mapping[str, tuple[int, ...]]:
        """Classes that are judged together, see `aspects_of`."""
        return aspects_of(self.classes)


@cache
def _heard(device: str) -> pl.Expr:
    told = [pl.col(f"{name}_away").is_not_null() for name in levels_of(device)]
    failed = [(pl.col(f"{n}_away") > 0).fill_null(value=False) for n in null_shares_of(device)]
    return pl.any_horizontal(*told, *failed)


def fit_device_forests(
    evidence: pl.DataFrame, labels: pl.DataFrame, seed: int, weights: Values | None = None
) -> DeviceForests:
    """Fits a forest for each device that has faults.

    It looks at what has to do with the device alone, so that it learns nothing from what else a
    vehicle does. Windows of one fault resemble each other: a fault of n windows weighs as
    √(n · USUAL_WINDOWS) healthy ones, so that drifts of an hour do not drown what lasts for a
    minute. Windows of a vehicle with few of them weigh more, by the root as well, at most
    MOST_WEIGHT times.

    Args:
        evidence: columns of EVIDENCE, healthy and faulty windows.
        labels: `fault` and `fault_id` of each, as `labels_of` gives them; those of AFTERMATH are
            left out.
        seed: the same one gives the same forests.
        weights: of the windows; None: as said above.
    """
    classes = classes_of(labels["fault"])
    weights = weights_of(evidence, labels) if weights is None else weights
    devices = classes.str.split("/").list.first()
    healthy = some(classes == HEALTHY, seed, MOST_HEALTHY)
    found = {}
    for device in devices.unique().sort():
        if device in (HEALTHY, AFTERMATH):
            continue
        mine = some(devices == device, seed, MOST_OF_DEVICE)
        others = some(~devices.is_in([HEALTHY, AFTERMATH, device]), seed, MOST_OF_OTHERS)
        kept = np.sort(np.concatenate([healthy, mine, others]))
        chosen = classes.gather(kept)
        named = pl.DataFrame({"name": chosen, "device": devices.gather(kept)}).select(
            pl.when(pl.col("device").is_in([HEALTHY, device])).then("name").otherwise(pl.lit(OTHER))
        )
        found[device] = DeviceForest(
            *fitted(
                evidence[kept], evidence_of(device), named.to_series(), weights[kept], seed, TREES
            )
        )
    return DeviceForests(found)
