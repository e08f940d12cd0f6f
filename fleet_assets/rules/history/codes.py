"""Rules on trouble codes: new ones (R41), and those that come back (R42)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Rule
from fleet_assets.rules.findings import of_rule
from fleet_assets.rules.history.numbers import value
from fleet_assets.rules.repeated import series

CODE_TRIP_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "started_at": TIME,
        "codes": pl.List(
            pl.Struct({"code": pl.String(), "first_seen": TIME, "last_seen": TIME})
        ),
    }
)  # fmt: skip
"""A trip, and the trouble codes that it told; empty: it told that there are none; null: nothing."""
_SUBJECT: Final = ["vehicle_id", "condition"]


def new_codes(trips: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Trouble codes that the vehicle has not shown for days (R41).

    A code stands until a trip tells codes without it. One that comes back sooner than that is not
    new.

    Args:
        trips: rows of CODE_TRIP_SCHEMA, with those of the days that are looked back to.
        rule: has `days`, and the severity of classes of codes.

    Returns:
        Rows of FINDING_SCHEMA, a condition `R41/<code>` for each; `samples` and the peak are the
        number of trips that showed it. Open: no trip has told codes without it since.
    """
    rows = _code_rows(trips)
    of = ["vehicle_id", "code"]
    made = (
        rows.with_columns(
            new=(pl.col("trip") - pl.col("trip").shift(1) != 1).fill_null(True).over(of)
        )
        .with_columns(stretch=pl.col("new").cum_sum().over(of))
        .group_by(*of, "stretch", maintain_order=True)
        .agg(
            started_at=pl.col("first_seen").first(),
            ended_at=pl.col("last_seen").last(),
            detected_at=pl.col("first_seen").first(),
            is_open=(pl.col("trip") == pl.col("trips") - 1).last(),
            samples=pl.len(),
            peak=pl.len().cast(pl.Float64),
            peak_at=pl.col("last_seen").last(),
        )
        .with_columns(
            absent=pl.col("started_at") - pl.col("ended_at").shift(1).over(of),
            condition=pl.format("{}/{}", pl.lit(rule.id), "code"),
        )
        .filter((pl.col("absent") > timedelta(days=value(rule, "days"))).fill_null(True))
    )
    return of_rule(made, rule, _severity(rule)).sort(*_SUBJECT, "started_at")


def recurring_codes(trips: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Trouble codes that came in several trips of a few days (R42).

    Args:
        trips: rows of CODE_TRIP_SCHEMA.
        rule: has `trips` and `days`.

    Returns:
        Rows of FINDING_SCHEMA, a condition `R42/<code>` for each; the peak is the most trips within
        the days.
    """
    events = _code_rows(trips).select(
        "vehicle_id",
        condition=pl.format("{}/{}", pl.lit(rule.id), "code"),
        started_at="first_seen",
        ended_at="last_seen",
        detected_at="first_seen",
        is_open=pl.col("trip") == pl.col("trips") - 1,
    )
    made = series(events, int(value(rule, "trips")), timedelta(days=value(rule, "days")))
    return of_rule(made, rule).sort(*_SUBJECT, "started_at")


def _code_rows(trips: pl.DataFrame) -> pl.DataFrame:
    """A row for each code of each trip; `trip` counts the vehicle's trips that tell codes."""
    return (
        trips.drop_nulls("codes")
        .sort("vehicle_id", "started_at")
        .with_columns(
            trip=pl.int_range(pl.len()).over("vehicle_id"), trips=pl.len().over("vehicle_id")
        )
        .drop("started_at")
        .explode("codes")
        .unnest("codes")
        .drop_nulls("code")
        .sort("vehicle_id", "code", "first_seen")
    )


def _severity(rule: Rule) -> pl.Expr:
    """By the first class that the code belongs to."""
    severity = pl.lit(rule.severity)
    for of_class in reversed(rule.severity_of_code):
        belongs = pl.col("code").str.contains(of_class.matches)
        severity = pl.when(belongs).then(pl.lit(of_class.severity)).otherwise(severity)
    return severity
