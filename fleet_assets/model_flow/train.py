"""A training: from a training set to a version with a card, figures and plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import polars as pl

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span
from fleet_assets.model_flow.evaluation_data import (
    Found,
    NothingToCompareError,
    evaluation_data,
    found_by,
    windows_of,
)
from fleet_assets.model_flow.incidents import known_of
from fleet_assets.model_flow.plots import model_plots
from fleet_assets.model_flow.set_files import TrainingSet, read_training_set
from fleet_assets.model_store import save_model
from fleet_assets.models.card import model_card
from fleet_assets.models.evaluation import by_kind, quality
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import SAME, Progress, Recipe, TooLittleDataError, silent, train
from fleet_assets.warehouse.model_registry import ModelVersion, note_version

__all__ = ["TooLittleDataError", "Trained", "recipe_of", "train_model"]
HELD_OUT_VEHICLES: Final = 15
HELD_OUT_HOURS: Final = 60.0
"""Of each group, for the figures of a card: days of the set's span that are not for training."""
_OF_RECIPE: Final = (
    "hours", "hours_of_vehicle", "faulty_hours", "passes", "seed", "span_days", "virtual_each",
)  # fmt: skip


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
    figures, found = _figures(lake, model, given, feedback, progress)
    card = model_card(model, given.healthy, given.copies, recipe, figures)
    card |= {"training_set": set_id, "data_version": given.card["data_version"]}
    artifacts = Artifacts(lake.url)
    version_id = save_model(artifacts, model, card)
    plots = {} if found is None else model_plots(found, card["importance"])
    for name, picture in plots.items():
        artifacts.write(f"models/{version_id}/plots/{name}.png", picture, overwrite=True)
    note_version(postgres_url, _version(version_id, given, recipe, card, started, trained_by))
    seconds = (datetime.now(UTC) - started).total_seconds()
    progress(f"{version_id} is saved", 1.0)
    return Trained(version_id, card, plots, seconds)


def _figures(
    lake: Lake, model: FleetModel, given: TrainingSet, feedback: pl.DataFrame, progress: Progress
) -> tuple[dict[str, Any], Found | None]:
    """Figures on days of the same span that are not for training; empty without such days."""
    span = Span(*(date.fromisoformat(given.card[name]) for name in ("from", "to")))
    known = known_of(lake, feedback, span)
    try:
        data = evaluation_data(
            lake, span, given.types, known, f"figures {given.card['id']}",
            vehicles_of_group=HELD_OUT_VEHICLES, hours_of_group=HELD_OUT_HOURS,
            progress=lambda what, share: progress(what, 0.7 + 0.2 * share),
        )  # fmt: skip
    except NothingToCompareError as error:
        return {"none": str(error)}, None
    progress(f"judging {data.healthy.height:,} windows that no training has seen", 0.92)
    found = found_by(model, data)
    hours = float(data.hours()["hours"].sum())
    numbers = quality(found.passes, found.untouched.alarms, hours, found.untouched.scores)
    told = dataclasses.asdict(numbers) | _of_windows(windows_of(found))
    told = {name: _plain(value) for name, value in told.items()}
    kinds = by_kind(found.passes, ["kind"]).to_dicts()
    return {
        "held_out_days": told | {"hours": round(hours, 1)},
        "by_kind": {row.pop("kind"): {n: _plain(v) for n, v in row.items()} for row in kinds},
    }, found


def _of_windows(told: pl.DataFrame) -> dict[str, float]:
    """Passes hold little beside faults, so healthy windows are those of the days as they were."""
    from sklearn.metrics import average_precision_score

    truth, score = told["is_faulty"].to_numpy(), told["score"].to_numpy()
    if truth.all() or not truth.any():
        return {}
    hot = score >= 1
    return {
        "pr_auc": float(average_precision_score(truth, score)),
        "balanced_accuracy": float((hot[truth].mean() + (~hot[~truth]).mean()) / 2),
    }


def _plain(value: Any) -> Any:
    """Numbers as JSON has them: none that is no number, six digits."""
    if isinstance(value, float):
        return None if value != value else float(f"{value:.6g}")
    return value


def _version(
    version_id: str,
    given: TrainingSet,
    recipe: Recipe,
    card: Mapping[str, Any],
    started: datetime,
    trained_by: str,
) -> ModelVersion:
    settings = given.card["settings"]
    times = given.healthy["window_end"]
    names = ("groups", "vehicle_days", "driven_hours", "windows", "faulty_windows", "faults",
             "faults_by_kind", "labels_by_source", "virtual")  # fmt: skip
    return ModelVersion(
        version_id=version_id,
        recipe=dataclasses.asdict(recipe)
        | {f"set_{name}": settings[name] for name in _OF_RECIPE if name in settings}
        | {name: given.card[name] for name in ("feature_release", "fault_release")},
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
