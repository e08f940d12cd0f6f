"""The catalogue of faults: its form, and reading it with errors that name kind, field and cure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.injection.signals import device_of, known_subject, signals_of

CATALOGUE: Final = Path(__file__).with_name("catalogue.yaml")
KINDS: Final = (
    "bias", "drift", "scale", "noise", "spike", "stuck", "delay", "dropout", "gps_jump",
    "sensor_swap", "thermostat", "misfire", "fuel_leak",
)  # fmt: skip
Where = Literal["any", "running", "driving", "warm"]
Magnitude = Literal["drawn", "duration", "measured"]
Range = tuple[float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Applied(_Strict):
    """Signals that a kind applies to with the same numbers; see the head of the catalogue."""

    signals: tuple[str, ...] = Field(min_length=1)
    unit: str = Field(min_length=1)
    of_usual: bool = False
    least: float | None = Field(default=None, gt=0)
    most: float | None = Field(default=None, gt=0)
    clear_from: float | None = Field(default=None, gt=0)
    least_change: float = Field(default=0, ge=0)

    @field_validator("signals")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for subject in given:
            if not known_subject(subject):
                raise ValueError(
                    f"{subject} is no number that vehicles send; `fleet contracts show telemetry`"
                    " lists them, and gps and accelerometer stand for all of theirs"
                )
        return given


class Kind(_Strict):
    """A kind of fault."""

    kind: str
    family: str = Field(min_length=1)
    title: str = Field(min_length=1)
    what: str = Field(min_length=1)
    where: Where | None = None
    magnitude: Magnitude
    duration_s: Range
    until_drive_ends: bool = False
    applies_to: tuple[Applied, ...] = Field(min_length=1)

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, given: str) -> str:
        if given not in KINDS:
            raise ValueError(f"is none of {', '.join(KINDS)}")
        return given

    @field_validator("duration_s")
    @classmethod
    def _rising(cls, given: Range) -> Range:
        if not 0 < given[0] < given[1]:
            raise ValueError("must be two numbers of seconds, the lower one first")
        return given

    @model_validator(mode="after")
    def _has_range(self) -> Kind:
        wanted = {"drawn": (True, True), "duration": (False, False), "measured": (True, False)}
        for group in self.applies_to:
            if (group.least is not None, group.most is not None) != wanted[self.magnitude]:
                needs = {"drawn": "least and most", "duration": "neither", "measured": "least"}
                raise ValueError(f"{group.signals[0]} needs {needs[self.magnitude]} of least, most")
            if group.most is not None and group.least is not None and group.least >= group.most:
                raise ValueError(f"{group.signals[0]}: least is not below most")
        subjects = self.subjects
        if len(set(subjects)) < len(subjects):
            raise ValueError("a signal is there twice")
        return self

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that it applies to."""
        return tuple(subject for group in self.applies_to for subject in group.signals)

    def applied(self, subject: str) -> Applied:
        """Its numbers for one subject."""
        return next(group for group in self.applies_to if subject in group.signals)

    def magnitude_range(self, subject: str) -> Range | None:
        """Least and largest magnitude in the unit of the subject; None where it is measured."""
        if self.magnitude == "duration":
            return self.duration_s
        group = self.applied(subject)
        return None if group.least is None or group.most is None else (group.least, group.most)


class Catalogue(_Strict):
    """All kinds of faults, and how they are spread over drives."""

    release: int = Field(ge=1)
    margin_s: float = Field(gt=0)
    longest_silence_s: float = Field(gt=0)
    bands: int = Field(ge=2)
    evaluation_share: float = Field(gt=0, lt=1)
    held_out: str
    driving_mph: float = Field(gt=0)
    running_rpm: float = Field(gt=0)
    warm_c: float
    shows_while: dict[str, Where]
    steps: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    kinds: tuple[Kind, ...] = Field(min_length=1)

    @field_validator("steps")
    @classmethod
    def _known_steps(cls, given: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, steps in given.items():
            if name not in SIGNAL_BY_NAME:
                raise ValueError(f"{name} is no signal")
            if min(steps, default=0) <= 0 or list(steps) != sorted(steps, reverse=True):
                raise ValueError(f"{name}: give positive steps, the coarsest first")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        names = [kind.kind for kind in self.kinds]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} is there twice")
        self.check_family(self.held_out)
        for kind in self.kinds:
            for subject in kind.subjects:
                self.where(kind, subject)
            longest = max(group.most or 0 for group in kind.applies_to)
            if kind.kind == "delay" and longest > self.margin_s:
                raise ValueError(f"{kind.kind}: values come from before the margin of margin_s")
        return self

    @property
    def families(self) -> tuple[str, ...]:
        """All families, in order."""
        return tuple(dict.fromkeys(kind.family for kind in self.kinds))

    def check_family(self, family: str) -> None:
        """Raises ValueError if there is no such family."""
        if family not in self.families:
            raise ValueError(f"held_out: {family} is none of {', '.join(self.families)}")

    def of(self, kind: str) -> Kind:
        """One kind.

        Raises:
            FleetError: there is none of this name.
        """
        for found in self.kinds:
            if found.kind == kind:
                return found
        raise FleetError(f"There is no fault {kind}; `fleet faults list` shows all.")

    def where(self, kind: Kind, subject: str) -> Where:
        """What the vehicle does while a fault of a subject can show."""
        if kind.where is not None:
            return kind.where
        device = device_of(signals_of(subject)[0])
        if device not in self.shows_while:
            raise ValueError(f"{kind.kind}: shows_while says nothing of {device}")
        return self.shows_while[device]


def read_catalogue(path: Path = CATALOGUE) -> Catalogue:
    """Reads and checks a catalogue of faults.

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
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise FleetError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return Catalogue.model_validate(given)
    except ValidationError as error:
        lines = [f"{path.name}: {line}" for line in _in_words(given, error)]
        raise FleetError("\n".join(lines[:10])) from None


def _in_words(given: Any, error: ValidationError) -> Iterator[str]:
    for mistake in error.errors():
        where = []
        at: Any = given
        for step in mistake["loc"]:
            try:
                at = at[step]
            except (KeyError, IndexError, TypeError):
                at = None
            named = at.get("kind") if isinstance(at, dict) else None
            where.append(str(named or (step + 1 if isinstance(step, int) else step)))
        told = str(mistake["msg"]).removeprefix("Value error, ")
        yield f"{'.'.join(where)}: {told}" if where else told
