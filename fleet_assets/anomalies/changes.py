"""What became of anomalies: opened, updated, closed, revised, and which followed which.

That an open anomaly goes on is no change: only what somebody would want to be told is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME

KNOWN_SCHEMA: Final = pl.Schema(
    {
        "anomaly_id": pl.String(),
        "vehicle_id": pl.String(),
        "condition": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "state": pl.String(),
        "revision": pl.Int64(),
    }
)
"""What has to be known of anomalies before and after."""
_OF: Final = ["vehicle_id", "condition"]


@dataclass(frozen=True)
class Changes:
    """What differs.

    Attributes:
        events: `anomaly_id`, `kind` (opened, updated, closed, revised), `is_gone`.
        lineage: `old_id`, `new_id` (null: nothing follows), `overlap_seconds`, `revision` (of the
            old one).
        follows: `old_id`, `new_id`: for each that changed, the one that shares most time with it,
            which may be itself; null: none.
    """

    events: pl.DataFrame
    lineage: pl.DataFrame
    follows: pl.DataFrame


def changes(before: pl.DataFrame, after: pl.DataFrame) -> Changes:
    """Compares anomalies of the same hours.

    Args:
        before: rows of KNOWN_SCHEMA.
        after: rows of KNOWN_SCHEMA.
    """
    both = before.join(after, on="anomaly_id", suffix="_new")
    changed = both.filter(pl.col("revision") != pl.col("revision_new"))
    kind = (
        pl.when(pl.col("state") == "closed")
        .then(pl.lit("revised"))
        .when(pl.col("state_new") == "closed")
        .then(pl.lit("closed"))
        .otherwise(pl.lit("updated"))
    )
    new = after.join(before, on="anomaly_id", how="anti")
    gone = before.join(after, on="anomaly_id", how="anti")
    events = pl.concat(
        [
            new.select("anomaly_id", kind=pl.lit("opened"), is_gone=pl.lit(value=False)),
            changed.select("anomaly_id", kind=kind, is_gone=pl.lit(value=False)),
            gone.select("anomaly_id", kind=pl.lit("revised"), is_gone=pl.lit(value=True)),
        ]
    )
    moved = pl.concat([gone, before.join(changed, on="anomaly_id", how="semi")])
    overlaps = _overlaps(moved, after)
    most = overlaps.sort("overlap_seconds", "new_id", descending=[True, False])
    follows = moved.select(old_id="anomaly_id").join(
        most.unique("old_id", keep="first", maintain_order=True).select("old_id", "new_id"),
        on="old_id",
        how="left",
    )
    successors = overlaps.filter(
        (pl.col("old_id") != pl.col("new_id"))
        & (
            pl.col("new_id").is_in(new["anomaly_id"].implode())
            | pl.col("old_id").is_in(gone["anomaly_id"].implode())
        )
    )
    ended = gone.join(successors, left_on="anomaly_id", right_on="old_id", how="anti").select(
        old_id="anomaly_id",
        new_id=pl.lit(None, dtype=pl.String),
        overlap_seconds=pl.lit(0.0),
        revision="revision",
    )
    columns = ["old_id", "new_id", "overlap_seconds", "revision"]
    lineage = pl.concat([successors.select(columns), ended.select(columns)])
    return Changes(events, lineage.sort(columns[:2]), follows)


def _overlaps(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Pairs of the same condition of the same vehicle that share a moment."""
    pairs = before.join(after, on=_OF, suffix="_new").with_columns(
        overlap=pl.min_horizontal("ended_at", "ended_at_new")
        - pl.max_horizontal("started_at", "started_at_new")
    )
    return pairs.filter(pl.col("overlap") >= pl.duration()).select(
        old_id="anomaly_id",
        new_id="anomaly_id_new",
        overlap_seconds=pl.col("overlap").dt.total_microseconds() / 1e6,
        revision="revision",
    )
