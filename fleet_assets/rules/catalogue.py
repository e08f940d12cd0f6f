"""The catalogue of rules: its form, and reading it with errors that name rule, field and cure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.rules.confidence import Agreement, Confidence, Precision, Prior

CATALOGUE: Final = Path(__file__).with_name("catalogue.yaml")
VEHICLE_TYPES: Final = ("sedan", "suv", "van", "truck")
Severity = Literal["low", "medium", "high", "critical"]
Stage = Literal["off", "shadow", "live"]
ANOMALY_TYPES: Final = (
    "high_rpm", "harsh_braking", "harsh_acceleration", "harsh_cornering", "prolonged_idling",
    "over_speeding", "engine_overheat", "low_fuel", "gps_anomaly", "sensor_failure",
    "battery_voltage", "diagnostic_trouble_code",
)  # fmt: skip
LONGEST_GAP_S: Final = 3600
"""Silence that a number may let an episode survive: hours beside each other are joined by it."""
TOO_LONG: Final = "must be shorter than an hour; `none` survives silence until the contrary is seen"
SAME_FOR_ALL: Final = frozenset({"count", "window_s", "slope_base_s", "mean_window_s"})
"""Numbers that vehicles which are judged together share: none of them can have one of its own."""
FROM_VEHICLE: Final = ("redline_rpm", "nominal_voltage", "tank_gallons")
"""Numbers of a vehicle that parameters may depend on."""
EXEMPTING: Final = ("status", "refrigerated", "has_pto", "vehicle_type", "fleet_id", "model")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Share(_Strict):
    """A share of an attribute of the vehicle."""

    attribute: Literal["redline_rpm", "nominal_voltage", "tank_gallons"]
    times: float = 1.0


class Scale(_Strict):
    """An attribute of the vehicle, over the value that the number was written for."""

    attribute: Literal["redline_rpm", "nominal_voltage", "tank_gallons"]
    over: float = Field(gt=0)


def _as_parameter(given: Any) -> Any:
    if isinstance(given, (bool, list)):
        return given
    if given == "usual":
        return {"policy": "usual"}
    if given == "none":
        return {"policy": "none"}
    return {"value": given} if isinstance(given, int | float) else given


class Parameter(_Strict):
    """A number of a rule, or how it is found; see the head of the catalogue."""

    value: float | None = None
    by_type: dict[Literal["sedan", "suv", "van", "truck"], float] | None = None
    of: str | None = None
    policy: Literal["usual", "none"] | None = None
    times: float = 1.0
    plus: float = 0.0
    at_most: Share | None = None
    scale: Scale | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Parameter:
        sources = [self.value, self.by_type, self.of, self.policy]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give a number, or one of by_type, of")
        return self


class Exemption(_Strict):
    """Vehicles that a rule does not judge."""

    attribute: Literal["status", "refrigerated", "has_pto", "vehicle_type", "fleet_id", "model"]
    equals: str | bool
    reason: str = Field(min_length=1)


class CodeSeverity(_Strict):
    """Severity of a class of trouble codes."""

    matches: str
    severity: Severity
    means: str


class Rule(_Strict):
    """One rule."""

    id: str = Field(pattern=r"^R\d{2}$")
    type: str
    title: str = Field(min_length=1)
    why: str = Field(min_length=1)
    tier_of: str | None = None
    repeats: str | None = None
    daily: bool = False
    by_trip: bool = False
    by_code: bool = False
    parameters: dict[str, Annotated[Parameter, BeforeValidator(_as_parameter)]]
    same_for_all: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    needs_any: tuple[str, ...] = ()
    beyond_bounds: bool = False
    least_rate_hz: float = Field(ge=0)
    exempt: tuple[Exemption, ...] = ()
    severity: Severity
    severity_of: dict[str, Severity] = Field(default_factory=dict)
    severity_of_code: tuple[CodeSeverity, ...] = ()
    unit: str
    confidence: Confidence
    agreement: Agreement | None
    precision: Precision | None
    limit_is: str | dict[str, str] = "set"
    says: str
    action: str = Field(min_length=1)
    source: str = Field(min_length=1)
    version: int = Field(ge=1)
    stage: Stage

    @field_validator("stage", mode="before")
    @classmethod
    def _off_is_a_word(cls, given: Any) -> Any:
        return "off" if given is False else given  # YAML reads a bare `off` as false

    @field_validator("agreement", mode="before")
    @classmethod
    def _none_agrees(cls, given: Any) -> Any:
        return None if given == "none" else given

    @field_validator("type")
    @classmethod
    def _known_type(cls, given: str) -> str:
        if given not in ANOMALY_TYPES:
            raise ValueError(f"is none of {', '.join(ANOMALY_TYPES)}")
        return given

    @field_validator("needs", "needs_any")
    @classmethod
    def _known_signals(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for name in given:
            if name not in SIGNAL_BY_NAME:
                raise ValueError(
                    f"{name} is no signal; `fleet contracts show telemetry` lists them"
                )
        return given

    @field_validator("says")
    @classmethod
    def _fillable(cls, given: str) -> str:
        try:
            given.format(peak="", limit="", duration="", subject="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"may name {{peak}}, {{limit}}, {{duration}} and {{subject}} only ({error})"
            ) from None
        return given

    @model_validator(mode="after")
    def _has_limits(self) -> Rule:
        for name in ("duration", "max_gap"):
            if name not in self.parameters:
                raise ValueError(f"lacks the parameter {name}")
        return self

    @model_validator(mode="after")
    def _gap_is_short(self) -> Rule:
        gap = self.parameters["max_gap"].value if "max_gap" in self.parameters else None
        if gap is not None and gap >= LONGEST_GAP_S:
            raise ValueError(f"max_gap: {TOO_LONG}")
        return self

    @model_validator(mode="after")
    def _limit_is_there(self) -> Rule:
        named = self.limit_is if isinstance(self.limit_is, dict) else {"": self.limit_is}
        for name in named.values():
            if name not in self.parameters and name != "set":
                raise ValueError(f"limit_is: there is no parameter {name}")
        return self

    def refuses_override(self, parameter: str, value: float) -> str | None:
        """Why a fleet, a model or a vehicle cannot have such a number of its own; None: it can."""
        if parameter not in self.parameters:
            return f"{self.id} has no parameter {parameter}; it has {', '.join(self.parameters)}."
        beyond = self.daily or self.by_trip or self.by_code or self.repeats is not None
        if beyond or parameter in SAME_FOR_ALL or parameter in self.same_for_all:
            return (
                f"{self.id}.{parameter} is the same for all vehicles: change it in the catalogue."
            )
        if parameter == "max_gap" and value >= LONGEST_GAP_S:
            return f"{self.id}.max_gap {TOO_LONG}, which only the catalogue can say."
        return None

    def limit_name(self, subject: str = "") -> str:
        """Name of the parameter that findings call the limit.

        Args:
            subject: the signal, where each has a limit of its own.
        """
        if isinstance(self.limit_is, str):
            return self.limit_is
        return self.limit_is.get(subject, "")

    @property
    def base_id(self) -> str:
        """The rule whose tier it is, or itself."""
        return self.tier_of or self.id


class Catalogue(_Strict):
    """A release of all rules.

    Attributes:
        effective_from: hours that begin from then on are judged by it.
        unmeasured: what is held of rules before their precision was measured.
    """

    release: int = Field(ge=1)
    effective_from: AwareDatetime
    exempt_always: tuple[Exemption, ...] = ()
    unmeasured: Prior
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        ids = [rule.id for rule in self.rules]
        for rule_id in ids:
            if ids.count(rule_id) > 1:
                raise ValueError(f"{rule_id} is there twice")
        for rule in self.rules:
            for field, other in (("tier_of", rule.tier_of), ("repeats", rule.repeats)):
                if other is None:
                    continue
                if other not in ids:
                    raise ValueError(f"{rule.id}.{field}: there is no rule {other}")
                if self.rule(other).type != rule.type:
                    raise ValueError(f"{rule.id}.{field}: {other} is of another type")
                if self.rule(other).tier_of:
                    raise ValueError(f"{rule.id}.{field}: {other} is a tier itself")
        self.in_order  # noqa: B018  # raises if a parameter leads nowhere or in a circle
        return self

    def rule(self, rule_id: str) -> Rule:
        """One rule.

        Raises:
            FleetError: there is none of this id.
        """
        found = self.by_id.get(rule_id)
        if found is None:
            raise FleetError(f"There is no rule {rule_id}; `fleet rules list` shows all.")
        return found

    @cached_property
    def by_id(self) -> Mapping[str, Rule]:
        """Rules by their id."""
        return {rule.id: rule for rule in self.rules}

    @cached_property
    def in_order(self) -> tuple[tuple[str, str], ...]:
        """(rule, parameter) of all numbers, each after the one that it depends on."""
        needs: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for rule in self.rules:
            for name, parameter in rule.parameters.items():
                if parameter.of is None:
                    needs[rule.id, name] = []
                    continue
                other_id, _, other = ("", "", parameter.of)
                if "." in parameter.of:
                    other_id, _, other = parameter.of.partition(".")
                source = self.by_id.get(other_id or rule.id)
                if source is None or other not in source.parameters:
                    raise ValueError(f"{rule.id}.{name}: there is no parameter {parameter.of}")
                needs[rule.id, name] = [(source.id, other)]
        try:
            return tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            told = " → ".join(".".join(pair) for pair in error.args[1])
            raise ValueError(f"parameters depend on each other: {told}") from None


def read_catalogue(path: Path = CATALOGUE) -> Catalogue:
    """Reads and checks a catalogue.

    Raises:
        FleetError: it is not one; the first few mistakes are named, one a line.
    """
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise FleetError(f"{path.name} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=4)
def _parsed(path: Path, _: int) -> Catalogue:
    try:
        given = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise FleetError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return Catalogue.model_validate(given)
    except ValidationError as error:
        lines = [_in_words(given, mistake) for mistake in error.errors()[:10]]
        raise FleetError("\n".join(f"{path.name}: {line}" for line in lines)) from None


def _in_words(given: Any, mistake: Any) -> str:
    where: list[str] = []
    at = given
    for step in mistake["loc"]:
        try:
            at = at[step]
        except (KeyError, IndexError, TypeError):
            at = None
        if isinstance(step, int) and isinstance(at, dict):
            where.append(str(at.get("id", f"number {step + 1}")))
        elif step != "rules":
            where.append(str(step))
    told = str(mistake["msg"]).removeprefix("Value error, ")
    place = ".".join(where)
    return f"{place}: {told}" if place else told


def in_force(releases: list[Catalogue], moment: datetime) -> Catalogue:
    """The release that judges an hour which begins at a moment; the first one before any."""
    ordered = sorted(releases, key=lambda found: (found.effective_from, found.release))
    known = [found for found in ordered if found.effective_from <= moment]
    return known[-1] if known else ordered[0]
