"""Champion or challenger: a verdict for each group, with numbers and reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.bootstrap import Interval
from fleet_assets.model_choice.measured import Measured, measured
from fleet_assets.model_choice.paired import by_vehicle
from fleet_assets.model_choice.policy import ChallengerKind, Comparison, policy
from fleet_assets.model_choice.reasons import (
    alarms_in_words,
    bars_in_words,
    recall_in_words,
    scarce_in_words,
)

Verdict = Literal["stay", "shadow", "serve"]
VERDICTS: Final[tuple[Verdict, ...]] = ("stay", "shadow", "serve")
"""From worst to best. Stay: the champion serves and the challenger is dropped. Shadow: not proven
yet, it goes on computing beside the champion. Serve: it may take its next step."""
_BOUNDED: Final = ("gain", "over", "more")
DECISION_SCHEMA: Final = pl.Schema(
    {
        "group": pl.String(),
        "verdict": pl.String(),
        "confidence": pl.Float64(),
        "vehicles": pl.Int64(),
        "vehicles_with_events": pl.Int64(),
        "vehicle_days": pl.Int64(),
        "events": pl.Int64(),
        "hours": pl.Float64(),
        "champion_recall": pl.Float64(),
        "challenger_recall": pl.Float64(),
        "champion_alarms": pl.Float64(),
        "challenger_alarms": pl.Float64(),
        **{f"{name}{bound}": pl.Float64() for name in _BOUNDED for bound in ("", "_low", "_high")},
        "reasons": pl.String(),
        "is_worse": pl.Boolean(),
    }
)
"""A verdict as a row; see `measured.Measured`. Reasons are one to a line."""
_EXACT: Final = 1e-9
"""Differences below this are none: 0.81 less 0.8 is more than 0.01."""


@dataclass(frozen=True)
class GroupDecision:
    """The verdict for one group.

    Attributes:
        reasons: sentences for people, the deciding ones first.
        confidence: of each bound.
        is_worse: it stays not for want of proof: even the better end of an interval is not good
            enough, or a group bars it.
    """

    group: str
    verdict: Verdict
    reasons: tuple[str, ...]
    numbers: Measured
    confidence: float
    is_worse: bool = False


@dataclass(frozen=True)
class Decision:
    """Verdicts of one comparison, by group in order of their names."""

    kind: ChallengerKind
    groups: tuple[GroupDecision, ...]

    def of(self, group: str) -> GroupDecision:
        """The verdict for a group.

        Raises:
            FleetError: nothing was compared there.
        """
        for found in self.groups:
            if found.group == group:
                return found
        known = ", ".join(found.group for found in self.groups) or "none"
        raise FleetError(f"Nothing was compared in group {group}; there are {known}.")

    def frame(self) -> pl.DataFrame:
        """Rows of DECISION_SCHEMA, one per group."""
        return pl.DataFrame([_row(found) for found in self.groups], schema=DECISION_SCHEMA)


def decide(
    paired: pl.DataFrame, kind: ChallengerKind, numbers: Comparison | None = None
) -> Decision:
    """Decides for each group whether the challenger may serve in place of the champion.

    Both conditions (recall, false alarms) have to be shown, each at the stated confidence; taken
    together they then hold at that confidence too (intersection-union test, Berger 1982).

    Args:
        paired: rows of `paired.PAIRED_SCHEMA`, both models on the same vehicle-days.
        kind: a refresh must not be worse, a new recipe must be better.
        numbers: what is asked; those of `policy.yaml` if None.

    Raises:
        FleetError: the results contradict themselves.
    """
    asked = numbers or policy().comparison
    growth = asked.needs(kind).most_alarm_growth
    found = {
        str(group): measured(str(group), vehicles, growth, asked)
        for (group,), vehicles in by_vehicle(paired).group_by("group", maintain_order=True)
    }
    bars = {group: of for group, each in found.items() if (of := _bars(each, asked))}
    return Decision(
        kind, tuple(_decided(group, each, kind, asked, bars) for group, each in found.items())
    )


def _decided(
    group: str,
    found: Measured,
    kind: ChallengerKind,
    asked: Comparison,
    bars: dict[str, tuple[str, ...]],
) -> GroupDecision:
    told = (
        recall_in_words(found, kind, asked),
        alarms_in_words(found, kind, asked),
    )
    if bars:
        why = tuple(f"{name} bars it from every group: {of}" for name in bars for of in bars[name])
        return GroupDecision(group, "stay", (*why, *told), found, asked.confidence, True)
    if not _is_enough(found, asked):
        scarce = scarce_in_words(found, asked)
        return GroupDecision(group, "stay", (*scarce, *told), found, asked.confidence)
    verdicts = _recall_verdict(found, kind, asked), _alarm_verdict(found)
    worst_first = sorted(zip(verdicts, told, strict=True), key=lambda each: VERDICTS.index(each[0]))
    reasons = tuple(why for _, why in worst_first)
    is_worse = _is_worse(found, kind, asked)
    return GroupDecision(group, worst_first[0][0], reasons, found, asked.confidence, is_worse)


def _is_enough(found: Measured, asked: Comparison) -> bool:
    return not scarce_in_words(found, asked)


def _recall_verdict(found: Measured, kind: ChallengerKind, asked: Comparison) -> Verdict:
    assert found.gain is not None
    least = asked.needs(kind).least_gain - _EXACT
    if found.gain.low >= least:
        return "serve"
    return "shadow" if found.gain.estimate >= least else "stay"


def _alarm_verdict(found: Measured) -> Verdict:
    assert found.over is not None
    if found.over.high <= _EXACT:
        return "serve"
    return "shadow" if found.over.estimate <= _EXACT else "stay"


def _is_worse(found: Measured, kind: ChallengerKind, asked: Comparison) -> bool:
    assert found.gain is not None
    assert found.over is not None
    return found.gain.high < asked.needs(kind).least_gain - _EXACT or found.over.low > _EXACT


def _bars(found: Measured, asked: Comparison) -> tuple[str, ...]:
    """Why a group bars the challenger from all groups; empty if it does not.

    With enough data the estimate counts; with less, the group has to be worse beyond doubt.
    """
    if found.vehicles < asked.bar.least_vehicles:
        return ()
    enough = _is_enough(found, asked)
    gain, more = found.gain, found.more
    loses = gain and (gain.estimate if enough else gain.high) < -asked.bar.most_loss - _EXACT
    is_loud = more and (more.estimate if enough else more.low) > asked.bar.most_more_alarms + _EXACT
    return bars_in_words(found, bool(loses), bool(is_loud), asked)


def _row(found: GroupDecision) -> dict[str, Any]:
    row: dict[str, Any] = {
        "group": found.group, "verdict": found.verdict, "confidence": found.confidence
    }  # fmt: skip
    for name, value in asdict(found.numbers).items():
        if name not in _BOUNDED:
            row[name] = value
            continue
        for bound in ("estimate", "low", "high"):
            row[name if bound == "estimate" else f"{name}_{bound}"] = value and value[bound]
    return row | {"reasons": "\n".join(found.reasons), "is_worse": found.is_worse}


def group_decisions(frame: pl.DataFrame) -> list[GroupDecision]:
    """What rows of DECISION_SCHEMA were made of; further columns do not matter."""
    return [_decision(row) for row in frame.select(DECISION_SCHEMA.names()).iter_rows(named=True)]


def _decision(row: dict[str, Any]) -> GroupDecision:
    intervals = {
        name: None
        if row[name] is None
        else Interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
        for name in _BOUNDED
    }
    numbers: dict[str, Any] = {field.name: row[field.name] for field in fields(Measured)}
    return GroupDecision(
        group=row["group"],
        verdict=row["verdict"],
        reasons=tuple(row["reasons"].split("\n")),
        numbers=Measured(**numbers | intervals),
        confidence=row["confidence"],
        is_worse=row["is_worse"],
    )
