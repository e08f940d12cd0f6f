"""Events that repeat within some time: three harsh brakings in ten minutes (R08, R11, R14)."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from fleet_assets.episodes.stitch import stitch
from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.findings import FINDING_SCHEMA, findings, ladder


def findings_of(pieces: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """All findings of a history.

    Args:
        pieces: rows of PIECE_SCHEMA of all of its windows.
        catalogue: the rules.

    Returns:
        Rows of FINDING_SCHEMA.
    """
    return with_repeated(findings(stitch(pieces), ladder(catalogue)), catalogue)


def with_repeated(found: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Findings and what their repetition amounts to.

    The event that completes the number opens a finding, which began with the first of them, and
    goes on as long as each further event completes the number again.

    Args:
        found: rows of FINDING_SCHEMA of all events of a vehicle's stretch of time.
        catalogue: its rules with `repeats` name the rule whose findings count.
    """
    parts = [found]
    for rule in catalogue.rules:
        if rule.repeats is None or rule.stage == "off":
            continue
        count, window_s = (rule.parameters[name].value for name in ("count", "window_s"))
        assert count is not None
        assert window_s is not None
        events = found.filter(pl.col("condition") == rule.repeats)
        made = _series(events, int(count), timedelta(seconds=window_s))
        step = pl.struct(
            pl.col("detected_at").alias("at"),
            pl.lit(rule.severity).alias("severity"),
            pl.lit(rule.id).alias("rule_id"),
        )
        parts.append(
            made.with_columns(
                condition=pl.lit(rule.id),
                rule_id=pl.lit(rule.id),
                anomaly_type=pl.lit(rule.type),
                severity=pl.lit(rule.severity),
                severity_history=pl.concat_list(step),
            ).select(pl.col(name).cast(kind) for name, kind in FINDING_SCHEMA.items())
        )
    return pl.concat(parts).sort("vehicle_id", "condition", "started_at")


def _series(events: pl.DataFrame, count: int, window: timedelta) -> pl.DataFrame:
    """Runs of events each of which is the last of so many within the window."""
    ordered = events.sort("vehicle_id", "started_at")
    first = pl.col("started_at").shift(count - 1).over("vehicle_id")
    number = pl.int_range(pl.len()).over("vehicle_id")
    completes = (pl.col("started_at") - first <= window).fill_null(False)
    numbered = ordered.with_columns(first=first, number=number, completes=completes)
    new = pl.col("completes") & ~pl.col("completes").shift(1, fill_value=False).over("vehicle_id")
    return (
        numbered.with_columns(series=new.cum_sum())
        .filter("completes")
        .group_by("vehicle_id", "series", maintain_order=True)
        .agg(
            started_at=pl.col("first").min(),
            ended_at=pl.col("ended_at").max(),
            detected_at=pl.col("detected_at").min(),
            is_open=pl.col("is_open").last(),
            samples=pl.len() + (count - 1),
            peak=(pl.len() + (count - 1)).cast(pl.Float64),
            peak_at=pl.col("started_at").last(),
        )
    )
