"""A training: from a training set to a version with a card, figures and plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.figures import figures_of
from fleet_assets.model_flow.plots import model_plots
from fleet_assets.model_flow.recipes import told_recipe
from fleet_assets.model_flow.set_files import TrainingSet, read_training_set
from fleet_assets.model_store import save_model, save_plots
from fleet_assets.models.card import model_card
from fleet_assets.models.training import SAME, Progress, Recipe, TooLittleDataError, silent, train
from fleet_assets.warehouse.model_registry import ModelVersion, note_version

__all__ = ["TooLittleDataError", "Trained", "recipe_of", "train_model"]


@dataclass(frozen=True)
class Trained:
    """What a training has made.

    Attributes:
        version_id: `fm-…`.
        card: of the model.
        plots: PNG by name.
        seconds: that it took.
    """

    version_id: str
    card: Mapping[str, Any]
    plots: Mapping[str, bytes]
    seconds: float


def recipe_of(seed: int) -> Recipe:
    """The platform's recipe with a seed."""
    return dataclasses.replace(SAME, seed=seed)


def train_model(
    lake: Lake,
    postgres_url: str,
    set_id: str,
    feedback: pl.DataFrame,
    trained_by: str,
    recipe: Recipe = SAME,
    progress: Progress = silent,
) -> Trained:
    """Trains on a set, saves the model and notes the version.

    The same set and recipe give the same version. It serves nobody yet.

    Args:
        lake: where the set lies and the model goes.
        postgres_url: the warehouse.
        set_id: of a training set.
        feedback: rows of `incidents.FEEDBACK_SCHEMA`, for the days that figures come from.
        trained_by: who asks.
        recipe: how.
        progress: is told how far it is.

    Raises:
        TooLittleDataError: there is too little to train on.
        FleetError: there is no such set.
    """
    started = datetime.now(UTC)
    progress(f"reading {set_id}", 0.0)
    given = read_training_set(lake.url, set_id)
    model = train(
        given.healthy, given.copies, given.types, recipe,
        progress=lambda what, share: progress(what, 0.05 + 0.65 * share),
    )  # fmt: skip
    figures = figures_of(lake, postgres_url, model, given, feedback, progress)
    card = model_card(model, given.healthy, given.copies, recipe, figures.told)
    card |= {"training_set": set_id, "data_version": given.card["data_version"]}
    artifacts = Artifacts(lake.url)
    version_id = save_model(artifacts, model, card)
    plots = {} if figures.found is None else model_plots(figures.found, card["importance"])
    save_plots(artifacts, version_id, plots)
    note_version(postgres_url, _version(version_id, given, recipe, card, started, trained_by))
    seconds = (datetime.now(UTC) - started).total_seconds()
    progress(f"{version_id} is saved", 1.0)
    return Trained(version_id, card, plots, seconds)


def _version(
    version_id: str,
    given: TrainingSet,
    recipe: Recipe,
    card: Mapping[str, Any],
    started: datetime,
    trained_by: str,
) -> ModelVersion:
    times = given.healthy["window_end"]
    names = ("groups", "vehicle_days", "driven_hours", "windows", "faulty_windows", "faults",
             "faults_by_kind", "labels_by_source", "virtual")  # fmt: skip
    return ModelVersion(
        version_id=version_id,
        recipe=told_recipe(recipe, given.card["settings"], given.card),
        training_set=given.card["id"],
        data_version=given.card["data_version"],
        trained_at=started,
        trained_by=trained_by,
        first_event_time=_moment(times.min()),
        last_event_time=_moment(times.max()),
        groups=tuple(sorted(given.card["groups"])),
        counts={"vehicles": len(given.types)}
        | {name: given.card[name] for name in names if name in given.card},
        figures=card["figures"],
    )


def _moment(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
