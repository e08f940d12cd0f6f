"""Anomalies of rules that look at local days, at trips and at trouble codes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_findings import HOUR, RULE_ANOMALIES, finished, hours_by_judgement
from fleet_assets.anomalies.local_days import with_attributes
from fleet_assets.anomalies.long import parts_of_long
from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.book import RuleBook
from fleet_assets.rules.catalogue import Catalogue, Rule
from fleet_assets.rules.history.find import code_findings, day_findings, trip_findings

SURVIVES: Final = timedelta(days=7)
"""Silence after which a condition without a largest gap counts as gone (RULES, Gaps)."""


def day_anomalies(hours: pl.DataFrame, book: RuleBook, horizon: datetime) -> pl.DataFrame:
    """Rows of `rule_anomalies` of local days (see `day_findings`)."""
    return _anomalies(lambda catalogue: day_findings(hours, catalogue, horizon), book, horizon)


def trip_anomalies(trips: pl.DataFrame, book: RuleBook, horizon: datetime) -> pl.DataFrame:
    """Rows of `rule_anomalies` of whole histories of trips (see `trip_findings`)."""
    return _anomalies(lambda catalogue: trip_findings(trips, catalogue), book, horizon)


def code_anomalies(
    codes: pl.DataFrame, trips: pl.DataFrame, book: RuleBook, horizon: datetime
) -> pl.DataFrame:
    """Rows of `rule_anomalies` of whole histories of trouble codes (see `code_findings`)."""
    return _anomalies(lambda catalogue: code_findings(codes, trips, catalogue), book, horizon)


def not_exempt(found: pl.DataFrame, catalogue: Catalogue, vehicles: pl.DataFrame) -> pl.DataFrame:
    """Findings of vehicles that their rule does not spare, as they were at the onset.

    Args:
        found: `vehicle_id`, `rule_id`, `started_at` and any other columns.
        catalogue: the rules.
        vehicles: rows of VEHICLE_SCHEMA.
    """
    spared = [pl.lit(value=False)]
    attributes = set()
    for rule in catalogue.rules:
        for exemption in (*catalogue.exempt_always, *rule.exempt):
            attributes.add(exemption.attribute)
            meant = (pl.col(exemption.attribute) == exemption.equals).fill_null(value=False)
            spared.append((pl.col("rule_id") == rule.id) & meant)
    known = with_attributes(found, vehicles, "started_at", sorted(attributes))
    kept = known.filter(~pl.any_horizontal(spared))
    return kept.select(found.columns).sort("vehicle_id", "condition", "started_at")


def _anomalies(
    find: Callable[[Catalogue], pl.DataFrame], book: RuleBook, horizon: datetime
) -> pl.DataFrame:
    """Each hour of onset by the release and the stages that count in it."""
    found: list[pl.DataFrame] = []
    for catalogue in book.catalogues:
        every = find(catalogue)
        for kind, hours in hours_by_judgement(every, book).items():
            if kind.release != catalogue.release:
                continue
            mine = not_exempt(every.filter(HOUR.is_in(hours)), catalogue, book.vehicles)
            for stage, rules in (("live", kind.live), ("shadow", kind.shadow)):
                judged = mine.filter(pl.col("rule_id").is_in(list(rules)))
                if judged.height:
                    found.append(_rows(judged, stage, catalogue))
    if not found:
        return RULE_ANOMALIES.to_frame()
    nothing = pl.DataFrame(
        schema={"vehicle_id": pl.String, "started_at": TIME, "signals": pl.String}
    )
    return finished(found, nothing, book, horizon)


def _rows(found: pl.DataFrame, stage: str, catalogue: Catalogue) -> pl.DataFrame:
    """Findings with what closes them."""
    survive = [rule.id for rule in catalogue.rules if _survives_silence(rule)]
    gap = pl.when(pl.col("rule_id").is_in(survive)).then(SURVIVES).otherwise(timedelta())
    return parts_of_long(
        found.with_columns(
            max_gap=gap,
            release=pl.lit(catalogue.release, dtype=pl.Int64),
            stage=pl.lit(stage),
        )
    ).with_columns(closes_at=pl.col("ended_at") + pl.col("max_gap"))


def _survives_silence(rule: Rule) -> bool:
    gap = rule.parameters.get("max_gap")
    return gap is not None and gap.policy == "none"
