"""From what the rules find to rows that people read: ids, confidence, evidence, a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.anomalies.long import parts_of_long
from fleet_assets.anomalies.words import TOLD, told
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.episodes.stitch import stitch
from fleet_assets.rules.book import Judgement, RuleBook
from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.findings import findings, ladder
from fleet_assets.rules.repeated import with_repeated
from fleet_assets.rules.resolve import resolve
from fleet_assets.rules.samples import Samples
from partitions.hours import hour_key

RULE_ANOMALIES: Final = TABLE_BY_NAME["rule_anomalies"].polars_schema
HOUR: Final = pl.col("started_at").dt.strftime("%Y-%m-%dT%H")
"""Key of the hour of onset."""


def rule_anomalies(
    pieces: pl.DataFrame, signals: pl.DataFrame, book: RuleBook, horizon: datetime
) -> pl.DataFrame:
    """Anomalies of a stretch of history.

    Args:
        pieces: rows of PIECE_SCHEMA of all of its hours.
        signals: `vehicle_id`, `started_at`, `signals` (JSON): signals at the onsets.
        book: the rules.
        horizon: event time up to which messages are known: longer silence has ended episodes.

    Returns:
        Rows of `rule_anomalies` in order of vehicle, condition and onset.
    """
    episodes = stitch(pieces)
    found = [
        _rows(counted.filter(HOUR.is_in(hours)), episodes, stage, book.catalogue(hours[0]), book)
        for kind, hours in hours_by_judgement(episodes, book).items()
        for stage, counted in _counted(episodes, kind, book.catalogue(hours[0]))
    ]
    return finished(found, signals, book, horizon)


def hours_by_judgement(found: pl.DataFrame, book: RuleBook) -> dict[Judgement, list[str]]:
    """Hours of onset, together those in which the same counts."""
    kinds: dict[Judgement, list[str]] = {}
    for event_hour in found.select(HOUR.unique()).to_series():
        kinds.setdefault(book.judgement(event_hour), []).append(event_hour)
    return kinds


def finished(
    found: Sequence[pl.DataFrame], signals: pl.DataFrame, book: RuleBook, horizon: datetime
) -> pl.DataFrame:
    """Rows of `rule_anomalies` of findings with their stage, release, limit and closing time.

    Args:
        found: what `_rows` and its like give.
        signals: `vehicle_id`, `started_at`, `signals` (JSON): signals at the onsets.
        book: the rules.
        horizon: event time up to which messages are known.
    """
    if not found:
        return RULE_ANOMALIES.to_frame()
    rows = pl.concat(found).join(
        signals.unique(["vehicle_id", "started_at"]), on=["vehicle_id", "started_at"], how="left"
    )
    words = [told(row, book) for row in rows.iter_rows(named=True)]
    dead = pl.col("closes_at") < horizon
    made = (
        rows.drop("severity_history")
        .hstack(pl.DataFrame(words, schema=TOLD) if words else TOLD.to_frame())
        .with_columns(
            state=pl.when(pl.col("is_open") & ~dead)
            .then(pl.lit("open"))
            .otherwise(pl.lit("closed"))
        )
    )
    return with_finding_ids(
        made.sort("vehicle_id", "condition", "started_at").select(
            pl.lit("").alias(name) if name == "finding_id" else pl.col(name).cast(kind)
            for name, kind in RULE_ANOMALIES.items()
        )
    )


def with_finding_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the id of the first of those that overlap, of one vehicle, type and stage.

    Those on trial are apart: an anomaly that counts is not named after one that does not.

    Args:
        rows: `vehicle_id`, `anomaly_type`, `stage`, `anomaly_id`, `started_at`, `ended_at`,
            `finding_id`.
    """
    of = ["vehicle_id", "anomaly_type", "stage"]
    ordered = rows.with_row_index("row").sort(*of, "started_at", "anomaly_id")
    reached = pl.col("ended_at").cum_max().shift(1).over(of)
    begins = (pl.col("started_at") > reached).fill_null(value=True)
    return (
        ordered.with_columns(cluster=begins.cum_sum())
        .with_columns(finding_id=pl.col("anomaly_id").first().over("cluster"))
        .sort("row")
        .select(rows.columns)
    )


