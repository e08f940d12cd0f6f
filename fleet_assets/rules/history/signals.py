"""Rules on the signals that trips name: one that is lost (R37)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Rule
from fleet_assets.rules.findings import of_rule
from fleet_assets.rules.history.numbers import value

SIGNAL_TRIP_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "signals": pl.List(pl.String()),
    }
)
"""A trip, and the signals that any of its messages named, be it by an explicit null; null: it is
not known which."""
_SUBJECT: Final = ["vehicle_id", "condition"]


def lost_signals(trips: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Signals that used to come and do not any more (R37).

    Set by a trip that is long enough and lacks a signal that came on enough of the days before;
    clear by a trip that has it, or when the vehicle has not been driven for as long as is looked
    back. Short trips without it decide nothing.

    Args:
        trips: rows of SIGNAL_TRIP_SCHEMA, with those of the days that are looked back to.
        rule: has `days`, `of_days` and `min_trip_s`.

    Returns:
        Rows of FINDING_SCHEMA, a condition `R37/<signal>` for each; `samples` and the peak are the
        number of trips without it. Open: no trip has had it since.
    """
    of = ["vehicle_id", "signal"]
    told = trips.drop_nulls("signals").with_row_index("trip")
    named = (
        told.explode("signals")
        .drop_nulls("signals")
        .select("trip", signal="signals", present=pl.lit(True))
    )
    pairs = told.select("vehicle_id", "trip").join(named, on="trip").select(of).unique()
    day = pl.col("started_at").dt.truncate("1d")
    day_before = pl.when("present").then(day).shift(1).forward_fill()
    is_new_day = pl.col("present") & (day != day_before).fill_null(True)
    of_days = timedelta(days=value(rule, "of_days"))
    long = pl.col("ended_at") - pl.col("started_at") >= pl.duration(
        seconds=value(rule, "min_trip_s")
    )
    parked = pl.col("started_at") - pl.col("ended_at").shift(1) > of_days
    ends = pl.col("present") | parked.fill_null(value=False)
    rows = (
        told.join(pairs, on="vehicle_id")
        .join(named, on=["trip", "signal"], how="left")
        .with_columns(pl.col("present").fill_null(False))
        .sort(*of, "started_at")
        .with_columns(new_day=is_new_day.cast(pl.Int64).over(of))
        .with_columns(
            days_before=pl.col("new_day")
            .rolling_sum_by("started_at", of_days, closed="left")
            .over(of),
            stretch=ends.cum_sum().over(of),
            stretches=ends.sum().over(of),
        )
        .filter(~pl.col("present"))
        .with_columns(set=long & (pl.col("days_before") >= value(rule, "days")))
        .with_columns(on=pl.col("set").cum_max().over(*of, "stretch"))
        .filter("on")
    )
    made = rows.group_by(*of, "stretch", maintain_order=True).agg(
        pl.col("started_at").first(),
        pl.col("ended_at").last(),
        detected_at=pl.col("ended_at").first(),
        is_open=(pl.col("stretch") == pl.col("stretches")).last(),
        samples=pl.len(),
        peak=pl.len().cast(pl.Float64),
        peak_at=pl.col("ended_at").last(),
    )
    condition = pl.format("{}/{}", pl.lit(rule.id), "signal")
    return of_rule(made.with_columns(condition=condition), rule).sort(*_SUBJECT, "started_at")
