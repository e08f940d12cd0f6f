"""Duplicates and conflicts: which message of a vehicle and time becomes the row.

The choice depends on what the messages say, never on when they came: the one with most signals,
then the one whose canonical form has the smallest hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.engine import connect

KEY: Final = ["vehicle_id", "event_time"]
ARRIVAL: Final = ["landing_version", "kafka_topic_id", "kafka_partition", "kafka_offset"]
ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"
CONFLICTING: Final = "conflicting_duplicate"
SETTLED: Final = "settled"
"""Optional column: this message was counted before and goes on standing for those that equal it."""
_CANONICAL: Final = [c for c in TELEMETRY.names if c not in ("event_hour", "conflict")]


@dataclass(frozen=True)
class Resolved:
    """Outcome of a set of messages that holds all messages of each of its keys.

    Attributes:
        kept: rows of `telemetry`, one per key.
        verdicts: the messages (all input columns that are not of `telemetry`, and the key) with
            `verdict`: accepted, duplicate or conflicting_duplicate. Of equal messages the one whose
            bytes come first stands for all, whenever it came; the others are duplicates.
    """

    kept: pl.DataFrame
    verdicts: pl.DataFrame


def canonical_hash(rows: pl.DataFrame) -> pl.Series:
    """SHA-256 of each row's canonical form: its decoded values as JSON, in contract order.

    A signal that the row has no value of is left out, so that the registry may grow without
    changing which of two conflicting messages wins (explicit nulls stand in `null_signals`).

    Args:
        rows: the columns of `telemetry`; `event_hour` and `conflict` do not count.
    """
    numbered = rows.select(_CANONICAL).with_row_index("i")
    fields = ", ".join(f'"{name}" := "{name}"' for name in _CANONICAL)
    with connect() as db:
        db.register("canonical_rows", numbered.to_arrow(compat_level=pl.CompatLevel.oldest()))
        hashes = db.sql(
            "SELECT sha256(CAST(json_merge_patch('{}', to_json(struct_pack("
            f"{fields}))) AS VARCHAR)) AS hash"
            " FROM canonical_rows ORDER BY i"
        ).to_arrow_table()
    return pl.DataFrame(pl.from_arrow(hashes))["hash"]


def resolve(messages: pl.DataFrame) -> Resolved:
    """Chooses one message per vehicle and time.

    Args:
        messages: columns of `telemetry` and of ARRIVAL, `value`, and any others.

    Returns:
        Kept rows and a verdict for every message.
    """
    copies = pl.len().over(KEY)
    single = messages.filter(copies == 1)
    several = messages.filter(copies > 1)
    judged = [single.with_columns(verdict=pl.lit(ACCEPTED), conflict=pl.lit(False))]
    if not several.is_empty():
        judged.append(_judge(several))
    all_judged = pl.concat(judged)
    others = [c for c in messages.columns if c not in TELEMETRY.names]
    return Resolved(
        kept=all_judged.filter(pl.col("verdict") == ACCEPTED).select(TELEMETRY.names),
        verdicts=all_judged.select("event_hour", *KEY, *others, "verdict"),
    )


def _judge(messages: pl.DataFrame) -> pl.DataFrame:
    known = pl.sum_horizontal(pl.col(s.name).is_not_null().cast(pl.Int32) for s in SIGNALS)
    settled = pl.col(SETTLED) if SETTLED in messages.columns else pl.lit(False)
    ranked = (
        messages.with_columns(hash=canonical_hash(messages), known=known, new=~settled)
        .sort(*KEY, -pl.col("known"), "hash", "new", "value", *ARRIVAL)
        .with_columns(
            first_of_key=pl.col("hash") == pl.col("hash").first().over(KEY),
            first_of_equals=pl.int_range(pl.len()).over(*KEY, "hash") == 0,
            conflict=pl.col("hash").n_unique().over(KEY) > 1,
        )
    )
    verdict = (
        pl.when(~pl.col("first_of_equals"))
        .then(pl.lit(DUPLICATE))
        .when("first_of_key")
        .then(pl.lit(ACCEPTED))
        .otherwise(pl.lit(CONFLICTING))
    )
    return ranked.with_columns(verdict=verdict).select(*messages.columns, "verdict")


def conflict_rejects(verdicts: pl.DataFrame, remark: str = "") -> pl.DataFrame:
    """Messages that lost a conflict, with reason and detail."""
    # rechunked: Polars panics when it puts texts together from columns with empty chunks
    lost = verdicts.filter(pl.col("verdict") == CONFLICTING).rechunk()
    return lost.with_columns(
        reason=pl.lit(CONFLICTING),
        detail=pl.format(
            "{} at {} was sent with other values too" + remark,
            "vehicle_id",
            pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        ),
    )
