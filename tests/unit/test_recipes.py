"""How a scheduled training is done: what is new is tried once, then what serves is refreshed."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, date, datetime

import pytest

from fleet_assets.model_choice.audit import AuditRow, Request, Serving, added
from fleet_assets.model_flow.recipes import RELEASES, Making, making_now, making_of, told_recipe
from fleet_assets.model_flow.training_sets import SetSettings
from fleet_assets.models.training import Recipe
from fleet_assets.warehouse.model_registry import ModelVersion

AT = datetime(2026, 3, 1, tzinfo=UTC)
IN_USE = dict.fromkeys(RELEASES, 1)
ASKED = SetSettings(last_day=date(2026, 3, 1), most_vehicles=7), Recipe()
OLD = replace(ASKED[0], hours=400.0, passes=(4, 4)), Recipe(alarms_per_vehicle_day=0.3)


def version(
    name: str, of: tuple[SetSettings, Recipe], group: str = "truck", **recipe: object
) -> ModelVersion:
    settings, how = of
    told = told_recipe(how, asdict(settings), IN_USE) | recipe
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in told.items()}
    return ModelVersion(name, plain, "ts-1", "1", AT, "test", AT, AT, (group,))


def audit(**serving: str) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for group, who in serving.items():
        rows.append(added(rows, Request(group, AT, "test", "test", AT), "first", Serving(who)))
    return rows


def making(*known: ModelVersion, **serving: str) -> Making:
    return making_of(*ASKED, IN_USE, known, audit(**serving))


def way(made: Making) -> tuple[SetSettings, Recipe]:
    return made.settings, made.recipe


def test_without_a_champion_the_recipe_asked_for_is_taken() -> None:
    assert way(making()) == ASKED
    assert "nothing serves" in making(version("fm-1", OLD)).why


def test_the_champion_s_own_recipe_is_a_refresh() -> None:
    made = making(version("fm-1", ASKED), truck="fm-1")
    assert way(made) == ASKED
    assert "a refresh" in made.why


def test_a_new_recipe_is_tried_once_then_what_serves_is_refreshed() -> None:
    champion = version("fm-1", OLD)
    first = making(champion, truck="fm-1")
    assert way(first) == ASKED
    assert "not tried before" in first.why
    tried = version("fm-2", ASKED)
    after = making(tried, champion, truck="fm-1")
    assert way(after) == OLD
    assert "a refresh of fm-1" in after.why


def test_on_a_set_that_is_named_the_recipe_told_is_kept_whatever_the_registry_knows() -> None:
    assert making_now("postgresql://nowhere", *ASKED, "ts-1") == Making(*ASKED, "as told")


def test_where_it_serves_one_group_it_goes_on() -> None:
    one, two = version("fm-1", OLD, "van"), version("fm-2", ASKED, "truck")
    assert way(making(two, one, van="fm-1", truck="fm-2")) == ASKED


@pytest.mark.parametrize("change", [{"feature_release": 0}, {"lost": 1}])
def test_what_this_release_cannot_train_is_not_taken(change: dict[str, object]) -> None:
    champion, tried = version("fm-1", OLD, **change), version("fm-2", ASKED)
    made = making(tried, champion, truck="fm-1")
    assert way(made) == ASKED
    assert "another release" in made.why


def test_a_champion_that_lacks_a_setting_is_not_taken() -> None:
    champion = version("fm-1", OLD)
    old = replace(champion, recipe={k: v for k, v in champion.recipe.items() if k != "folds"})
    assert way(making(version("fm-2", ASKED), old, truck="fm-1")) == ASKED
