"""Labelled spans of telemetry from three sources, in one shape and kept apart by `source`.

Injected faults are certain. Feedback says what people found an anomaly to be. Rules are weak: an
episode says that a limit was passed, not that something is broken.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from fleet_assets.injection.signals import known_subject
from fleet_assets.injection.truth import TRUTH_SCHEMA

SOURCES: Final = ("injected", "feedback", "rule")
LABEL_SCHEMA: Final = pl.Schema(
    dict(TRUTH_SCHEMA) | {"source": pl.String(), "is_true": pl.Boolean()}
)
"""The shape of truth. Where an anomaly is the source, `fault_id` is its id, `kind` its type; what
only injected faults have (`family`, `magnitude`, `unit`, `is_clear`, `seed`) is null. `signal` is
null where the condition is about none. `is_true` is false where people said that it is no anomaly:
the span counts as healthy."""
_ORDER: Final = ["vehicle_id", "started_at", "fault_id"]


def labels_of_faults(truth: pl.DataFrame) -> pl.DataFrame:
    """Labels from injected faults.

    Args:
        truth: rows of TRUTH_SCHEMA.

    Returns:
        Rows of LABEL_SCHEMA with source `injected`.
    """
    return _labels(truth, "injected", is_true=pl.lit(value=True))


def labels_of_rules(
    rule_anomalies: pl.DataFrame, stages: Collection[str] = ("live",)
) -> pl.DataFrame:
    """Weak labels from what the rules have found.

    Args:
        rule_anomalies: rows of `rule_anomalies`: `anomaly_id`, `vehicle_id`, `anomaly_type`,
            `condition`, `started_at`, `ended_at`, `stage`.
        stages: stages of rules that count; rules on trial are left out unless named.

    Returns:
        Rows of LABEL_SCHEMA with source `rule`.
    """
    counted = rule_anomalies.filter(pl.col("stage").is_in(list(stages)))
    return _labels(_as_faults(counted), "rule", is_true=pl.lit(value=True))


def labels_of_feedback(feedback: pl.DataFrame, anomalies: pl.DataFrame) -> pl.DataFrame:
    """Labels from what people said of anomalies; the last word on each counts.

    Args:
        feedback: rows of `anomaly_feedback`: `feedback_id` (rising), `anomaly_id`, `current_id`
            (what the anomaly is called now; null: as it was), `is_true`, and `vehicle_id`,
            `condition`, `started_at`, `ended_at` of the anomaly as it was marked.
        anomalies: rows of `anomalies` or `rule_anomalies`, which say where the marked ones lie now.
            A marked anomaly that is not among them keeps its span, and `kind` is null.

    Returns:
        Rows of LABEL_SCHEMA with source `feedback`, one for each anomaly.
    """
    last = (
        feedback.with_columns(anomaly_id=pl.coalesce("current_id", "anomaly_id"))
        .sort("feedback_id")
        .unique("anomaly_id", keep="last", maintain_order=True)
    )
    places = ["vehicle_id", "condition", "started_at", "ended_at"]
    now = anomalies.select("anomaly_id", "anomaly_type", *places).unique("anomaly_id")
    found = last.join(now, on="anomaly_id", how="left", suffix="_now").with_columns(
        pl.coalesce(f"{name}_now", name).alias(name) for name in places
    )
    return _labels(_as_faults(found), "feedback", is_true=pl.col("is_true"))


def _as_faults(found: pl.DataFrame) -> pl.DataFrame:
    """Anomalies under the names of truth."""
    subject = pl.col("condition").str.split("/").list.get(1, null_on_oob=True)
    subjects = found.select(subject).to_series().drop_nulls().unique()
    signals = [name for name in subjects if known_subject(name)]
    return found.with_columns(
        fault_id=pl.col("anomaly_id"),
        kind=pl.col("anomaly_type"),
        signal=pl.when(subject.is_in(signals)).then(subject),
    )


def _labels(found: pl.DataFrame, source: str, *, is_true: pl.Expr) -> pl.DataFrame:
    missing = [name for name in LABEL_SCHEMA if name not in found.columns]
    return (
        found.with_columns(pl.lit(None).alias(name) for name in missing)
        .with_columns(source=pl.lit(source), is_true=is_true)
        .select(LABEL_SCHEMA.names())
        .cast(LABEL_SCHEMA)
        .sort(_ORDER)
    )