def _counted(
    episodes: pl.DataFrame, kind: Judgement, catalogue: Catalogue
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Findings by stage. A tier on trial does not raise what live rules have found."""
    for stage, ids in (("live", kind.live), ("shadow", kind.live | kind.shadow)):
        if stage == "shadow" and not kind.shadow:
            continue
        tiers = ladder(catalogue).filter(
            pl.col("rule_id").str.slice(0, 3).is_in(list(ids))
            & pl.col("base_rule_id").is_in(list(ids))
        )
        rules = [rule for rule in catalogue.rules if rule.id in ids]
        found = with_repeated(findings(episodes, tiers), rules)
        if stage == "shadow":
            subject = pl.col("condition").str.slice(3)
            found = found.filter(pl.col("rule_id").is_in(list(kind.shadow))).with_columns(
                condition=pl.col("rule_id") + subject
            )
        yield stage, found


def _rows(
    found: pl.DataFrame, episodes: pl.DataFrame, stage: str, catalogue: Catalogue, book: RuleBook
) -> pl.DataFrame:
    """Findings of one stage and release, with what closes them and their limit."""
    silences = episodes.select("vehicle_id", "condition", "started_at", "max_gap")
    windows = {
        rule.id: timedelta(seconds=rule.parameters["window_s"].value or 0)
        for rule in catalogue.rules
        if rule.repeats is not None
    }
    window = pl.col("condition").replace_strict(
        windows, default=None, return_dtype=pl.Duration("us")
    )
    rows = parts_of_long(
        found.join(silences, on=["vehicle_id", "condition", "started_at"], how="left").with_columns(
            max_gap=pl.coalesce(window, "max_gap", pl.duration(seconds=0)),
            is_open=pl.col("is_open") | window.is_not_null(),
            release=pl.lit(catalogue.release, dtype=pl.Int64),
            stage=pl.lit(stage),
        )
    )
    return rows.with_columns(
        limit=_limits(rows, catalogue, book), closes_at=pl.col("ended_at") + pl.col("max_gap")
    )


def _limits(rows: pl.DataFrame, catalogue: Catalogue, book: RuleBook) -> pl.Series:
    """The number that was passed, as in force at the onset; null where the rule has none."""
    if rows.is_empty():
        return pl.Series(dtype=pl.Float64)
    ordered = rows.with_row_index("row").sort("vehicle_id", "started_at")
    ids = ordered["vehicle_id"].rle_id()
    samples = Samples(
        ordered["vehicle_id"].gather(ids.arg_unique()),
        ids.cast(pl.Int32).to_numpy(),
        ordered["started_at"].dt.epoch("us").to_numpy(),
        {},
        {},
        np.zeros(rows.height, np.bool_),
    )
    known = book.known(hour_key(rows["started_at"].min()), {})  # type: ignore[arg-type]
    limits = resolve(catalogue, samples, known)
    numbers = np.full(rows.height, np.nan)
    subject = pl.col("condition").str.slice(4)
    kinds = ordered.select("rule_id", subject=subject).unique().iter_rows()
    for rule_id, of in kinds:
        name = catalogue.rule(rule_id).limit_name(of)
        if (rule_id, name) in limits.values:
            mine = ordered.select((pl.col("rule_id") == rule_id) & (subject == of)).to_series()
            number = np.broadcast_to(limits.of(rule_id, name), rows.height)
            numbers[mine.to_numpy()] = number[mine.to_numpy()]
    in_order = pl.DataFrame({"row": ordered["row"], "limit": numbers}).sort("row")
    return in_order["limit"].fill_nan(None)
