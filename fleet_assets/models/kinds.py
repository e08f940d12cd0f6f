"""Forests that say what is wrong in a window, by its evidence; trained on injected faults.

One says which device lies, for each window; another one names the kind, for those that are suspect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.features.catalogue import TRAILS
from fleet_assets.features.kernel import STEP
from fleet_assets.injection.signals import device_of, signals_of
from fleet_assets.models.evidence import EVIDENCE
from fleet_assets.models.forests import predict
from fleet_assets.models.frame import matrix

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

Values = NDArray[np.float64]
HEALTHY: Final = "healthy"
AFTERMATH: Final = "aftermath"
"""A fault has just ended and still shows in trailing features: neither healthy nor faulty."""
ANY: Final = "any"
MOTION: Final = "motion"
_MOTION: Final = ("engine_rpm", "speed")
MISSING: Final = "missing"
FROZEN: Final = "frozen"
OFF: Final = "off"
_MANNERS: Final = {"dropout": MISSING, "stuck": FROZEN, "delay": FROZEN}
MOST_WINDOWS: Final = 45_000
MOST_WEIGHT: Final = 4.0
USUAL_WINDOWS: Final = 30
"""Windows of a fault that weigh as much as so many healthy ones."""
_LEAST_OVERLAP: Final = timedelta(seconds=4)
_TREES: Final = 32
_LEAST_LEAF: Final = 4


class Voting(Protocol):
    """What says which device lies, and how, by shares of votes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart, in the order of its shares: device/manner, perhaps HEALTHY."""

    def shares(self, evidence: pl.DataFrame) -> Values:
        """For each window the share of votes for each of the classes."""

    def aspects(self) -> Mapping[str, tuple[int, ...]]:
        """Classes that are judged together, as numbers of shares."""

    def importances(self) -> dict[str, float]:
        """How much each column matters; together 1."""


def aspects_of(classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Classes that are judged together, as their numbers.

    Each class is an aspect, and each device. MOTION: engine or wheel speed, where it cannot be said
    which.
    """
    faulty = [(name, number) for number, name in enumerate(classes) if name != HEALTHY]
    found: dict[str, list[int]] = {name: [number] for name, number in faulty}
    for name, number in faulty:
        device = name.split("/")[0]
        found.setdefault(device, []).append(number)
        if device in _MOTION:
            found.setdefault(MOTION, []).append(number)
    return {name: tuple(numbers) for name, numbers in found.items()}


def shares_for(one: Voting, other: Voting, evidence: pl.DataFrame) -> Values:
    """Shares of one in the order of another one's classes; those that it lacks get none."""
    given, mine = one.shares(evidence), one.classes
    found = np.zeros((len(given), len(other.classes)))
    for number, name in enumerate(other.classes):
        if name in mine:
            found[:, number] = given[:, mine.index(name)]
    return found


