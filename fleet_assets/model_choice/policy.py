"""The numbers of the decisions; their values and meaning stand in `policy.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fleet_assets.errors import FleetError

POLICY: Final = Path(__file__).with_name("policy.yaml")
ChallengerKind = Literal["refresh", "recipe"]
"""A refresh is the champion's recipe trained on newer data; anything else is a new recipe."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Needs(_Strict):
    """What a challenger has to show in a group."""

    least_gain: float = Field(gt=-1, lt=1)
    most_alarm_growth: float = Field(ge=0)


class Bar(_Strict):
    """How much worse no group may be."""

    most_loss: float = Field(gt=0, lt=1)
    most_more_alarms: float = Field(gt=0)
    least_vehicles: int = Field(ge=2)


class Comparison(_Strict):
    """Champion against challenger."""

    confidence: float = Field(gt=0.5, lt=1)
    resamples: int = Field(ge=200)
    seed: int
    least_vehicles: int = Field(ge=2)
    least_events: int = Field(ge=1)
    least_hours: float = Field(gt=0)
    refresh: Needs
    recipe: Needs
    bar: Bar

    def needs(self, kind: ChallengerKind) -> Needs:
        """What a challenger of a kind has to show."""
        return self.refresh if kind == "refresh" else self.recipe

    def for_looks(self, looks: int) -> Comparison:
        """The same for a verdict that is looked at again and again while data comes in.

        A challenger that may try often passes by luck; doubt is shared among the looks
        (Bonferroni), so that it passes wrongly in any of them as rarely as in one.
        """
        return self.model_copy(update={"confidence": 1 - (1 - self.confidence) / looks})

    @model_validator(mode="after")
    def _a_recipe_needs_more(self) -> Self:
        if self.recipe.least_gain <= 0:
            raise ValueError("recipe.least_gain: a new recipe has to be better, give more than 0")
        if self.refresh.least_gain > self.recipe.least_gain:
            raise ValueError("refresh.least_gain is more than that of a recipe")
        if -self.bar.most_loss > self.refresh.least_gain:
            raise ValueError("bar.most_loss is less than a refresh may lose")
        return self


class RolloutSteps(_Strict):
    """How a challenger spreads: days after which each step is looked at, the last one ends it."""

    share: float = Field(gt=0, lt=1)
    shadow_days: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    part_days: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)

    @field_validator("shadow_days", "part_days")
    @classmethod
    def _rising(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(set(given)) != list(given):
            raise ValueError("give days in rising order")
        return given

    def looks(self, stage: str) -> tuple[int, ...]:
        """Days after which a step is looked at."""
        return self.part_days if stage == "part" else self.shadow_days


class Uses(_Strict):
    """How often a set may be used, by kind of challenger."""

    refresh: int = Field(ge=1)
    recipe: int = Field(ge=1)


class FirstModel(_Strict):
    """What a first model has to reach on days that no training saw."""

    most_false_alarms: float = Field(gt=0)
    least_recall: float = Field(gt=0, lt=1)
    least_hours: float = Field(gt=0)
    least_faults: int = Field(ge=1)

    @model_validator(mode="after")
    def _silence_tells(self) -> Self:
        if self.least_hours * self.most_false_alarms < 3 - 1e-9:
            raise ValueError(
                "least_hours: silence in less than 3 / most_false_alarms tells nothing"
            )
        return self


class EvaluationSets(_Strict):
    """Evaluation sets and their wear."""

    least_days: int = Field(ge=1)
    most_uses: Uses


class Drift(_Strict):
    """When a feature has drifted."""

    false_discovery_rate: float = Field(gt=0, lt=1)
    least_effect: float = Field(ge=0, le=1)
    least_days: int = Field(ge=1)
    least_vehicles: int = Field(ge=6)
    least_new_vehicles: int = Field(ge=3)


class Policy(_Strict):
    """All numbers."""

    first_model: FirstModel
    comparison: Comparison
    rollout: RolloutSteps
    evaluation_sets: EvaluationSets
    drift: Drift

    def comparison_on_trial(self, stage: str) -> Comparison:
        """What is asked of a challenger in the shadow or in part: as sure over all looks."""
        return self.comparison.for_looks(len(self.rollout.looks(stage)))


def read_policy(path: Path) -> Policy:
    """Reads a policy.

    Raises:
        FleetError: the file is not what it should be.
    """
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, found['loc']))}: {found['msg'].removeprefix('Value error, ')}"
            for found in error.errors()
        )
        raise FleetError(f"{path.name}: {wrong}") from None
    except (OSError, yaml.YAMLError) as error:
        raise FleetError(f"{path.name}: {' '.join(str(error).split())}") from None


@cache
def policy() -> Policy:
    """The policy in `policy.yaml`."""
    return read_policy(POLICY)
