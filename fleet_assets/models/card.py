"""What a model card tells: plain data for registry, pages and people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from fleet_assets.features.catalogue import read_features
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.models.evidence import GROUP
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import Copy, Recipe
from fleet_assets.models.virtual import is_real

LIMITS: Final = (
    "Faults are injected, not recorded: what breaks in another way may look different.",
    "A constant offset that has been there since before training is what is usual.",
    "Positions that are off by a constant show only when they jump.",
    "Gears and habits of a vehicle are learnt from its own days; before that it is judged by its"
    " group, and fewer faults are found.",
)


def model_card(
    model: FleetModel,
    healthy: pl.DataFrame,
    copies: Sequence[Copy],
    recipe: Recipe,
    figures: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The card of a model; its data are those of real vehicles.

    Args:
        model: trained by `train` with the same arguments.
        healthy: the windows.
        copies: those with faults.
        recipe: how it was trained.
        figures: of an evaluation, such as `dataclasses.asdict` of a Quality by setting.

    Returns:
        Plain JSON.
    """
    virtual = healthy.filter(~is_real(healthy))["vehicle_id"].n_unique()
    healthy = healthy.filter(is_real(healthy))
    truth = pl.concat([copy.truth for copy in copies])
    truth = truth.filter(is_real(truth))
    kinds = truth.group_by("kind").len().sort("kind")
    matters = model.own.classifier.importances()
    top = sorted(((share, name) for name, share in matters.items()), reverse=True)[:20]
    return {
        "recipe": dataclasses.asdict(recipe),
        "feature_release": read_features().release,
        "fault_release": read_catalogue().release,
        "data": {
            "from": str(healthy["window_end"].min()),
            "to": str(healthy["window_end"].max()),
            "windows": healthy.height,
            "vehicles": healthy["vehicle_id"].n_unique(),
            "with_own_forests": len([name for name in model.vehicles if name != GROUP]),
            "faults": dict(kinds.iter_rows()),
            "virtual_vehicles": virtual,
            "held_out_family": read_catalogue().held_out,
        },
        "thresholds": {
            "own": model.own.threshold,
            "strange": model.strange.threshold if model.strange else None,
        },
        "importance": {name: value for value, name in top},
        "figures": dict(figures or {}),
        "limits": [
            *LIMITS,
            f"Confidence is right where {recipe.faulty_share:.0%} of the windows are faulty; where"
            " fewer are, it is too high.",
        ],
    }
