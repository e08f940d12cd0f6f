"""Rules that look at days and trips instead of samples (R17, R37, R41, R42).

Their inputs are summaries, made once from telemetry and trips. A number of a rule is the
catalogue's, unless the summaries have a column of its name: the number in force at that time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Rule
from fleet_assets.rules.findings import of_rule
from fleet_assets.rules.repeated import series

IDLE_DAY_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "started_at": TIME,
        "ended_at": TIME,
        "idle_s": pl.Float64(),
        "running_s": pl.Float64(),
    }
)
"""A local day of a vehicle, from its first moment to the next day's, once it is over: seconds that
it stood with the engine on, and seconds that the engine was on."""
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


def idle_days(days: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Days with too large a share of idling (R17): decided when the day is over.

    Args:
        days: rows of IDLE_DAY_SCHEMA of the vehicles that the rule applies to.
        rule: has `share` and `min_idle_s`.

    Returns:
        Rows of FINDING_SCHEMA; the peak is the share.
    """
    share = pl.col("idle_s") / pl.col("running_s")
    over = (share > _number(days, rule, "share")) & (
        pl.col("idle_s") >= _number(days, rule, "min_idle_s")
    )
    made = days.filter(over & (pl.col("running_s") > 0)).with_columns(
        condition=pl.lit(rule.id),
        detected_at=pl.col("ended_at"),
        is_open=pl.lit(False),
        samples=pl.lit(1),
        peak=share,
        peak_at=pl.col("ended_at"),
    )
    return of_rule(made, rule).sort("vehicle_id", "started_at")


def lost_signals(trips: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Signals that used to come and do not any more (R37).

    Set by a trip that is long enough and lacks a signal that came on enough of the days before;
    clear by a trip that has it. Short trips without it decide nothing.

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
    of_days = timedelta(days=_value(rule, "of_days"))
    long = pl.col("ended_at") - pl.col("started_at") >= pl.duration(
        microseconds=_number(told, rule, "min_trip_s") * 1e6
    )
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
            stretch=pl.col("present").cum_sum().over(of),
            stretches=pl.col("present").sum().over(of),
        )
        .filter(~pl.col("present"))
        .with_columns(set=long & (pl.col("days_before") >= _number(told, rule, "days")))
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
            days=_number(rows, rule, "days").first(),
        )
        .with_columns(
            absent=pl.col("started_at") - pl.col("ended_at").shift(1).over(of),
            condition=pl.format("{}/{}", pl.lit(rule.id), "code"),
        )
        .filter((pl.col("absent") > pl.duration(days=pl.col("days"))).fill_null(True))
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
    made = series(events, int(_value(rule, "trips")), timedelta(days=_value(rule, "days")))
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


def _value(rule: Rule, name: str) -> float:
    value = rule.parameters[name].value
    assert value is not None, f"{rule.id}.{name} is a plain number"
    return value


def _number(frame: pl.DataFrame, rule: Rule, name: str) -> pl.Expr:
    """A number of a rule, for each row."""
    return pl.col(name) if name in frame.columns else pl.lit(_value(rule, name))
