"""How sure a finding is: its margin over the limit × the rule's precision × agreement of signals.

All numbers of the formula stand in the catalogue, so that a finding depends on nothing but its
inputs; what was measured since comes in with a change of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fleet_assets.contracts.signals import SIGNAL_BY_NAME


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Confidence(_Strict):
    """The part that grows from `least` to `most` with the margin over the limit.

    Attributes:
        full_margin: margin, as a share of the limit, at which it is `most`.
    """

    least: float = Field(ge=0, le=1)
    most: float = Field(ge=0, le=1)
    full_margin: float = Field(gt=0)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) is more than most ({self.most})")
        return self

    def of(self, peak: float | None, limit: float | None) -> float:
        """Of a finding; `least` where there is no peak or no limit."""
        if peak is None or not limit:
            return self.least
        margin = abs(peak - limit) / abs(limit)
        return self.least + (self.most - self.least) * min(1.0, margin / self.full_margin)


class Prior(_Strict):
    """What is held of a rule before its precision was measured.

    Attributes:
        precision: share of its findings that are right.
        findings: it weighs as much as so many that were looked at.
    """

    precision: float = Field(gt=0, le=1)
    findings: int = Field(ge=1)


class Precision(_Strict):
    """What was measured of a rule.

    Attributes:
        share: of its findings that were right.
        findings: how many were looked at.
        origin: where the truth came from, and when.
    """

    share: float = Field(ge=0, le=1)
    findings: int = Field(ge=1)
    origin: str = Field(min_length=1)


class Agreement(_Strict):
    """A second, independent signal that speaks of the same.

    Attributes:
        witness: the signal; it agrees if it has a value at the first sample.
        below_limit: and if that value stays below the rule's limit.
        without: factor where it does not agree.
    """

    witness: str
    below_limit: bool = False
    without: float = Field(gt=0, lt=1)

    @field_validator("witness")
    @classmethod
    def _known_signal(cls, given: str) -> str:
        if given not in SIGNAL_BY_NAME:
            raise ValueError(f"{given} is no signal; `fleet contracts show telemetry` lists them")
        return given

    def of(self, signals: Mapping[str, Any], limit: float | None) -> float:
        """The factor, by the signals at the first sample."""
        value = signals.get(self.witness)
        if value is None or (self.below_limit and (limit is None or value >= limit)):
            return self.without
        return 1.0


def expected_precision(measured: Precision | None, prior: Prior) -> float:
    """What was measured, drawn toward the prior the more, the fewer findings were looked at."""
    if measured is None:
        return prior.precision
    right = measured.share * measured.findings + prior.precision * prior.findings
    return right / (measured.findings + prior.findings)
