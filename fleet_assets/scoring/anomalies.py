"""From pieces of alarms of a model to anomalies that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import polars as pl

from fleet_assets.anomalies.long import LONGEST, parts_of_long
from fleet_assets.anomalies.words import anomaly_id
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.episodes.stitch import stitch
from fleet_assets.features.catalogue import TRAILS
from fleet_assets.models.alarms import USUAL, alarms
from fleet_assets.models.faults import fault_words
from fleet_assets.models.kinds import devices_of
from fleet_assets.scoring.pieces import THRESHOLD
from partitions.hours import hour_key

MODEL_ANOMALIES: Final = TABLE_BY_NAME["model_anomalies"].polars_schema
JOINS_WITHIN: Final = USUAL.joined_within + USUAL.look_back + USUAL.max_gap
"""What lies no further apart may be one anomaly; never less than is so."""
_OF: Final = ["vehicle_id", "condition"]
_TOLD: Final = ("fault", "confidence", "isolation", "is_known", "reasons", "description")


def model_anomalies(pieces: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
    """Anomalies of a stretch of history.

    One ends with the last episode about the device that it is told of. Windows that look back on a
    fault which is over are easily taken for another one, so those that are joined to it extend it
    only if they go on for longer than TRAILS.

    Args:
        pieces: rows of MODEL_PIECE_SCHEMA of all of its hours; the condition says stage and model.
        horizon: event time up to which windows are known: longer silence has ended alarms.

    Returns:
        Rows of `model_anomalies` in order of vehicle, condition and onset.
    """
    found = alarms(pieces)
    if found.is_empty():
        return MODEL_ANOMALIES.to_frame()
    known = pieces.filter(pl.col("fault").is_not_null())
    begins = known.filter(pl.col("part") == "run").select(
        *_OF, "begins_at", detected_at="started_at"
    )
    stops = known.select(*_OF, "stops_at", "ended_at")
    at_peak = known.select(*_OF, "peak_at", *_TOLD).unique([*_OF, "peak_at"])
    trails = pl.col("last_at") - pl.col("own_at") <= TRAILS
    rows = (
        found.join(begins, on=[*_OF, "detected_at"], how="left")
        .join(stops, on=[*_OF, "ended_at"], how="left")
        .join(at_peak, on=[*_OF, "peak_at"], how="left")
        .join(_own_ends(found, pieces, known), on=[*_OF, "detected_at"], how="left")
        .with_columns(started_at=pl.coalesce("begins_at", "started_at"), last_at="ended_at")
        .with_columns(ends_at=pl.coalesce(pl.when(trails).then("own_at"), "stops_at", "ended_at"))
        .with_columns(ended_at=pl.max_horizontal("started_at", "ends_at"))
    )
    parts = parts_of_long(rows)
    told = [_told(row) for row in parts.iter_rows(named=True)]
    closes_at = pl.max_horizontal("last_at", "ended_at") + JOINS_WITHIN
    return (
        parts.drop("description", "confidence")
        .hstack(pl.DataFrame(told, schema=_TOLD_SCHEMA))
        .with_columns(closes_at=closes_at, rule_id=None, rule_version=None)
        .with_columns(
            state=pl.when(pl.col("is_open") & (pl.col("closes_at") >= horizon))
            .then(pl.lit("open"))
            .otherwise(pl.lit("closed")),
            finding_id="anomaly_id",
        )
        .select(pl.col(name).cast(kind) for name, kind in MODEL_ANOMALIES.items())
        .sort(*_OF, "started_at")
    )


def _own_ends(found: pl.DataFrame, pieces: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """When the last episode ends that is about the device of the anomaly.

    Args:
        found: rows of ALARM_SCHEMA.
        pieces: all that they were made of.
        known: those with a fault.

    Returns:
        `vehicle_id`, `condition`, `detected_at`, `own_at`; no row for what has no fault.
    """
    of_device = known.with_columns(device=devices_of(known["fault"]))
    at_peak = of_device.select(*_OF, "peak_at", about="device").unique([*_OF, "peak_at"])
    alarms_about = found.join(at_peak, on=[*_OF, "peak_at"], how="left").select(
        *_OF, "detected_at", "about"
    )
    episodes = (
        stitch(pieces)
        .join(known.select(*_OF, "ended_at", "stops_at"), on=[*_OF, "ended_at"], how="left")
        .select(*_OF, "ended_at", begun="started_at", ends_at=pl.coalesce("stops_at", "ended_at"))
        .sort("begun")
        .join_asof(
            alarms_about.sort("detected_at"), left_on="begun", right_on="detected_at", by=_OF,
            check_sortedness=False,
        )
    )  # fmt: skip
    # an episode over the turn of an hour is in several pieces, which may be named differently
    named = (
        of_device.select(*_OF, "started_at", "device")
        .sort("started_at")
        .join_asof(episodes, left_on="started_at", right_on="begun", by=_OF, check_sortedness=False)
        .filter(pl.col("started_at") <= pl.col("ended_at"), pl.col("device") == pl.col("about"))
    )
    return named.group_by(*_OF, "detected_at").agg(own_at=pl.col("ends_at").max())


_TOLD_SCHEMA: Final = {
    name: MODEL_ANOMALIES[name]
    for name in (
        "event_hour", "anomaly_id", "anomaly_type", "severity", "severity_history", "confidence",
        "continues_id", "evidence", "description", "recommended_action", "model_id", "stage",
    )
}  # fmt: skip


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    stage, _, model_id = row["condition"].partition("/")
    fault = row["fault"] or "unknown/unknown"
    kind, _, subject = fault.partition("/")
    words = fault_words(kind, subject)
    number = row["number"]
    evidence = {
        "peak": row["peak"],
        "peak_at": None if row["peak_at"] is None else row["peak_at"].isoformat(),
        "limit": THRESHOLD,
        "unit": "score",
        "samples": row["windows"],
        "duration_s": (row["ended_at"] - row["started_at"]).total_seconds(),
        "subject": subject,
        "fault": fault,
        "reasons": json.loads(row["reasons"] or "[]"),
        "isolation": row["isolation"],
        "judged_by": "its own forests" if row["is_known"] else "its group's forests",
    }
    reached = {"at": row["detected_at"].isoformat(), "severity": words.severity,
               "model_id": model_id}  # fmt: skip
    return {
        "event_hour": hour_key(row["started_at"]),
        "anomaly_id": _part_id(row, number),
        "anomaly_type": words.anomaly_type,
        "severity": words.severity,
        "severity_history": json.dumps([reached]),
        "confidence": round(row["confidence"] or 0.0, 4),
        "continues_id": _part_id(row, number - 1) if number else None,
        "evidence": json.dumps(evidence),
        "description": row["description"] or "The vehicle behaves unlike itself.",
        "recommended_action": words.action,
        "model_id": model_id,
        "stage": stage,
    }


def _part_id(row: Mapping[str, Any], number: int) -> str:
    begins: datetime = row["onset"] + LONGEST * number
    return anomaly_id(row["vehicle_id"], row["condition"], begins)
