"""Making a vehicle known without training anew: faults of the fleet against its own healthy days.

A detector that has never seen a vehicle may take some of its habits for a fault, and has to be so
careful that it misses much. What a fault looks like as evidence is much the same on all vehicles;
what is healthy is not. So a vehicle gets a classifier of its own, fitted on its healthy days and on
faults of others (`models/bank.py`). Both classifiers judge it together, and aspects that speak on
its healthy days more often than the budget allows lose so much of their odds that they do not any
more. The more healthy hours vouch for it, the lower the threshold.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.models.alarms import USUAL
from fleet_assets.models.bank import Bank
from fleet_assets.models.detector import budget_of, with_habits
from fleet_assets.models.device_forests import DeviceForests, fit_device_forests
from fleet_assets.models.devices import devices_of_frame
from fleet_assets.models.evidence import EVIDENCE, evidence
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.habits import AGAINST
from fleet_assets.models.kinds import HEALTHY, classes_of, shares_for
from fleet_assets.models.mixing import Fleet, Settling, mixed_odds
from fleet_assets.models.odds import Trust, odds_by_aspect, trusts_of
from fleet_assets.models.training import Recipe, day_folds
from fleet_assets.models.vehicle import fit_vehicle

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]
MOST_HEALTHY: Final = 4000
"""Healthy windows that the classifier is fitted on."""
FAULT_WEIGHT: Final = 16.0
"""What a window of a fault weighs against a healthy one."""
SAFETY: Final = 0.5
"""Share of the alarm budget that healthy days may take: those to come are not like them."""
VOUCHED: Final = 4.0
"""Healthy hours divide the odds that are asked for by 1 + this for each alarm they may take,"""
MOST_VOUCHED: Final = 0.5
"""at most by ten to the power of this."""
BLOCK: Final = timedelta(minutes=10)
"""Windows of an aspect over the threshold within so long count as one alarm."""
_OVER: Final = 1e-6
"""Odds that are allowed to be loud once stay below the threshold by this."""


def settled(model: FleetModel, frame: pl.DataFrame, recipe: Recipe) -> FleetModel:
    """The model with one more known vehicle.

    Args:
        model: as trained.
        frame: healthy windows of one vehicle in order, at least `recipe.least_windows`.
        recipe: as of the training.
    """
    who = str(frame["vehicle_id"][0])
    folds = day_folds(recipe)(frame)
    told = _unseen_evidence(model, frame, folds, recipe)
    devices = devices_of_frame(frame)
    classifier, trusts, shares = _own(model.bank, devices, told, folds % 2, recipe.seed)
    detector = model.settled or model.own
    settling = Settling(classifier, trusts, detector.threshold, {})
    by_votes = detector.classifier.shares(told)
    odds, names = odds_by_aspect(detector.classifier, detector.trusts, by_votes)
    odds = mixed_odds(Fleet(odds, names, detector.trusts), settling, shares)
    most = SAFETY * budget_of(frame, recipe.alarms_per_vehicle_day)
    threshold = detector.threshold - min(float(np.log10(1 + VOUCHED * most)), MOST_VOUCHED)
    less = allowance(frame["window_end"], odds, threshold, most)
    offsets = dict(zip(names, less.tolist(), strict=True))
    habits, _ = with_habits(np.empty((told.height, 0)), [], told, detector.threshold)
    less = habit_allowance(frame["window_end"], habits, threshold, most)
    offsets |= dict(zip(AGAINST, less.tolist(), strict=True))
    return replace(
        model,
        vehicles={**model.vehicles, who: fit_vehicle(frame, recipe.seed)},
        settlings={**model.settlings, who: Settling(classifier, trusts, threshold, offsets)},
    )


def _unseen_evidence(
    model: FleetModel, frame: pl.DataFrame, folds: Numbers, recipe: Recipe
) -> pl.DataFrame:
    """Evidence of the windows of each fold by forests of the others, in order."""
    who = str(frame["vehicle_id"][0])
    parts = []
    for fold in np.unique(folds):
        other = fit_vehicle(frame.filter(pl.Series(folds != fold)), recipe.seed)
        told = evidence(frame, {who: other}, plain=model.settled is None)
        parts.append(told.with_row_index("row").filter(pl.Series(folds == fold)))
    return pl.concat(parts).sort("row").drop("row")


def _own(
    bank: Bank, devices: list[str], told: pl.DataFrame, halves: Numbers, seed: int
) -> tuple[DeviceForests, dict[str, Trust], Values]:
    """A classifier of the vehicle, what its votes are worth, and votes for its windows.

    Votes come from classifiers that have not seen the half of the days, or of the faults.
    """
    faults, others = bank.labels, bank.evidence
    kept = classes_of(faults["fault"]).str.split("/").list.first().is_in(devices)
    unknown = [name for name in EVIDENCE if told[name].count() == 0]
    faults = faults.filter(kept)
    others = others.filter(kept).with_columns(pl.lit(None, pl.Float32).alias(n) for n in unknown)
    halves_of_faults = bank.numbers[kept.to_numpy()] % 2
    chosen = np.sort(np.random.default_rng(seed).permutation(told.height)[:MOST_HEALTHY])
    healthy = pl.DataFrame(
        {"fault": [HEALTHY] * len(chosen), "fault_id": [None] * len(chosen)}, schema=faults.schema
    )
    windows = pl.concat([told[chosen].select(EVIDENCE), others])
    labels = pl.concat([healthy, faults])
    weights = np.append(np.ones(len(chosen)), np.full(faults.height, FAULT_WEIGHT))
    half = np.append(halves[chosen], halves_of_faults)
    whole = fit_device_forests(windows, labels, seed, weights)
    mine, theirs = (np.zeros((n, len(whole.classes))) for n in (told.height, faults.height))
    for number in (0, 1):
        rest = half != number
        part = fit_device_forests(
            windows.filter(pl.Series(rest)), labels.filter(pl.Series(rest)), seed, weights[rest]
        )
        for into, of, where in ((mine, told, halves), (theirs, others, halves_of_faults)):
            here = where == number
            into[here] = shares_for(part, whole, of.filter(pl.Series(here)))
    classes = pl.concat([pl.Series([HEALTHY] * told.height), classes_of(faults["fault"])])
    return whole, trusts_of(whole, np.vstack([mine, theirs]), classes), mine


def allowance(times: pl.Series, odds: Values, threshold: float, most_alarms: float) -> Values:
    """What has to be taken from the odds of each aspect.

    Every aspect may alarm as often, as often as all together keep to the budget. Where the budget
    is less than one alarm, none is allowed, and what is missing to one is taken as well: a tenth of
    an alarm takes ten times the odds.

    Args:
        times: ends of windows, in order.
        odds: of healthy windows, by aspect, by forests that have not seen them.
        threshold: of the detector.
        most_alarms: allowed in all of the windows.
    """
    ranked = _ranked(times, odds)
    missing = max(-float(np.log10(max(most_alarms, 1e-3))), 0.0)
    allowed = min(int(most_alarms), len(ranked) - 1)
    for each in range(allowed, -1, -1):
        less: Values = np.maximum(ranked[each] + missing + _OVER - threshold, 0)
        together = _ranked(times, (odds - less).max(axis=1, keepdims=True))
        if (together >= threshold).sum() <= most_alarms:
            return less
    # aspects take turns within three windows: what each may do alone is too much together
    return np.asarray(less + float(together[allowed, 0]) + _OVER - threshold)


def habit_allowance(times: pl.Series, odds: Values, threshold: float, most_alarms: float) -> Values:
    """What has to be taken from the odds of each habit.

    They follow from the alarm budget already (`habits.NEED`), so one alarm does not show that a
    vehicle has no such habit; more than the budget allows do. A stretch is one alarm, however many
    blocks it takes.

    Args:
        times: ends of windows, in order.
        odds: of healthy windows, by habit, by habits of other days.
        threshold: of the vehicle.
        most_alarms: allowed in all of the windows.
    """
    blocks = _by_block(times, _persistent(odds))
    beside = np.pad(blocks, ((1, 1), (0, 0)), constant_values=-np.inf)
    peaks = np.where((blocks >= beside[:-2]) & (blocks > beside[2:]), blocks, -np.inf)
    ranked = -np.sort(-peaks, axis=0)
    allowed = min(max(int(most_alarms), 1), len(ranked) - 1)
    return np.asarray(np.maximum(ranked[allowed] + _OVER - threshold, 0))


def _ranked(times: pl.Series, odds: Values) -> Values:
    """The loudest of each aspect in each block of time, the largest first."""
    return np.asarray(-np.sort(-_by_block(times, _persistent(odds)), axis=0))


def _persistent(odds: Values) -> Values:
    """The most odds that are an alarm: two of three windows in a row have as much, or one is so
    sure."""
    before = np.vstack([np.full((2, odds.shape[1]), -np.inf), odds])
    three = np.stack([before[:-2], before[1:-1], odds])
    return np.asarray(np.maximum(np.sort(three, axis=0)[1], odds - USUAL.sure))


def _by_block(times: pl.Series, loud: Values) -> Values:
    """The largest of each block of time."""
    first = np.flatnonzero(times.dt.truncate(BLOCK).rle_id().diff().fill_null(1).to_numpy())
    return np.asarray(np.maximum.reduceat(loud, first, axis=0))
