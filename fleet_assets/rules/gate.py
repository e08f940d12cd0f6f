"""Gates: what a catalogue has to reach before it is merged."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet_assets.errors import FleetError

GATES: Final = Path(__file__).with_name("gates.yaml")
RELEASES: Final = Path(__file__).with_name("releases")
SLACK: Final = pl.duration(seconds=60)
"""A finding belongs to a fault that it overlaps, give or take so much."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FalseAlarms(_Strict):
    """Most findings per vehicle-hour of healthy vehicles, but for rules whose findings are true."""

    types: tuple[str, ...]
    except_: tuple[str, ...] = Field(default=(), alias="except")
    high: float = Field(gt=0)
    any: float = Field(gt=0)


class Gates(_Strict):
    """What has to be kept; see the file."""

    recall: float = Field(ge=0, le=1)
    precision: float = Field(ge=0, le=1)
    false_alarms: FalseAlarms
    growth: float = Field(ge=1)
    growth_from: int = Field(ge=1)


def read_gates(path: Path = GATES) -> Gates:
    """Reads the gates.

    Raises:
        FleetError: the file is not what it should be.
    """
    try:
        return Gates.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise FleetError(f"{path.name}: {' '.join(str(error).split())}") from None


def last_release() -> Path:
    """The newest catalogue that was released."""
    return max(RELEASES.glob("*.yaml"), key=lambda path: int(path.stem))


def against_truth(findings: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Recall and precision by type.

    Args:
        findings: rows of FINDING_SCHEMA.
        truth: `vehicle_id`, `kind` (an anomaly type), `start`, `end` of known faults.

    Returns:
        `anomaly_type`, `faults`, `recall`, `findings`, `precision`; null where there are none.
    """
    faults = truth.with_row_index("fault").rename({"kind": "anomaly_type"})
    met = _met(findings, faults)
    recall = faults.group_by("anomaly_type").agg(
        faults=pl.len(), recall=pl.col("fault").is_in(met["fault"].unique().implode()).mean()
    )
    precision = _precision(findings, met, ["anomaly_type"])
    return recall.join(precision, on="anomaly_type", how="full", coalesce=True).sort("anomaly_type")


def rules_against_truth(findings: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Precision by rule: a finding is right if it meets a fault of its type.

    Args:
        findings: rows of FINDING_SCHEMA.
        truth: `vehicle_id`, `kind` (an anomaly type), `start`, `end` of known faults.

    Returns:
        `anomaly_type`, `rule_id` (the highest tier that was reached), `findings`, `precision`.
    """
    faults = truth.with_row_index("fault").rename({"kind": "anomaly_type"})
    by_rule = ["anomaly_type", "rule_id"]
    return _precision(findings, _met(findings, faults), by_rule).sort(by_rule)


def _met(findings: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """Pairs of `fault` and `finding` that belong together."""
    found = findings.with_row_index("finding")
    return faults.join(found, on=["vehicle_id", "anomaly_type"]).filter(
        (pl.col("started_at") <= pl.col("end") + SLACK)
        & (pl.col("ended_at") >= pl.col("start") - SLACK)
    )


def _precision(findings: pl.DataFrame, met: pl.DataFrame, of: list[str]) -> pl.DataFrame:
    right = pl.col("finding").is_in(met["finding"].unique().implode())
    found = findings.with_row_index("finding")
    return found.group_by(of).agg(findings=pl.len(), precision=right.mean())


def broken_by_truth(gates: Gates, measured: pl.DataFrame) -> list[str]:
    """Gates that recall and precision (`against_truth`) do not keep, in words."""
    broken = [
        f"{kind}: recall {recall:.1%} of {faults} known faults, at least {gates.recall:.0%}"
        for kind, faults, recall in measured.drop_nulls("recall")
        .filter(pl.col("recall") < gates.recall)
        .select("anomaly_type", "faults", "recall")
        .iter_rows()
    ]
    broken += [
        f"{kind}: precision {share:.1%} of {count} findings, at least {gates.precision:.0%}"
        for kind, count, share in measured.drop_nulls("precision")
        .filter(pl.col("precision") < gates.precision)
        .select("anomaly_type", "findings", "precision")
        .iter_rows()
    ]
    return broken


def broken_by_alarms(gates: Gates, findings: pl.DataFrame, vehicle_hours: float) -> list[str]:
    """Gates that findings on healthy vehicles do not keep, in words."""
    mine = findings.filter(
        pl.col("anomaly_type").is_in(gates.false_alarms.types)
        & ~pl.col("rule_id").is_in(gates.false_alarms.except_)
    )
    urgent = mine.filter(pl.col("severity").is_in(["high", "critical"]))
    return [
        f"{what}: {rows.height / vehicle_hours:.3f} false alarms per vehicle-hour on healthy"
        f" vehicles, at most {most}"
        for what, rows, most in (
            ("high and critical", urgent, gates.false_alarms.high),
            ("any severity", mine, gates.false_alarms.any),
        )
        if rows.height / max(vehicle_hours, 1e-9) > most
    ]


def broken_by_growth(gates: Gates, in_force: pl.DataFrame, proposed: pl.DataFrame) -> list[str]:
    """Types of which there would be too many more findings than by the last release."""
    counts = [
        frame.group_by("anomaly_type").len(name) for frame, name in
        ((in_force, "before"), (proposed, "after"))
    ]  # fmt: skip
    both = counts[0].join(counts[1], on="anomaly_type", how="full", coalesce=True).fill_null(0)
    least = pl.max_horizontal("before", pl.lit(gates.growth_from))
    grown = both.filter(pl.col("after") > least * gates.growth).sort("anomaly_type")
    return [
        f"{kind}: {after} findings, {before} by the last release, at most {gates.growth} times"
        " as many"
        for kind, before, after in grown.iter_rows()
    ]
