"""From the episodes of single rules to findings: tiers joined, durations applied.

Rules that are tiers of one condition make one finding, with the steps that it went through. It is
there when any of its tiers is met.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Catalogue, Rule

RULE_SCHEMA: Final = pl.Schema(
    {
        "rule_id": pl.String(),
        "base_rule_id": pl.String(),
        "anomaly_type": pl.String(),
        "severity": pl.String(),
        "rank": pl.Int64(),
    }
)
"""Of the catalogue: `base_rule_id` is the rule whose tier it is, or itself; `rank` orders the tiers
of a condition, the highest last. `rule_id` may name after a slash what of the vehicle it is about,
where that has a severity of its own."""
FINDING_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "condition": pl.String(),
        "anomaly_type": pl.String(),
        "rule_id": pl.String(),
        "severity": pl.String(),
        "severity_history": pl.List(
            pl.Struct({"at": TIME, "severity": pl.String(), "rule_id": pl.String()})
        ),
        "started_at": TIME,
        "ended_at": TIME,
        "detected_at": TIME,
        "is_open": pl.Boolean(),
        "samples": pl.Int64(),
        "peak": pl.Float64(),
        "peak_at": TIME,
    }
)
SEVERITIES: Final = ("low", "medium", "high", "critical")
_BASE = ["vehicle_id", "condition"]


def ladder(catalogue: Catalogue) -> pl.DataFrame:
    """The tiers of a catalogue: rows of RULE_SCHEMA."""
    rows = []
    for rank, rule in enumerate(catalogue.rules):
        of_subjects = {f"{rule.id}/{name}": severity for name, severity in rule.severity_of.items()}
        rows += [
            (rule_id, rule.base_id, rule.type, severity, rank)
            for rule_id, severity in {rule.id: rule.severity, **of_subjects}.items()
        ]
    return pl.DataFrame(rows, schema=RULE_SCHEMA, orient="row")


def findings(episodes: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    """Joins the tiers of each condition.

    Args:
        episodes: rows of EPISODE_SCHEMA; `condition` is the id of a rule, after a slash what of the
            vehicle it is about. Tiers lie within the episodes of their base rule.
        rules: rows of RULE_SCHEMA.

    Returns:
        Rows of FINDING_SCHEMA in order of vehicle, condition and onset. `condition` names the base
        rule, `rule_id` the highest tier that was met. `detected_at` is the time at which the first
        of them had lasted for its duration.
    """
    subject = pl.col("condition").str.split_exact("/", 1).struct.field("field_1")
    of_subject = rules.select(condition="rule_id", own="severity")
    named = (
        episodes.with_columns(
            rule_id=pl.col("condition").str.split_exact("/", 1).struct.field("field_0")
        )
        .join(rules, on="rule_id")
        .join(of_subject, on="condition", how="left")
        .with_columns(severity=pl.coalesce("own", "severity"))
    )
    about = pl.when(subject.is_null()).then(pl.lit("")).otherwise("/" + subject)
    named = named.with_columns(condition=pl.col("base_rule_id") + about)
    stretches = (
        named.filter(pl.col("rule_id") == pl.col("base_rule_id"))
        .select(*_BASE, "started_at", "ended_at", "is_open", "samples", "peak", "peak_at")
        .sort(*_BASE, "started_at")
    )
    met = (
        named.filter(pl.col("ended_at") - pl.col("started_at") >= pl.col("min_duration"))
        .with_columns(
            at=pl.col("started_at") + pl.col("min_duration"),
            onset=pl.col("started_at"),
            level=pl.col("severity").replace_strict(
                {name: level for level, name in enumerate(SEVERITIES)}, return_dtype=pl.Int64
            ),
        )
        .sort("onset")
    )
    held = met.join_asof(
        stretches.select(*_BASE, "started_at", stretch_end="ended_at").sort("started_at"),
        left_on="onset", right_on="started_at", by=_BASE, strategy="backward", suffix="_base",
        check_sortedness=False,
    )  # fmt: skip
    inside = held.filter(pl.col("onset") <= pl.col("stretch_end"))
    steps = (
        inside.sort("at", "level", "rank", "rule_id")
        .group_by(*_BASE, pl.col("started_at_base").alias("started_at"), maintain_order=True)
        .agg(
            pl.col("anomaly_type").first(),
            rule_id=pl.col("rule_id").sort_by("level", "rank").last(),
            severity=pl.col("severity").sort_by("level", "rank").last(),
            severity_history=_steps(),
            detected_at=pl.col("at").min(),
        )
    )
    return (
        stretches.join(steps, on=[*_BASE, "started_at"])
        .sort(*_BASE, "started_at")
        .select(pl.col(name).cast(kind) for name, kind in FINDING_SCHEMA.items())
    )


def of_rule(made: pl.DataFrame, rule: Rule, severity: pl.Expr | None = None) -> pl.DataFrame:
    """Findings of a rule that has no tiers.

    Args:
        made: the columns of FINDING_SCHEMA that differ from finding to finding.
        rule: the rule.
        severity: where it is not the rule's own.
    """
    own = pl.lit(rule.severity) if severity is None else severity
    step = pl.struct(
        pl.col("detected_at").alias("at"),
        pl.col("severity"),
        pl.col("rule_id"),
    )
    return (
        made.with_columns(
            rule_id=pl.lit(rule.id), anomaly_type=pl.lit(rule.type), severity=own
        )
        .with_columns(severity_history=pl.concat_list(step))
        .select(pl.col(name).cast(kind) for name, kind in FINDING_SCHEMA.items())
    )  # fmt: skip


def _steps() -> pl.Expr:
    """The tiers that raised the severity, in order of time."""
    rises = pl.col("level") > pl.col("level").cum_max().shift(1).fill_null(-1)
    return pl.struct("at", "severity", "rule_id").filter(rises)
