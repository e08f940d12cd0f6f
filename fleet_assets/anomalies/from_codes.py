"""Anomalies of trouble codes: new ones (R41) and those that come back (R42)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_findings import HOUR, RULE_ANOMALIES, finished, hours_by_judgement
from fleet_assets.anomalies.long import parts_of_long
from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.book import RuleBook
from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.history import CODE_TRIP_SCHEMA, new_codes, recurring_codes

EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""What is known first of a vehicle counts for all the time before, too."""
SURVIVES: Final = timedelta(days=7)
"""Silence after which a code counts as gone (RULES, Gaps)."""


def code_anomalies(
    codes: pl.DataFrame, trips: pl.DataFrame, book: RuleBook, horizon: datetime
) -> pl.DataFrame:
    """Anomalies of the whole history of some vehicles.

    Args:
        codes: rows of `vehicle_codes`.
        trips: `vehicle_id`, `started_at`, `ended_at` of their trips by motion.
        book: the rules.
        horizon: event time up to which messages are known.

    Returns:
        Rows of `rule_anomalies`.
    """
    told = told_by_hour(codes)
    driven = told_by_trip(codes, trips)
    found: list[pl.DataFrame] = []
    for catalogue in book.catalogues:
        made = [
            new_codes(told, rule) if rule.id == "R41" else recurring_codes(driven, rule)
            for rule in catalogue.rules
            if rule.by_code
        ]
        if not made:
            continue
        every = pl.concat(made)
        for kind, hours in hours_by_judgement(every, book).items():
            if kind.release != catalogue.release:
                continue
            mine = every.filter(HOUR.is_in(hours))
            for stage, rules in (("live", kind.live), ("shadow", kind.shadow)):
                of_stage = mine.filter(pl.col("rule_id").is_in(list(rules)))
                judged = _not_exempt(of_stage, catalogue, book)
                if judged.height:
                    found.append(_rows(judged, stage, catalogue))
    if not found:
        return RULE_ANOMALIES.to_frame()
    nothing = pl.DataFrame(
        schema={
            "vehicle_id": pl.String,
            "started_at": codes.schema["first_seen"],
            "signals": pl.String,
        }
    )
    return finished(found, nothing, book, horizon)


def told_by_hour(codes: pl.DataFrame) -> pl.DataFrame:
    """Rows of CODE_TRIP_SCHEMA, an hour taken for a trip: a code stands until an hour lacks it."""
    is_code = pl.col("code").is_not_null()
    one = pl.struct("code", "first_seen", "last_seen")
    return (
        codes.sort("vehicle_id", "first_seen")
        .group_by("vehicle_id", "event_hour", maintain_order=True)
        .agg(started_at=pl.col("first_seen").min(), codes=one.filter(is_code))
        .select(CODE_TRIP_SCHEMA.names())
    )


def told_by_trip(codes: pl.DataFrame, trips: pl.DataFrame) -> pl.DataFrame:
    """Rows of CODE_TRIP_SCHEMA: what was told in an hour while the trip went on."""
    both = trips.with_row_index("trip").join(codes, on="vehicle_id", suffix="_told")
    within = both.filter(
        (pl.col("first_seen") <= pl.col("ended_at")) & (pl.col("last_seen") >= pl.col("started_at"))
    ).with_columns(
        first_seen=pl.max_horizontal("first_seen", "started_at"),
        last_seen=pl.min_horizontal("last_seen", "ended_at"),
    )
    by_code = within.group_by("trip", "vehicle_id", "started_at", "code").agg(
        pl.col("first_seen").min(), pl.col("last_seen").max()
    )
    one = pl.struct("code", "first_seen", "last_seen")
    return (
        by_code.sort("vehicle_id", "started_at", "code")
        .group_by("trip", "vehicle_id", "started_at", maintain_order=True)
        .agg(codes=one.filter(pl.col("code").is_not_null()))
        .select(CODE_TRIP_SCHEMA.names())
    )


def _not_exempt(found: pl.DataFrame, catalogue: Catalogue, book: RuleBook) -> pl.DataFrame:
    """Findings of vehicles that no rule spares, as they were at the onset."""
    versions = book.vehicles.sort("valid_from")
    first = pl.col("valid_from") == pl.col("valid_from").min().over("vehicle_id")
    since = pl.when(first).then(pl.lit(EVER).cast(TIME)).otherwise("valid_from")
    as_of = found.sort("started_at").join_asof(
        versions.with_columns(valid_from=since).sort("valid_from"),
        left_on="started_at",
        right_on="valid_from",
        by="vehicle_id",
        check_sortedness=False,
    )
    spared = [
        (pl.col(exemption.attribute) == exemption.equals).fill_null(value=False)
        for exemption in catalogue.exempt_always
    ]
    kept = as_of.filter(~pl.any_horizontal(spared)) if spared else as_of
    return kept.select(found.columns).sort("vehicle_id", "condition", "started_at")


def _rows(found: pl.DataFrame, stage: str, catalogue: Catalogue) -> pl.DataFrame:
    """Findings with what closes them; there is no limit that they pass."""
    return parts_of_long(
        found.with_columns(
            max_gap=pl.lit(SURVIVES),
            release=pl.lit(catalogue.release, dtype=pl.Int64),
            stage=pl.lit(stage),
        )
    ).with_columns(
        limit=pl.lit(None, dtype=pl.Float64), closes_at=pl.col("ended_at") + pl.col("max_gap")
    )
