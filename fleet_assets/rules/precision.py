"""Recall and precision of the two sides of a backtest: by known faults, and by what people said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.rules.gate import SLACK, against_truth, rules_against_truth

_SIDES: Final = ("in_force", "proposed")


def by_truth(
    in_force: pl.DataFrame,
    proposed: pl.DataFrame,
    truth: pl.DataFrame,
    begin: datetime,
    end: datetime,
) -> pl.DataFrame:
    """Both sides against known faults, in a span.

    A fault that the span cuts is not asked for, and a finding of it is not wrong.

    Args:
        in_force: rows of FINDING_SCHEMA.
        proposed: rows of FINDING_SCHEMA.
        truth: `vehicle_id`, `kind` (an anomaly type), `start`, `end` of known faults.
        begin: of the span.
        end: of the span.

    Returns:
        `anomaly_type`, `rule_id`, `faults`, and for each side `findings_…`, `recall_…`,
        `precision_…`; null where there is nothing to divide by. First the whole type, without
        `rule_id`, then its rules, which no faults can be asked of.
    """
    touched = truth.filter((pl.col("end") + SLACK >= begin) & (pl.col("start") - SLACK <= end))
    whole = touched.filter((pl.col("start") >= begin) & (pl.col("end") <= end))

    def measured(found: pl.DataFrame) -> pl.DataFrame:
        recall = against_truth(found, whole).select("anomaly_type", "faults", "recall")
        precision = against_truth(found, touched).select("anomaly_type", "findings", "precision")
        by_type = recall.join(precision, on="anomaly_type", how="full", coalesce=True)
        whole_type = by_type.with_columns(rule_id=pl.lit(""), faults=pl.col("faults").fill_null(0))
        return pl.concat([whole_type, rules_against_truth(found, touched)], how="diagonal")

    return _both(measured, in_force, proposed, ["anomaly_type", "rule_id"]).select(
        "anomaly_type",
        pl.col("rule_id").replace("", None),
        pl.coalesce("faults_in_force", "faults_proposed").alias("faults"),
        *(pl.col(f"findings_{side}").fill_null(0) for side in _SIDES),
        *(f"{share}_{side}" for share in ("recall", "precision") for side in _SIDES),
    )


def by_feedback(
    in_force: pl.DataFrame, proposed: pl.DataFrame, marks: pl.DataFrame
) -> pl.DataFrame:
    """Both sides against anomalies that people have marked.

    A finding is as true as the anomaly of its condition, of the same vehicle, that it overlaps; of
    several one that is true is enough. Findings that nobody has marked do not count.

    Args:
        in_force: rows of FINDING_SCHEMA.
        proposed: rows of FINDING_SCHEMA.
        marks: `vehicle_id`, `condition`, `started_at`, `ended_at`, `is_true`.

    Returns:
        `anomaly_type`, `rule_id`, and for each side `marked_…` (findings), `precision_…`.
    """

    def measured(found: pl.DataFrame) -> pl.DataFrame:
        met = (
            found.with_row_index("finding")
            .join(marks, on=["vehicle_id", "condition"], suffix="_marked")
            .filter(
                (pl.col("started_at") <= pl.col("ended_at_marked"))
                & (pl.col("ended_at") >= pl.col("started_at_marked"))
            )
        )
        judged = met.group_by("finding", "anomaly_type", "rule_id").agg(pl.col("is_true").any())
        return judged.group_by("anomaly_type", "rule_id").agg(
            marked=pl.len(), precision=pl.col("is_true").mean()
        )

    of = ["anomaly_type", "rule_id"]
    return _both(measured, in_force, proposed, of).select(
        *of,
        *(pl.col(f"marked_{side}").fill_null(0) for side in _SIDES),
        *(f"precision_{side}" for side in _SIDES),
    )


def _both(
    measured: Callable[[pl.DataFrame], pl.DataFrame],
    in_force: pl.DataFrame,
    proposed: pl.DataFrame,
    of: list[str],
) -> pl.DataFrame:
    """What is measured of each side, beside each other; shares with four digits."""
    sides = []
    for found, side in zip((in_force, proposed), _SIDES, strict=True):
        frame = measured(found).with_columns(pl.col(pl.Float64).round(4))
        sides.append(frame.rename({n: f"{n}_{side}" for n in frame.columns if n not in of}))
    return sides[0].join(sides[1], on=of, how="full", coalesce=True).sort(of)
