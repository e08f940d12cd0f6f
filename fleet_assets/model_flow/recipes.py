"""How a scheduled training is done: by the platform's recipe once, else by that which serves.

Only a refresh of the champion's own recipe may serve by being no worse. Without this, an upgrade
that changes the platform's recipe would end all refreshes of a champion that the new recipe does
not beat.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleet_assets.model_choice.audit import AuditRow, state_of
from fleet_assets.model_flow.training_sets import SetSettings, releases
from fleet_assets.models.training import Recipe
from fleet_assets.warehouse.model_registry import read_audit, versions
from fleet_assets.warehouse.model_versions import ModelVersion, recipe_id_of

OF_SET: Final = (
    "hours", "hours_of_vehicle", "faulty_hours", "passes", "seed", "span_days", "virtual_each",
)  # fmt: skip
"""Settings of a training set that belong to the recipe; days and the most vehicles do not."""
RELEASES: Final = ("feature_release", "fault_release")


@dataclass(frozen=True)
class Making:
    """How a training is done.

    Attributes:
        settings: of its set.
        recipe: of its models.
        why: in words.
    """

    settings: SetSettings
    recipe: Recipe
    why: str


def told_recipe(
    recipe: Recipe, settings: Mapping[str, Any], in_use: Mapping[str, int]
) -> dict[str, Any]:
    """What a version tells of how it was trained.

    Args:
        recipe: of the models.
        settings: of the set, by name.
        in_use: releases of catalogues; those of RELEASES count.
    """
    return (
        dataclasses.asdict(recipe)
        | {f"set_{name}": settings[name] for name in OF_SET if name in settings}
        | {name: in_use[name] for name in RELEASES}
    )


def making_now(
    postgres_url: str, settings: SetSettings, recipe: Recipe, training_set: str | None = None
) -> Making:
    """`making_of` by what the registry knows; on a set that is named, as asked for.

    Args:
        postgres_url: the warehouse.
        settings: asked for.
        recipe: asked for.
        training_set: the set that somebody has chosen; None: one is made.

    Raises:
        WarehouseError: the registry cannot be read.
    """
    if training_set is not None:
        return Making(settings, recipe, "as told")
    known, audit = versions(postgres_url), read_audit(postgres_url)
    return making_of(settings, recipe, releases(), known, audit)


def making_of(
    settings: SetSettings,
    recipe: Recipe,
    in_use: Mapping[str, int],
    known: Sequence[ModelVersion],
    audit: Sequence[AuditRow],
) -> Making:
    """The recipe asked for, unless it was tried and does not serve: then the champion's.

    Args:
        settings: asked for; days and the most vehicles are kept in any case.
        recipe: asked for.
        in_use: releases of the catalogues.
        known: all versions.
        audit: all of it.
    """
    asked = told_recipe(recipe, dataclasses.asdict(settings), in_use)
    asked_id = recipe_id_of(asked)
    groups = {group for each in known for group in each.groups}
    states = (state_of(audit, group) for group in sorted(groups))
    serving = {state.champion for state in states if state is not None}
    champions = [each for each in known if each.version_id in serving]
    if not champions:
        return Making(settings, recipe, f"{asked_id}: nothing serves")
    if any(each.recipe_id == asked_id for each in champions):
        return Making(settings, recipe, f"{asked_id}: a refresh of what serves")
    if not any(each.recipe_id == asked_id for each in known):
        return Making(settings, recipe, f"{asked_id}: a new recipe, not tried before")
    for champion in sorted(champions, key=lambda each: each.trained_at, reverse=True):
        if found := _again(champion, settings, in_use):
            why = f"{champion.recipe_id}: a refresh of {champion.version_id}, as {asked_id} was"
            return Making(*found, f"{why} tried and does not serve")
    return Making(settings, recipe, f"{asked_id}: what serves is of another release")


def _again(
    champion: ModelVersion, settings: SetSettings, in_use: Mapping[str, int]
) -> tuple[SetSettings, Recipe] | None:
    """How a champion was trained; None: this release cannot train in that way."""
    told: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in champion.recipe.items()
    }
    names = [field.name for field in dataclasses.fields(Recipe)]
    if not {*names, *(f"set_{name}" for name in OF_SET)} <= told.keys():
        return None
    recipe = Recipe(**{name: told[name] for name in names})
    of_set: dict[str, Any] = {name: told[f"set_{name}"] for name in OF_SET}
    same = dataclasses.replace(settings, **of_set)
    again = told_recipe(recipe, dataclasses.asdict(same), in_use)
    return (same, recipe) if recipe_id_of(again) == champion.recipe_id else None
