"""An hour's windows judged by a model: pieces of alarms, with what is to be told of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.features.kernel import STEP
from fleet_assets.models.alarms import ALARM_PIECE_SCHEMA, USUAL, alarm_pieces
from fleet_assets.models.bounds import refined
from fleet_assets.models.fleet_model import SCORE_SCHEMA, FleetModel
from fleet_assets.models.reasons import explained
from fleet_assets.models.steps import MOST_SAME_S

THRESHOLD: Final = 1.0
"""Scores are such that an alarm begins here."""
WINDOWS_BEFORE: Final = timedelta(seconds=180) + USUAL.look_back
"""Windows before the hour that are looked at: the longest span of evidence, and what decides with
the first window of the hour whether it is an alarm."""
TELEMETRY_BEFORE: Final = WINDOWS_BEFORE + STEP + timedelta(seconds=MOST_SAME_S)
MODEL_PIECE_SCHEMA: Final = pl.Schema(
    {
        **ALARM_PIECE_SCHEMA,
        "begins_at": TIME, "stops_at": TIME, "fault": pl.String(), "confidence": pl.Float64(),
        "isolation": pl.Float64(), "is_known": pl.Boolean(), "reasons": pl.String(),
        "description": pl.String(),
    }
)  # fmt: skip
"""`begins_at`, `stops_at`: bounds by messages; the rest is told of the window at `peak_at`.
`reasons`: JSON list of the strongest numbers. All null in marks and in pieces without a fault."""
TALLY_SCHEMA: Final = pl.Schema(
    {
        "model_id": pl.String(), "vehicle_group": pl.String(), "stage": pl.String(),
        "vehicles": pl.Int64(), "unknown_vehicles": pl.Int64(), "windows": pl.Int64(),
        "unscored_windows": pl.Int64(), "alarm_windows": pl.Int64(), "score_median": pl.Float64(),
        "score_p99": pl.Float64(), "score_most": pl.Float64(),
    }
)  # fmt: skip
"""What a model did in an hour, by group and stage."""
_WHOSE: Final = ("model_id", "vehicle_group", "stage")


def model_pieces(
    scores: pl.DataFrame,
    frame: pl.DataFrame,
    telemetry: pl.DataFrame,
    model: FleetModel,
    since: datetime,
) -> pl.DataFrame:
    """Pieces of alarms of one hour.

    Args:
        scores: rows of SCORE_SCHEMA of the hour and of WINDOWS_BEFORE, by vehicle and time.
        frame: the model frame that they come from.
        telemetry: rows of the vehicles in the hour and TELEMETRY_BEFORE.
        model: what they come from.
        since: beginning of the hour.

    Returns:
        Rows of MODEL_PIECE_SCHEMA.
    """
    found = alarm_pieces(scores, THRESHOLD, since=since, marks=False)
    at_peak = scores.select(
        "vehicle_id", "fault", "confidence", "isolation", "is_known", peak_at="window_end"
    )
    named = found.join(at_peak, on=["vehicle_id", "peak_at"], how="left", maintain_order="left")
    told = named.filter(pl.col("fault").is_not_null())
    rest = named.filter(pl.col("fault").is_null())
    exact = _bounded(told, telemetry)
    words = explained(exact, frame, model) if exact.height else _wordless(exact)
    reasons = [_json(each) for each in words["reasons"].to_list()]
    full = words.with_columns(reasons=pl.Series(reasons, dtype=pl.String))
    return (
        pl.concat([full, _wordless(rest)], how="diagonal_relaxed")
        .select(pl.col(name).cast(kind) for name, kind in MODEL_PIECE_SCHEMA.items())
        .sort("vehicle_id", "condition", "started_at")
    )


def tally(scores: pl.DataFrame, assigned: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """What a model did in an hour to some of the vehicles, for `added_up`.

    Args:
        scores: rows of SCORE_SCHEMA.
        assigned: rows of ASSIGNED_SCHEMA of its vehicles.
        since: beginning of the hour.

    Returns:
        `model_id`, `vehicle_group`, `stage`, counts as in TALLY_SCHEMA, and all `scores`.
    """
    return (
        scores.filter(pl.col("window_end") > since)
        .join(assigned, on="vehicle_id")
        .group_by(_WHOSE)
        .agg(
            vehicles=pl.col("vehicle_id").n_unique(),
            unknown_vehicles=pl.col("vehicle_id").filter(~pl.col("is_known")).n_unique(),
            scores=pl.col("score").cast(pl.Float32),
        )
    )


def unscored(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of SCORE_SCHEMA for the windows of a frame, of which nothing is said."""
    return frame.select("vehicle_id", "window_end", is_known=pl.lit(False)).select(
        pl.col(name)
        if name in ("vehicle_id", "window_end", "is_known")
        else pl.lit(None, kind).alias(name)
        for name, kind in SCORE_SCHEMA.items()
    )


def added_up(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows of TALLY_SCHEMA from what `tally` gave of different vehicles."""
    if not parts:
        return TALLY_SCHEMA.to_frame()
    score = pl.col("scores").explode()
    return (
        pl.concat(parts)
        .group_by(_WHOSE)
        .agg(
            pl.col("vehicles", "unknown_vehicles").sum(),
            windows=pl.col("scores").list.len().sum(),
            unscored_windows=score.null_count(),
            alarm_windows=(score >= THRESHOLD).sum(),
            score_median=score.median(),
            score_p99=score.quantile(0.99),
            score_most=score.max(),
        )
        .select(pl.col(name).cast(kind) for name, kind in TALLY_SCHEMA.items())
        .sort(_WHOSE)
    )


def _bounded(told: pl.DataFrame, telemetry: pl.DataFrame) -> pl.DataFrame:
    """With `begins_at` and `stops_at`."""
    spans = told.with_columns(
        first=pl.col("started_at"),
        last=pl.col("ended_at"),
        started_at=pl.coalesce("onset_at", "started_at") - STEP,
    )
    return refined(spans, telemetry).with_columns(
        begins_at="started_at", stops_at="ended_at", started_at="first", ended_at="last"
    )


def _wordless(rows: pl.DataFrame) -> pl.DataFrame:
    nothing = ("begins_at", "stops_at", "reasons", "description")
    return rows.with_columns(
        pl.lit(None, MODEL_PIECE_SCHEMA[name]).alias(name) for name in nothing
    ).select(MODEL_PIECE_SCHEMA.names())


def _json(reasons: Sequence[dict[str, Any]] | None) -> str | None:
    """Numbers as people read them: four digits are enough."""
    if reasons is None:
        return None
    return json.dumps(
        [
            {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in each.items()}
            for each in reasons
        ]
    )
