"""The catalogue of features: its form, and reading it with errors that name feature and field."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.errors import FleetError

CATALOGUE: Final = Path(__file__).with_name("catalogue.yaml")
COUNT: Final = 48
"""So many features there are; tables, models and pages rely on it."""
Horizon = Literal[10, 60, 300]
LONGEST_S: Final = 300
"""The longest horizon."""
TRAILS: Final = timedelta(seconds=LONGEST_S)
"""So long a moment shows in features after it."""
REACH_S: Final = 75
"""How far before a window its differences may reach: a gap, and the bases before that."""
Group = Literal[
    "level", "spread", "slope", "extreme", "share of time", "harsh events", "agreement",
    "stuckness", "missingness", "z-score",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Number(_Strict):
    """A number that definitions share."""

    value: float
    unit: str
    means: str = Field(min_length=1)


class Feature(_Strict):
    """One feature.

    Attributes:
        signals: all of them are needed for a value; empty: it looks at messages as such.
        measure: how it is computed; None: it is a z-score.
        per_s: seconds that a slope is given for.
        of: the feature that a z-score judges.
        against: whose baseline.
        least_spread: a baseline of the feature never spreads less, in its unit; None: it has none.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    group: Group
    definition: str = Field(min_length=1)
    unit: str
    signals: tuple[str, ...]
    horizon_s: Horizon
    measure: str | None = None
    per_s: float = 1.0
    of: str | None = None
    against: Literal["vehicle", "type"] | None = None
    least_spread: float | None = Field(default=None, gt=0)
    null_policy: str = Field(min_length=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Feature:
        unknown = [name for name in self.signals if name not in SIGNAL_BY_NAME]
        if unknown:
            raise ValueError(f"no signal {', '.join(unknown)}")
        if (self.measure is None) == (self.of is None):
            raise ValueError("give `measure`, or `of` for a z-score")
        if (self.of is None) != (self.against is None):
            raise ValueError("`of` and `against` go together")
        if f"_{self.horizon_s}s" not in self.name:
            raise ValueError(f"the name tells the horizon: _{self.horizon_s}s")
        return self


class FeatureCatalogue(_Strict):
    """All features, in the order of their columns."""

    release: int = Field(ge=1)
    numbers: dict[str, Number]
    features: tuple[Feature, ...]

    @model_validator(mode="after")
    def _is_consistent(self) -> FeatureCatalogue:
        if len(self.features) != COUNT:
            raise ValueError(f"there are {len(self.features)} features, not {COUNT}")
        twice = [name for name, n in Counter(f.name for f in self.features).items() if n > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice")
        for feature in self.features:
            judged = self._by_name.get(feature.of) if feature.of else None
            if feature.of and (judged is None or judged.least_spread is None):
                raise ValueError(f"{feature.name}: {feature.of} is no feature with a least_spread")
            if judged and judged.horizon_s != feature.horizon_s:
                raise ValueError(f"{feature.name}: {feature.of} has another horizon")
        return self

    @model_validator(mode="after")
    def _reaches_not_too_far(self) -> FeatureCatalogue:
        harsh_s = self.number("harsh_base_s") + 2 * self.number("harsh_step_s")
        bases_s = max(harsh_s, self.number("agreement_base_s"))
        if self.number("most_gap_s") + bases_s + 1 > REACH_S:
            raise ValueError(f"most_gap_s and the bases come to more than {REACH_S - 1} s")
        return self

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @cached_property
    def fingerprint(self) -> int:
        """A number of 48 bits that changes with anything in it."""
        return int.from_bytes(sha256(self.model_dump_json().encode()).digest()[:6])

    @property
    def names(self) -> list[str]:
        """Names in order."""
        return [feature.name for feature in self.features]

    @property
    def with_baseline(self) -> list[Feature]:
        """Features that baselines are kept of."""
        return [feature for feature in self.features if feature.least_spread is not None]

    def feature(self, name: str) -> Feature:
        """One of them.

        Raises:
            FleetError: there is no such feature.
        """
        if name not in self._by_name:
            raise FleetError(f"no feature {name}: `fleet features list` shows all.")
        return self._by_name[name]

    def number(self, name: str) -> float:
        """A number that definitions share, in its unit.

        Raises:
            ValueError: there is no such number.
        """
        if name not in self.numbers:
            raise ValueError(f"numbers lack {name}")
        return self.numbers[name].value


def read_features(path: Path = CATALOGUE) -> FeatureCatalogue:
    """Reads and checks a catalogue.

    Raises:
        FleetError: it is not one; the first few mistakes are named, one a line.
    """
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise FleetError(f"{path.name} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=4)
def _parsed(path: Path, _: int) -> FeatureCatalogue:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise FleetError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return FeatureCatalogue.model_validate(given)
    except ValidationError as error:
        lines = [_in_words(given, mistake) for mistake in error.errors()[:10]]
        raise FleetError("\n".join(f"{path.name}: {line}" for line in lines)) from None


def _in_words(given: Any, mistake: Any) -> str:
    where = [str(step) for step in mistake["loc"]]
    if len(where) > 1 and where[0] == "features":
        entry = given["features"][mistake["loc"][1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        where = [str(name or f"number {mistake['loc'][1] + 1}"), *where[2:]]
    told = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(where)}: {told}" if where else told
