"""What a model reaches on days of its set's span that no training saw: figures of its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import polars as pl

from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span
from fleet_assets.model_choice.first import HeldOut
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_flow.evaluation_data import (
    PASSES,
    EvaluationData,
    Found,
    NothingToCompareError,
    evaluation_data,
    found_by,
    windows_of,
)
from fleet_assets.model_flow.groups import groups_of_register
from fleet_assets.model_flow.incidents import known_of
from fleet_assets.model_flow.set_files import TrainingSet
from fleet_assets.models.evaluation import by_kind, events_of, quality
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import Progress

HELD_OUT_VEHICLES: Final = 15
HELD_OUT_HOURS: Final = 60.0
"""Of each group."""
KNOWN: Final = "vehicles that it was trained on"
EVERYBODY: Final = "all vehicles, because there are too few days of those that it was trained on"
PASSES_OF_FEW: Final = 6
"""A young fleet's few hours get faults more often, so that there are enough of them."""


@dataclass(frozen=True)
class Figures:
    """What was found.

    Attributes:
        told: plain JSON for card and registry: `held_out_days`, `by_group`, `by_kind`, and `of`,
            whose days they were; `none`: why there is nothing.
        found: what they rest on; None: nothing.
    """

    told: Mapping[str, Any]
    found: Found | None


def figures_of(
    lake: Lake,
    postgres_url: str,
    model: FleetModel,
    given: TrainingSet,
    feedback: pl.DataFrame,
    progress: Progress,
) -> Figures:
    """Lets a model judge days of the same span that are not for training.

    They are days of the vehicles that it was trained on. A young fleet has too few of those: then
    days of all vehicles of its groups count, which it knows less well.

    Args:
        lake: the lake.
        postgres_url: the warehouse: the register.
        model: that was trained.
        given: the set that it was trained on.
        feedback: rows of `incidents.FEEDBACK_SCHEMA`.
        progress: is told how far it is.
    """
    groups = set(given.types.values())
    everybody = {w: of for w, of in groups_of_register(postgres_url).items() if of in groups}
    span = Span(*(date.fromisoformat(given.card[name]) for name in ("from", "to")))
    known = known_of(lake, feedback, span)

    def data_of(types: Mapping[str, str], passes: int) -> EvaluationData:
        return evaluation_data(
            lake, span, types, known, f"figures {given.card['id']}",
            vehicles_of_group=HELD_OUT_VEHICLES, hours_of_group=HELD_OUT_HOURS, passes=passes,
            progress=lambda what, share: progress(what, 0.7 + 0.2 * share),
        )  # fmt: skip

    try:
        whose, data = KNOWN, data_of(given.types, PASSES)
        is_enough = data.hours()["hours"].sum() >= policy().first_model.least_hours
    except NothingToCompareError:
        is_enough = False
    if not is_enough:
        try:
            whose, data = EVERYBODY, data_of(given.types | everybody, PASSES_OF_FEW)
        except NothingToCompareError as error:
            return Figures({"none": str(error)}, None)
    progress(f"judging {data.healthy.height:,} windows that no training has seen", 0.92)
    found = found_by(model, data)
    return Figures({"of": whose, **_told(found, data)}, found)


def _told(found: Found, data: EvaluationData) -> dict[str, Any]:
    hours = float(data.hours()["hours"].sum())
    numbers = quality(found.passes, found.untouched.alarms, hours, found.untouched.scores)
    told = dataclasses.asdict(numbers) | _of_windows(windows_of(found))
    kinds = by_kind(found.passes, ["kind"]).to_dicts()
    return {
        "held_out_days": _plain(told) | {"hours": round(hours, 1)},
        "by_group": {group: _plain(of.told) for group, of in by_group(found, data).items()},
        "by_kind": {row.pop("kind"): _plain(row) for row in kinds},
    }


def by_group(found: Found, data: EvaluationData) -> dict[str, HeldOut]:
    """What was reached in each group of vehicles.

    Args:
        found: by the model.
        data: that it judged.
    """
    events = pl.concat([events_of(each) for each in found.passes]).filter("is_clear")
    rows = {
        "hours": data.hours().select("vehicle_id", of="hours"),
        "false_alarms": found.untouched.alarms.select("vehicle_id", of=1),
        "clear_faults": events.select("vehicle_id", of=1),
        "clear_found": events.drop_nulls("detected_at").select("vehicle_id", of=1),
    }
    group = pl.col("vehicle_id").replace_strict(dict(data.types), return_dtype=pl.String)
    sums = {
        name: dict(of.group_by(group.alias("group")).agg(pl.col("of").sum()).iter_rows())
        for name, of in rows.items()
    }
    return {
        each: HeldOut(**{name: of.get(each, 0) for name, of in sums.items()})
        for each in sorted(sums["hours"])
    }


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


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as JSON has them: none that is no number, six digits."""
    return {
        name: (None if value != value else float(f"{value:.6g}"))
        if isinstance(value, float)
        else value
        for name, value in numbers.items()
    }
