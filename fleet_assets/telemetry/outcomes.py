"""Counting where messages went, by offset range and by vehicle.

Counts are kept as running totals: a step adds what its messages became and takes back what a
contested message was counted as before.
"""

from __future__ import annotations

import json
from datetime import timedelta

import polars as pl

from fleet_assets.contracts.reasons import NO_VEHICLE
from fleet_assets.contracts.tables import TELEMETRY_OUTCOMES, VEHICLE_OUTCOMES
from fleet_assets.telemetry.resolve import ACCEPTED, DUPLICATE

RANGE = [
    "event_hour", "kafka_topic_id", "kafka_partition", "offset_start", "offset_end",
    "landing_version",
]  # fmt: skip
PENDING = [*RANGE, "replay_of"]
"""Columns of `raw_telemetry` that `pending_outcomes` counts by."""
_TOTALS = ["read", "accepted", "duplicate", "rejected", "pending", "late", "replayed"]


def outcomes_after(
    before: pl.DataFrame, verdicts: pl.DataFrame, late_after: timedelta
) -> pl.DataFrame:
    """Rows of `telemetry_outcomes` after a step.

    Args:
        before: all rows so far of the hours of the step.
        verdicts: weighted verdicts of the step.
        late_after: age at arrival from which on a message is late.
    """
    change = _tally(verdicts, RANGE, late_after)
    revised = before.select(RANGE).join(change, on=RANGE, how="semi")
    summed = _sum([before.drop("revisions"), change], RANGE)
    return (
        summed.join(before.select(*RANGE, "revisions"), on=RANGE, how="left")
        .join(revised.with_columns(again=pl.lit(1)), on=RANGE, how="left")
        .with_columns(revisions=pl.col("revisions").fill_null(0) + pl.col("again").fill_null(0))
        .select(TELEMETRY_OUTCOMES.names)
        .cast(TELEMETRY_OUTCOMES.polars_schema)
        .sort(RANGE)
    )


def outcomes_rebuilt(before: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """The outcomes made from all messages; `revisions` goes on from what was known.

    Args:
        before: rows before the rebuild.
        fresh: rows from all messages, as `outcomes_after` counts them from nothing.
    """
    known = before.select(*RANGE, *_TOTALS, "revisions")
    joined = fresh.join(known, on=RANGE, how="left", suffix="_known")
    changed = pl.any_horizontal(pl.col(c) != pl.col(f"{c}_known") for c in _TOTALS)
    return (
        joined.with_columns(
            revisions=pl.col("revisions_known").fill_null(0)
            + changed.fill_null(False).cast(pl.Int64)
        )
        .select(TELEMETRY_OUTCOMES.names)
        .sort(RANGE)
    )


def pending_outcomes(landed: pl.DataFrame) -> pl.DataFrame:
    """Rows of `telemetry_outcomes` for messages that have landed and wait to be decoded.

    Args:
        landed: columns PENDING of those rows of `raw_telemetry`.
    """
    return (
        landed.group_by(RANGE)
        .agg(read=pl.len(), pending=pl.len(), replayed=pl.col("replay_of").count())
        .with_columns(
            accepted=pl.lit(0), duplicate=pl.lit(0), rejected=pl.lit(0), late=pl.lit(0),
            revisions=pl.lit(0), rejected_by_reason=pl.lit("{}"),
        )
        .select(TELEMETRY_OUTCOMES.names)
        .cast(TELEMETRY_OUTCOMES.polars_schema)
        .sort(RANGE)
    )  # fmt: skip


def vehicle_outcomes_after(
    before: pl.DataFrame, verdicts: pl.DataFrame, late_after: timedelta
) -> pl.DataFrame:
    """Rows of `vehicle_outcomes` after a step; an empty `before` makes a rebuild."""
    by = ["event_hour", "vehicle_id"]
    named = verdicts.with_columns(vehicle_id=pl.col("vehicle_id").fill_null(NO_VEHICLE))
    change = _tally(named, by, late_after)
    newest = pl.concat(
        [
            before.select(*by, "newest_append_time"),
            named.group_by(by).agg(newest_append_time=pl.col("append_time").max()),
        ]
    )
    return (
        _sum([before.drop("newest_append_time"), change], by)
        .join(newest.group_by(by).agg(pl.col("newest_append_time").max()), on=by)
        .select(VEHICLE_OUTCOMES.names)
        .cast(VEHICLE_OUTCOMES.polars_schema)
        .sort(by)
    )


def _tally(verdicts: pl.DataFrame, by: list[str], late_after: timedelta) -> pl.DataFrame:
    weight, verdict = pl.col("weight"), pl.col("verdict")
    is_reject = ~verdict.is_in([ACCEPTED, DUPLICATE])
    is_late = (pl.col("append_time") - pl.col("event_time")) > late_after
    totals = verdicts.group_by(by).agg(
        read=weight.sum(),
        accepted=weight.filter(verdict == ACCEPTED).sum(),
        duplicate=weight.filter(verdict == DUPLICATE).sum(),
        rejected=weight.filter(is_reject).sum(),
        pending=pl.lit(0, dtype=pl.Int64),
        late=weight.filter(is_late).sum(),
        replayed=weight.filter(pl.col("replay_of").is_not_null()).sum(),
    )
    reasons = (
        verdicts.filter(is_reject)
        .group_by(*by, "verdict")
        .agg(weight.sum())
        .sort(*by, "verdict")
        .group_by(by, maintain_order=True)
        .agg("verdict", "weight")
    )
    texts = [
        json.dumps(dict(zip(names, counts, strict=True)))
        for names, counts in reasons.select("verdict", "weight").iter_rows()
    ]
    named = reasons.select(by).with_columns(rejected_by_reason=pl.Series(texts, dtype=pl.String))
    return totals.join(named, on=by, how="left").with_columns(
        pl.col("rejected_by_reason").fill_null("{}")
    )


def _sum(parts: list[pl.DataFrame], by: list[str]) -> pl.DataFrame:
    columns = [*by, *_TOTALS, "rejected_by_reason"]
    stacked = pl.concat([part.select(columns) for part in parts], how="vertical_relaxed")
    summed = stacked.group_by(by).agg(
        *(pl.col(name).sum() for name in _TOTALS), pl.col("rejected_by_reason")
    )
    return summed.with_columns(
        rejected_by_reason=pl.Series(
            [_add_reasons(texts) for texts in summed["rejected_by_reason"]], dtype=pl.String
        )
    )


def _add_reasons(texts: pl.Series) -> str:
    total: dict[str, int] = {}
    for text in texts:
        if text != "{}":
            for reason, count in json.loads(text).items():
                total[reason] = total.get(reason, 0) + count
    return json.dumps({reason: total[reason] for reason in sorted(total) if total[reason]})
