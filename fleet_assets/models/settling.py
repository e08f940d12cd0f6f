"""Making a vehicle known without training anew: its forests, and how easily it alarms.

A detector that has never seen a vehicle may take some of its habits for a fault. So its healthy
days are judged by forests made from its other days; an aspect that speaks on them more often than
the budget allows loses so much of its odds on this vehicle that it does not any more. Other aspects
stay as sharp as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from fleet_assets.models.detector import allowed_odds, budget_of, odds_by_aspect
from fleet_assets.models.evidence import evidence
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import Recipe, day_folds
from fleet_assets.models.vehicle import fit_vehicle

WINDOWS_OF_AN_ALARM = 3
"""So many windows of an aspect may be over the threshold for each alarm that is allowed."""


def settled(model: FleetModel, frame: pl.DataFrame, recipe: Recipe) -> FleetModel:
    """The model with one more known vehicle.

    Args:
        model: as trained.
        frame: healthy windows of one vehicle, at least `recipe.least_windows` on two days or more.
        recipe: as of the training.
    """
    who = str(frame["vehicle_id"][0])
    folds = day_folds(recipe)(frame)
    detector = model.own
    odds = np.empty((frame.height, len(detector.classifier.aspects())))
    for fold in np.unique(folds):
        here = folds == fold
        other = fit_vehicle(frame.filter(pl.Series(~here)), recipe.seed)
        told = evidence(frame.filter(pl.Series(here)), {**model.vehicles, who: other})
        odds[here] = odds_by_aspect(
            detector.classifier, detector.trusts, detector.classifier.shares(told)
        )
    most = budget_of(frame, recipe.alarms_per_vehicle_day)
    rank = min(max(round(WINDOWS_OF_AN_ALARM * most), 1), frame.height)
    loudest = np.partition(odds, -rank, axis=0)[-rank]
    less = np.maximum(loudest - detector.threshold, 0)
    together = allowed_odds(frame, (odds - less).max(axis=1), most)
    less += max(together - detector.threshold, 0)
    names = list(detector.classifier.aspects())
    return replace(
        model,
        vehicles={**model.vehicles, who: fit_vehicle(frame, recipe.seed)},
        offsets={**model.offsets, who: dict(zip(names, less.tolist(), strict=True))},
    )
