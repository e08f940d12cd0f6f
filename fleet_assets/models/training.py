"""Training of all models of a fleet, so that thresholds come from windows that were not trained on.

Days of each vehicle (hours, where it has fewer days than folds) are dealt into folds. For each
fold, vehicles are learnt from the other days; evidence of the fold's windows is what they would
have been on a later day. The classifier of a fold is trained on the evidence of the others; its
votes for the fold's healthy windows set what votes are worth, threshold and confidence. What
serves is trained on all days.

Vehicles that no training has seen have detectors of their own, whose folds are vehicles: `strange`
compares them with the group of the others, `settled` judges by forests of the vehicle itself. That
one learns from virtual vehicles too (`models/virtual.py`), which share the fold of their real one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.errors import FleetError
from fleet_assets.injection.truth import TRUTH_SCHEMA
from fleet_assets.models.bank import bank_of
from fleet_assets.models.detector import Detector, allowed_odds, budget_of, with_habits
from fleet_assets.models.device_forests import fit_device_forests
from fleet_assets.models.evidence import GROUP, evidence
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.isolation import fit_isolations
from fleet_assets.models.kinds import (
    AFTERMATH,
    HEALTHY,
    Voting,
    classes_of,
    fit_classifier,
    fit_namer,
    labels_of,
    shares_for,
)
from fleet_assets.models.odds import calibrated, odds_by_aspect, scored, trusts_of
from fleet_assets.models.vehicle import Vehicle, fit_group, fit_vehicle
from fleet_assets.models.virtual import is_real, real_of

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Copy:
    """Healthy windows with faults injected.

    Attributes:
        frame: a model frame.
        truth: rows of TRUTH_SCHEMA of its faults.
    """

    frame: pl.DataFrame
    truth: pl.DataFrame


@dataclass(frozen=True)
class Recipe:
    """How models are trained.

    Attributes:
        seed: the same one gives the same models from the same windows.
        alarms_per_vehicle_day: budget of false alarms of a healthy vehicle in a day of 8 hours.
        faulty_share: share of windows that are faulty where confidence is to hold; with fewer
            faults it is too high.
        folds: parts that days are dealt into.
        least_windows: healthy windows from which on a vehicle has forests of its own.
    """

    seed: int = 1
    alarms_per_vehicle_day: float = 0.5
    faulty_share: float = 0.1
    folds: int = 3
    least_windows: int = 300


@dataclass(frozen=True)
class _Told:
    """Evidence with labels, by fold."""

    evidence: pl.DataFrame
    labels: pl.DataFrame
    fold: NDArray[np.int64]

    def where(self, flags: NDArray[np.bool_]) -> _Told:
        kept = pl.Series(flags)
        return _Told(self.evidence.filter(kept), self.labels.filter(kept), self.fold[flags])


class TooLittleDataError(FleetError):
    """There is too little to train on; the message says how much there is and is needed."""


Progress = Callable[[str, float], None]
"""Told what is being done, and which share of the whole is done (0 to 1)."""
SAME: Final = Recipe()
STRANGER: Final = 1.0
"""Odds (log10) that a vehicle that is not known yet has to have on top: a group's few vehicles do
not tell how the next one drives, however many windows they have."""
LEAST_FAULTS: Final = 20
"""Injected faults without which nothing is trained."""


def silent(_: str, __: float) -> None:
    """Progress that nobody follows."""


def train(
    healthy: pl.DataFrame,
    copies: Sequence[Copy],
    types: Mapping[str, str],
    recipe: Recipe = SAME,
    *,
    progress: Progress = silent,
) -> FleetModel:
    """Trains everything.

    Args:
        healthy: a model frame without known faults, in order of vehicle and time; may hold
            virtual vehicles.
        copies: the same days with faults.
        types: vehicle type by vehicle.
        recipe: how.
        progress: is told how far it is.

    Raises:
        TooLittleDataError: there is too little to learn from; what there is and what is needed.
    """
    real = healthy.filter(is_real(healthy))
    counts = real.group_by("vehicle_id").len()
    _refuse_too_little(counts, copies, recipe)
    ranked = counts.sort("len", "vehicle_id", descending=[True, False])["vehicle_id"].to_list()
    progress(f"forests of {counts.height} vehicles", 0.0)
    vehicles = dict(_vehicles(real, recipe))
    group = fit_group(real, recipe.seed)
    progress("evidence of known vehicles, each by its other days", 0.1)
    told = _told(real, copies, day_folds(recipe), _by_own, recipe, plain=True)
    progress("classifiers, thresholds and confidence", 0.3)
    own = _detector(told, recipe, fit_classifier)
    settled = strange = None
    if len(ranked) > 1:
        deal = _vehicle_folds(ranked, recipe)
        progress("the same for vehicles that come to be known", 0.5)
        every = _told(healthy, copies, day_folds(recipe), _by_own, recipe)
        every = replace(every, fold=deal(every.evidence))
        if len(np.unique(every.fold)) > 1:  # or only one vehicle has forests of its own
            told, settled = every, _detector(every, recipe, fit_device_forests)
        progress("the same for vehicles that are not known", 0.75)
        strangers = _told(real, copies, deal, _by_others, recipe, plain=True)
        strange = _detector(strangers, recipe, fit_classifier, more=STRANGER)
    return FleetModel(
        fit_isolations(real, types, recipe.seed), dict(types), vehicles | {GROUP: group},
        own, settled, strange, bank_of(told.evidence, told.labels, recipe.seed),
    )  # fmt: skip


def least_to_train(recipe: Recipe) -> int:
    """Healthy windows of one vehicle without which nothing can be trained.

    Without a fold it still has to be known.
    """
    return math.ceil(recipe.least_windows * recipe.folds / (recipe.folds - 1))


def _refuse_too_little(counts: pl.DataFrame, copies: Sequence[Copy], recipe: Recipe) -> None:
    least, most = least_to_train(recipe), int(counts["len"].max() or 0)  # type: ignore[arg-type]
    if most < least:
        raise TooLittleDataError(
            f"Too little to train on: the vehicle with most healthy windows has {most}, at least"
            f" {least} of one vehicle are needed ({least / 360:.1f} hours). Wait for more data."
        )
    faults = sum(copy.truth.height for copy in copies)
    if faults < LEAST_FAULTS:
        raise TooLittleDataError(
            f"Too few faults to train on: {faults}, at least {LEAST_FAULTS}. Take more hours or"
            " more passes."
        )


def _vehicles(healthy: pl.DataFrame, recipe: Recipe) -> Iterator[tuple[str, Vehicle]]:
    for (name,), part in healthy.group_by("vehicle_id", maintain_order=True):
        if part.height >= recipe.least_windows:
            yield str(name), fit_vehicle(part, recipe.seed)


Fitted = Callable[[pl.DataFrame, pl.DataFrame, int], Voting]
"""Fits what votes, on evidence and labels, by seed."""
Fold = Callable[[pl.DataFrame], NDArray[np.int64]]


def day_folds(recipe: Recipe) -> Fold:
    """Days of a vehicle in turn: fold 0, 1, 2, 0, …; see `dealt_by`."""

    def of(frame: pl.DataFrame) -> NDArray[np.int64]:
        parts = _parts(frame, dealt_by(frame, recipe.folds))
        number = pl.col("part").rank("dense").over("vehicle_id").cast(pl.Int64)
        return parts.select(number % recipe.folds).to_series().to_numpy()

    return of


_DEALT: Final = ("1d", "1h", "10m")
"""What is dealt: the first that a vehicle has as many of as there are folds. Windows look back for
five minutes, so parts of a day know a little of each other; days hardly do."""


def dealt_by(frame: pl.DataFrame, folds: int) -> pl.DataFrame:
    """What is dealt into folds of each vehicle: `vehicle_id`, `every`, one of _DEALT."""
    counts = frame.group_by("vehicle_id").agg(
        pl.col("window_end").dt.truncate(every).n_unique().alias(every) for every in _DEALT
    )
    enough = [pl.when(pl.col(every) >= folds).then(pl.lit(every)) for every in _DEALT]
    return counts.select("vehicle_id", every=pl.coalesce(*enough, pl.lit(_DEALT[-1])))


def _parts(frame: pl.DataFrame, dealt: pl.DataFrame) -> pl.DataFrame:
    """The part of each window: `vehicle_id`, `part`; null for vehicles that are not dealt."""
    keyed = frame.select("vehicle_id", "window_end").join(
        dealt, on="vehicle_id", how="left", maintain_order="left"
    )
    return keyed.select("vehicle_id", part=pl.col("window_end").dt.truncate(pl.col("every")))


def _vehicle_folds(ranked: Sequence[str], recipe: Recipe) -> Fold:
    """Real vehicles in turn, by how much is known of them; virtual ones with theirs."""

    def of(frame: pl.DataFrame) -> NDArray[np.int64]:
        numbers = {name: number for number, name in enumerate(ranked)}
        place = real_of(frame["vehicle_id"]).replace_strict(numbers, return_dtype=pl.Int64)
        return (place % min(recipe.folds, len(ranked))).to_numpy()

    return of


def _by_own(rest: pl.DataFrame, recipe: Recipe) -> dict[str, Vehicle]:
    """Vehicles by their other days."""
    return dict(_vehicles(rest, recipe))


def _by_others(rest: pl.DataFrame, recipe: Recipe) -> dict[str, Vehicle]:
    """The group of the other vehicles."""
    return {GROUP: fit_group(rest, recipe.seed)}


def _told(
    healthy: pl.DataFrame,
    copies: Sequence[Copy],
    fold_of: Fold,
    fitted: Callable[[pl.DataFrame, Recipe], dict[str, Vehicle]],
    recipe: Recipe,
    *,
    plain: bool = False,
) -> _Told:
    """Evidence of all windows, each against what was learnt without its fold."""
    nothing = TRUTH_SCHEMA.to_frame()
    parts: list[_Told] = []
    folds, dealt = fold_of(healthy), dealt_by(healthy, recipe.folds)
    for fold in np.unique(folds):
        vehicles = fitted(healthy.filter(pl.Series(folds != fold)), recipe)
        mine = healthy.filter(pl.Series(folds == fold))
        parts_of_fold = _parts(mine, dealt).unique()
        for number, copy in enumerate([Copy(mine, nothing), *copies]):
            keyed = copy.frame.with_columns(_parts(copy.frame, dealt)["part"])
            frame = keyed.join(
                parts_of_fold, on=["vehicle_id", "part"], how="semi", maintain_order="left"
            ).drop("part")
            if GROUP not in vehicles:
                frame = frame.filter(pl.col("vehicle_id").is_in(list(vehicles)))
            if frame.is_empty():
                continue
            labels = labels_of(frame, copy.truth)
            labels = labels.with_columns(fault_id=pl.format("{} {}", "fault_id", pl.lit(number)))
            faulty = ~labels["fault"].is_in([HEALTHY, AFTERMATH])
            wanted = faulty if number else pl.repeat(True, frame.height, eager=True)
            found = evidence(frame, vehicles, plain=plain).filter(wanted)
            here = np.full(found.height, fold)
            parts.append(_Told(found, labels.filter(wanted), here))
    return _Told(
        pl.concat([part.evidence for part in parts]),
        pl.concat([part.labels for part in parts]),
        np.concatenate([part.fold for part in parts]),
    )


def _detector(told: _Told, recipe: Recipe, fitted: Fitted, *, more: float = 0.0) -> Detector:
    """A classifier of all, with threshold and confidence from forests that had not seen a fold.

    The threshold is what the budget allows, and so many odds (log10) more.
    """
    whole = fitted(told.evidence, told.labels, recipe.seed)
    shares = np.zeros((told.evidence.height, len(whole.classes)))
    for fold in np.unique(told.fold):
        rest = told.where(told.fold != fold)
        part = fitted(rest.evidence, rest.labels, recipe.seed)
        rows = np.flatnonzero(told.fold == fold)
        shares[rows] = shares_for(part, whole, told.evidence[rows])
    is_healthy = (told.labels["fault"] == HEALTHY).to_numpy()
    trusts = trusts_of(whole, shares, classes_of(told.labels["fault"]))
    by_votes, names = odds_by_aspect(whole, trusts, shares)
    odds = by_votes.max(axis=1)
    healthy = told.evidence.filter(pl.Series(is_healthy)).with_columns(
        odds=pl.Series(odds[is_healthy])
    )
    healthy = healthy.sort("vehicle_id", "window_end")
    most = budget_of(healthy, recipe.alarms_per_vehicle_day)
    threshold = allowed_odds(healthy, healthy["odds"].to_numpy(), most) + more
    every, _ = with_habits(by_votes, names, told.evidence, threshold)
    confidence_at, confidence = calibrated(
        scored(every.max(axis=1), threshold), ~is_healthy, recipe.faulty_share
    )
    namer = fit_namer(told.evidence, told.labels, recipe.seed)
    return Detector(whole, namer, trusts, threshold, confidence_at, confidence)