@dataclass(frozen=True)
class Classifier:
    """Names the device that a fault is about, and the manner: MISSING, FROZEN or OFF.

    Attributes:
        columns: evidence that it looks at, in order.
        forest: scikit-learn's; `classes_` holds HEALTHY and device/manner.
    """

    columns: tuple[str, ...]
    forest: RandomForestClassifier

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart, in the order of its shares."""
        return tuple(str(name) for name in self.forest.classes_)

    def shares(self, evidence: pl.DataFrame) -> Values:
        """For each window the share of votes for each of the classes."""
        return predict(self.forest, matrix(evidence, self.columns))

    def aspects(self) -> Mapping[str, tuple[int, ...]]:
        """Classes that are judged together, see `aspects_of`; and ANY: any device."""
        every = [number for number, name in enumerate(self.classes) if name != HEALTHY]
        return {**aspects_of(self.classes), ANY: tuple(every)}

    def importances(self) -> dict[str, float]:
        """How much each column matters; together 1."""
        shares = self.forest.feature_importances_.tolist()
        return dict(zip(self.columns, shares, strict=True))


@dataclass(frozen=True)
class Namer:
    """Names the kind of a fault, once a window is suspect.

    Attributes:
        columns: evidence that it looks at, in order.
        forest: scikit-learn's; `classes_` holds kinds.
        known: faults that were trained on, as kind/device.
    """

    columns: tuple[str, ...]
    forest: RandomForestClassifier
    known: tuple[str, ...]

    def named(self, evidence: pl.DataFrame, devices: list[str]) -> list[str]:
        """The likeliest kind/device of each window, among those that a device is known to have."""
        kinds = [str(name) for name in self.forest.classes_]
        shares = predict(self.forest, matrix(evidence, self.columns))
        may = np.array(
            [[f"{kind}/{device}" in self.known for kind in kinds] for device in devices]
        ).reshape(len(devices), len(kinds))
        best = np.argmax(np.where(may, shares + 1e-6, 0.0), axis=1)
        return [f"{kinds[n]}/{device}" for n, device in zip(best, devices, strict=True)]


def labels_of(
    windows: pl.DataFrame, truth: pl.DataFrame, *, step: timedelta = STEP
) -> pl.DataFrame:
    """What is true of windows: their fault as kind/subject, HEALTHY or AFTERMATH.

    A window is faulty if a fault covers at least 4 s of its last step, or half of the fault where
    that is shorter.

    Args:
        windows: `vehicle_id`, `window_end`.
        truth: rows of TRUTH_SCHEMA of the same telemetry.
        step: length of steps.

    Returns:
        `fault`, `fault_id`, `is_clear` for each window, in order; the last two null if healthy.
    """
    keyed = windows.select("vehicle_id", "window_end").with_row_index("row")
    spans = truth.select(
        "vehicle_id", "fault_id", "is_clear", "started_at", "ended_at",
        fault=pl.format("{}/{}", "kind", "signal"),
    )  # fmt: skip
    met = keyed.join(spans, on="vehicle_id").filter(
        pl.col("window_end") > pl.col("started_at"),
        pl.col("window_end") <= pl.col("ended_at") + step + TRAILS,
    )
    begin = pl.max_horizontal(pl.col("window_end") - step, "started_at")
    overlap = pl.min_horizontal("window_end", "ended_at") - begin
    least = pl.min_horizontal(
        pl.lit(_LEAST_OVERLAP), (pl.col("ended_at") - pl.col("started_at")) / 2
    )
    during = met.with_columns(
        fault=pl.when(overlap >= least).then("fault").otherwise(pl.lit(AFTERMATH)),
        during=overlap >= least,
    ).sort("row", "during", descending=[False, True])
    first = during.unique("row", keep="first", maintain_order=True)
    return keyed.join(
        first.select("row", "fault", "fault_id", "is_clear"), on="row", how="left",
        maintain_order="left",
    ).select(pl.col("fault").fill_null(HEALTHY), "fault_id", "is_clear")  # fmt: skip


def devices_of(faults: pl.Series) -> pl.Series:
    """The device that each fault is about; HEALTHY and AFTERMATH stay."""
    told = {
        name: device_of(signals_of(name.split("/")[1])[0])
        for name in faults.unique()
        if "/" in name
    }
    return faults.replace(told)


def classes_of(faults: pl.Series) -> pl.Series:
    """The device/manner of each fault; HEALTHY and AFTERMATH stay."""
    each = faults.unique().sort()
    devices = dict(zip(each, devices_of(each), strict=True))
    told = {
        name: f"{device}/{_MANNERS.get(name.split('/')[0], OFF)}"
        for name, device in devices.items()
        if "/" in name
    }
    return faults.replace(told)


def fit_classifier(evidence: pl.DataFrame, labels: pl.DataFrame, seed: int) -> Classifier:
    """Fits a forest.

    Windows of one fault resemble each other: a fault of n windows weighs as √(n · USUAL_WINDOWS)
    healthy ones, so that drifts of an hour do not drown what lasts for a minute. Windows of a
    vehicle with few of them weigh more, by the root as well, at most MOST_WEIGHT times.

    Args:
        evidence: columns of EVIDENCE, healthy and faulty windows.
        labels: `fault` and `fault_id` of each, as `labels_of` gives them; those of AFTERMATH are
            left out.
        seed: the same one gives the same forest.
    """
    kept = some(labels["fault"] != AFTERMATH, seed, MOST_WINDOWS)
    classes = classes_of(labels["fault"]).gather(kept)
    weights = weights_of(evidence, labels)[kept]
    return Classifier(*fitted(evidence[kept], EVIDENCE, classes, weights, seed, _TREES))


def fit_namer(evidence: pl.DataFrame, labels: pl.DataFrame, seed: int) -> Namer:
    """Fits what names kinds on the faulty windows; arguments as of `fit_classifier`."""
    faults = labels["fault"]
    kept = some(~faults.is_in([HEALTHY, AFTERMATH]), seed, MOST_WINDOWS)
    chosen = faults.gather(kept)
    kinds = chosen.str.split("/").list.get(0)
    weights = weights_of(evidence, labels)[kept]
    columns, forest = fitted(evidence[kept], EVIDENCE, kinds, weights, seed, _TREES)
    known = kinds + "/" + devices_of(chosen)
    return Namer(columns, forest, tuple(known.unique().sort().to_list()))


def some(wanted: pl.Series, seed: int, most: int) -> NDArray[np.int64]:
    """Numbers of the wanted windows, at most so many."""
    kept = np.flatnonzero(wanted.to_numpy())
    if len(kept) > most:
        kept = np.sort(np.random.default_rng(seed).choice(kept, most, replace=False))
    return kept


def fitted(
    evidence: pl.DataFrame,
    wanted: Sequence[str],
    classes: pl.Series,
    weights: Values,
    seed: int,
    trees: int,
) -> tuple[tuple[str, ...], RandomForestClassifier]:
    """A forest on the wanted columns that are known at all, and these columns."""
    from sklearn.ensemble import RandomForestClassifier

    columns = tuple(name for name in wanted if evidence[name].count() > 0)
    forest = RandomForestClassifier(
        trees, min_samples_leaf=_LEAST_LEAF, max_features="sqrt", n_jobs=1, random_state=seed
    )
    forest.fit(matrix(evidence, columns), classes.to_numpy(), sample_weight=weights)
    return columns, forest


def weights_of(evidence: pl.DataFrame, labels: pl.DataFrame) -> Values:
    """One for each healthy window of a vehicle with as many windows as the mean."""
    told = labels.with_columns(vehicle_id=evidence["vehicle_id"])
    of_fault = (USUAL_WINDOWS / pl.len().over("vehicle_id", "fault_id", "fault")).sqrt()
    mean = pl.len() / pl.col("vehicle_id").n_unique()
    of_vehicle = (mean / pl.len().over("vehicle_id")).sqrt().clip(0.25, MOST_WEIGHT)
    healthy = pl.col("fault") == HEALTHY
    weight = pl.when(healthy).then(1.0).otherwise(of_fault) * of_vehicle
    return told.select(weight).to_series().to_numpy()
