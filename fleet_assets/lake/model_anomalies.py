"""`model_anomalies`: pieces of alarms joined over the edges of hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.long import LONGEST
from fleet_assets.lake.by_onset import ByOnset, Following, by_chains
from fleet_assets.lake.chains import Chains, hours_of, read_groups
from fleet_assets.lake.model_marks import MODEL_SEGMENTS
from fleet_assets.lake.model_segments import model_pieces_in
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.scoring.anomalies import JOINS_WITHIN, model_anomalies

MODEL_ANOMALIES: Final = "model_anomalies"
FOLLOWS: Final = Following.of_found(MODEL_ANOMALIES, MODEL_SEGMENTS)
_GROUP: Final = ("vehicle_id", "condition")


def by_models() -> ByOnset:
    """How `model_anomalies` follow from `model_segments`."""

    def make(rows: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
        return model_anomalies(model_pieces_in(rows), horizon)

    return ByOnset(
        FOLLOWS,
        MODEL_SEGMENTS,
        "anomaly_id",
        _GROUP,
        by_chains(_chains),
        make,
        silent_after=pl.col("closes_at"),
        longest=LONGEST + timedelta(hours=1),
    )


def _chains(segments: TableSnapshot) -> Chains:
    def read(some: Sequence[str], groups: pl.DataFrame | None) -> pl.DataFrame:
        return read_groups(segments.scan(segments.files_of(some)), groups, _GROUP)

    def before(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
        first = rows.group_by(_GROUP).agg(pl.col("started_at").min())
        return first.filter(pl.col("started_at") - JOINS_WITHIN < moment).select(_GROUP)

    def after(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
        last = rows.group_by(_GROUP).agg(pl.col("ended_at").max())
        return last.filter(pl.col("ended_at") + JOINS_WITHIN >= moment).select(_GROUP)

    return Chains(_GROUP, hours_of(segments), read, before, after)
