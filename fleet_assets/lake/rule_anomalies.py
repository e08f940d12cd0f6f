"""`rule_anomalies`: segments joined over the edges of hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_findings import rule_anomalies
from fleet_assets.anomalies.long import LONGEST
from fleet_assets.lake.by_onset import ByOnset, Following, by_chains
from fleet_assets.lake.chains import Chains, hours_of, read_groups
from fleet_assets.lake.segments import SEGMENTS, pieces_in
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.rules.book import RuleBook

RULE_ANOMALIES: Final = "rule_anomalies"
FOLLOWS: Final = Following.of_found(RULE_ANOMALIES, SEGMENTS)
LONGEST_SILENT: Final = LONGEST + timedelta(days=7, hours=1)
"""An anomaly is no longer than this, with the silence that it survives."""
_GROUP: Final = ("vehicle_id", "anomaly_type")


def by_rules(book: RuleBook) -> ByOnset:
    """How `rule_anomalies` follow from `segments`."""

    def make(rows: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
        signals = rows.filter(pl.col("part") == "run").select("vehicle_id", "started_at", "signals")
        return rule_anomalies(pieces_in(rows), signals, book, horizon)

    return ByOnset(
        FOLLOWS,
        SEGMENTS,
        "anomaly_id",
        _GROUP,
        by_chains(lambda segments: _chains(segments, book)),
        make,
        silent_after=pl.col("closes_at"),
        longest=LONGEST_SILENT,
        mine=~pl.any_horizontal(of_history(book).values()),
    )


def of_history(book: RuleBook) -> dict[str, pl.Expr]:
    """Which findings come from local days, from trips and from trouble codes, not from segments."""
    rules = [rule for catalogue in book.catalogues for rule in catalogue.rules]
    ids = {
        "days": {rule.id for rule in rules if rule.daily},
        "trips": {rule.id for rule in rules if rule.by_trip},
        "codes": {rule.id for rule in rules if rule.by_code},
    }
    of = pl.col("condition").str.slice(0, 3)
    return {what: of.is_in(sorted(those)) for what, those in ids.items()}


def _chains(segments: TableSnapshot, book: RuleBook) -> Chains:
    rules = [rule for catalogue in book.catalogues for rule in catalogue.rules]
    types = {rule.id: rule.type for rule in rules}
    windows = {
        rule.repeats: timedelta(seconds=rule.parameters["window_s"].value or 0)
        for rule in rules
        if rule.repeats is not None
    }
    rule_of = pl.col("condition").str.slice(0, 3)

    def read(some: Sequence[str], groups: pl.DataFrame | None) -> pl.DataFrame:
        rows = segments.scan(segments.files_of(some)).with_columns(
            anomaly_type=rule_of.replace_strict(types, default=None, return_dtype=pl.String),
            # how far beyond its ends it may be joined with something
            reach=pl.max_horizontal(
                pl.duration(microseconds=(pl.col("max_gap_seconds") * 1e6).cast(pl.Int64)),
                rule_of.replace_strict(windows, default=None, return_dtype=pl.Duration("us")),
            ),
            repeats=rule_of.is_in(list(windows)),
        )
        return read_groups(rows, groups, _GROUP)

    return Chains(_GROUP, hours_of(segments), read, _before, _after)


def _before(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    first = rows.sort("started_at").group_by("vehicle_id", "condition", maintain_order=True).first()
    joins = pl.col("repeats") | (pl.col("at_left") & (pl.col("part") != "mark"))
    return first.filter(joins & (pl.col("started_at") - pl.col("reach") < moment)).select(_GROUP)


def _after(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    last = rows.sort("started_at").group_by("vehicle_id", "condition", maintain_order=True).last()
    joins = pl.col("repeats") | (pl.col("ended_by") == "edge")
    return last.filter(joins & (pl.col("ended_at") + pl.col("reach") >= moment)).select(_GROUP)
