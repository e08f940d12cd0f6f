"""What the rules on local days, trips and trouble codes find in whole histories."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.findings import FINDING_SCHEMA
from fleet_assets.rules.history.codes import CODE_TRIP_SCHEMA, new_codes, recurring_codes
from fleet_assets.rules.history.days import IDLE_DAY_SCHEMA, idle_days
from fleet_assets.rules.history.fuel import fuel_losses
from fleet_assets.rules.history.signals import lost_signals

_NO_LIMIT: Final = pl.lit(None, dtype=pl.Float64).alias("limit")
_FOUND: Final = pl.Schema({**FINDING_SCHEMA, "limit": pl.Float64()})


def day_findings(hours: pl.DataFrame, catalogue: Catalogue, horizon: datetime) -> pl.DataFrame:
    """Findings of local days that are over.

    Args:
        hours: `vehicle_id`, `idle_seconds`, `engine_seconds`, and `started_at` and `ended_at` of
            their local day; whole days.
        catalogue: the rules.
        horizon: event time up to which messages are known.

    Returns:
        Rows of FINDING_SCHEMA with `limit`.
    """
    days = (
        hours.filter(pl.col("ended_at") <= horizon)
        .group_by("vehicle_id", "started_at", "ended_at")
        .agg(idle_s=pl.col("idle_seconds").sum(), running_s=pl.col("engine_seconds").sum())
        .select(IDLE_DAY_SCHEMA.names())
    )
    made = [
        idle_days(days, rule).with_columns(limit=pl.lit(rule.parameters["share"].value))
        for rule in catalogue.rules
        if rule.daily
    ]
    return pl.concat([_FOUND.to_frame(), *made])


def trip_findings(trips: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Findings of whole histories of trips.

    Args:
        trips: rows of `trips` by motion.
        catalogue: the rules.

    Returns:
        Rows of FINDING_SCHEMA with `limit`.
    """
    over = trips.filter(pl.col("state") == "closed")  # what a whole trip lacks
    named = over.with_columns(pl.col("signals").str.split(","))
    made = [
        fuel_losses(trips, rule)
        if rule.id == "R28"
        else lost_signals(named, rule).with_columns(_NO_LIMIT)
        for rule in catalogue.rules
        if rule.by_trip
    ]
    return pl.concat([_FOUND.to_frame(), *made])


def code_findings(codes: pl.DataFrame, trips: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Findings of whole histories of trouble codes.

    Args:
        codes: rows of `vehicle_codes`.
        trips: `vehicle_id`, `started_at`, `ended_at` of the vehicles' trips by motion.
        catalogue: the rules.

    Returns:
        Rows of FINDING_SCHEMA with `limit`.
    """
    told = told_by_hour(codes)
    driven = told_by_trip(codes, trips)
    made = [
        new_codes(told, rule) if rule.id == "R41" else recurring_codes(driven, rule)
        for rule in catalogue.rules
        if rule.by_code
    ]
    return pl.concat([_FOUND.to_frame(), *(rows.with_columns(_NO_LIMIT) for rows in made)])


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
