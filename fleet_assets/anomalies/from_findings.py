"""From what the rules find to rows that people read: ids, confidence, evidence, a sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from fleet_assets.anomalies.long import LONGEST, parts_of_long
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.episodes.stitch import stitch
from fleet_assets.rules.book import Judgement, RuleBook
from fleet_assets.rules.catalogue import Catalogue, Rule
from fleet_assets.rules.findings import findings, ladder
from fleet_assets.rules.repeated import with_repeated
from fleet_assets.rules.resolve import resolve
from fleet_assets.rules.samples import Samples
from partitions.hours import hour_key

RULE_ANOMALIES: Final = TABLE_BY_NAME["rule_anomalies"].polars_schema
_ID_LENGTH: Final = 32


def anomaly_id(vehicle_id: str, condition: str, started_at: datetime) -> str:
    """Names an anomaly by what it is: the hash of vehicle, condition and onset in µs."""
    onset = int(started_at.timestamp()) * 1_000_000 + started_at.microsecond
    text = f"{vehicle_id}/{condition}/{onset}"
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


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
    hour = pl.col("started_at").dt.strftime("%Y-%m-%dT%H")
    kinds: dict[Judgement, list[str]] = {}
    for event_hour in episodes.select(hour.unique()).to_series():
        kinds.setdefault(book.judgement(event_hour), []).append(event_hour)
    found = [
        _rows(counted.filter(hour.is_in(hours)), episodes, stage, book.catalogue(hours[0]), book)
        for kind, hours in kinds.items()
        for stage, counted in _counted(episodes, kind, book.catalogue(hours[0]))
    ]
    return finished(found, signals, book, horizon)


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
    told = [_told(row, book) for row in rows.iter_rows(named=True)]
    dead = pl.col("closes_at") < horizon
    made = (
        rows.drop("severity_history")
        .hstack(pl.DataFrame(told, schema=_TOLD) if told else _TOLD.to_frame())
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
    """Rows with the id of the first of those that overlap, of one vehicle and type.

    Args:
        rows: `vehicle_id`, `anomaly_type`, `anomaly_id`, `started_at`, `ended_at`, `finding_id`.
    """
    of = ["vehicle_id", "anomaly_type"]
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


_TOLD: Final = pl.Schema(
    {
        "event_hour": pl.String(),
        "anomaly_id": pl.String(),
        "rule_version": pl.Int64(),
        "severity_history": pl.String(),
        "confidence": pl.Float64(),
        "continues_id": pl.String(),
        "evidence": pl.String(),
        "description": pl.String(),
        "recommended_action": pl.String(),
    }
)


def _told(row: Mapping[str, Any], book: RuleBook) -> dict[str, Any]:
    event_hour = hour_key(row["started_at"])
    catalogue = book.catalogue(hour_key(row["onset"]))
    rule = catalogue.rule(row["rule_id"])
    peak = _peak(row["peak"], rule)
    limit = row["limit"]
    number = row["number"]
    own_id = _part_id(row, number)
    history = [
        {"at": _iso(step["at"]), "severity": step["severity"], "rule_id": step["rule_id"]}
        for step in row["severity_history"]
    ]
    evidence = {
        "peak": peak,
        "peak_at": None if row["peak_at"] is None else _iso(row["peak_at"]),
        "limit": limit,
        "unit": rule.unit,
        "samples": row["samples"],
        "duration_s": (row["ended_at"] - row["started_at"]).total_seconds(),
        "signals": json.loads(row["signals"] or "{}"),
    }
    _, _, subject = str(row["condition"]).partition("/")
    if subject:
        evidence["subject"] = subject
    return {
        "event_hour": event_hour,
        "anomaly_id": own_id,
        "rule_version": rule.version,
        "severity_history": json.dumps(history),
        "confidence": confidence(rule, peak, limit),
        "continues_id": _part_id(row, number - 1) if number else None,
        "evidence": json.dumps(evidence),
        "description": rule.says.format(
            peak=_number(peak),
            limit=_number(limit),
            duration=duration_in_words(row["ended_at"] - row["started_at"]),
            subject=subject,
        ),
        "recommended_action": rule.action,
    }


def confidence(rule: Rule, peak: float | None, limit: float | None) -> float:
    """From `least` to `most` with the margin over the limit, as the catalogue's head says."""
    of = rule.confidence
    if peak is None or not limit:
        return of.least
    margin = abs(peak - limit) / abs(limit)
    return round(of.least + (of.most - of.least) * min(1.0, margin / of.full_margin), 4)


def duration_in_words(span: timedelta) -> str:
    """The two largest units, such as `1 h 5 min`."""
    seconds = round(span.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def _part_id(row: Mapping[str, Any], number: int) -> str:
    started_at = row["onset"] + LONGEST * number
    return anomaly_id(row["vehicle_id"], row["condition"], started_at)


def _peak(peak: float | None, rule: Rule) -> float | None:
    """As measured: rules that look for small values have it negated."""
    if peak is None:
        return None
    return -peak if looks_for_small(rule) and peak < 0 else peak


def looks_for_small(rule: Rule) -> bool:
    """It clears above the number that sets it."""
    given, clear = rule.parameters.get("set"), rule.parameters.get("clear")
    if given is None or clear is None:
        return False
    if given.value is not None and clear.value is not None:
        return clear.value > given.value
    return clear.of == "set" and (clear.plus > 0 or clear.times > 1)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
