"""Baselines: what is usual for a vehicle in a regime, from the days before.

Days are summarised first (median and MAD of their windows), so that a baseline is made of thirty
small rows a vehicle and not of its windows. Of the days D−30…D−1 with at least
`baseline_least_windows` windows in the regime:

- own centre = median of the daily medians;
- own spread = 1.4826 · √(median daily MAD² + MAD of the daily medians²); 1.4826 makes a MAD the
  standard deviation of a normal distribution;
- type centre = median of the own centres of all vehicles of the type; type spread = √(median own
  spread² + (1.4826 · MAD of the own centres)²);
- baseline = w · own + (1 − w) · type, for centre and spread, with w = n / (n + k), n the vehicle's
  days, k = `baseline_shrink_days`. Cold start: n = 0 gives the type's.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import polars as pl

from fleet_assets.features.catalogue import FeatureCatalogue, read_features
from fleet_assets.features.regimes import regime
from fleet_assets.robust import MAD_TO_SIGMA

_KEY: Final = ["vehicle_id", "regime", "feature"]
SUMMARY_SCHEMA: Final = pl.Schema(
    {
        "day": pl.Date(), "vehicle_id": pl.String(), "regime": pl.String(),
        "feature": pl.String(), "windows": pl.Int64(), "median": pl.Float64(),
        "mad": pl.Float64(),
    }
)  # fmt: skip
BASELINE_SCHEMA: Final = pl.Schema(
    {
        "day": pl.Date(), "vehicle_id": pl.String(), "vehicle_type": pl.String(),
        "regime": pl.String(), "feature": pl.String(), "days": pl.Int64(), "weight": pl.Float64(),
        "center": pl.Float64(), "spread": pl.Float64(), "type_vehicles": pl.Int64(),
        "type_center": pl.Float64(), "type_spread": pl.Float64(),
    }
)  # fmt: skip


def daily_summaries(
    windows: pl.DataFrame,
    incidents: pl.DataFrame | None = None,
    *,
    catalogue: FeatureCatalogue | None = None,
) -> pl.DataFrame:
    """What each vehicle's features were on each day (UTC), by regime.

    Args:
        windows: feature windows.
        incidents: spans (`vehicle_id`, `started_at`, `ended_at`) of what is known to have been
            wrong; windows that look at any moment of one are left out.
        catalogue: another one than the platform's.

    Returns:
        Rows of SUMMARY_SCHEMA.
    """
    book = catalogue or read_features()
    if incidents is not None:
        windows = _without(windows, incidents, book)
    names = [feature.name for feature in book.with_baseline]
    last_moment = pl.col("window_end") - timedelta(microseconds=1)
    long = (
        windows.lazy()
        .select("vehicle_id", *names, regime(book), day=last_moment.dt.date())
        .filter(pl.col("regime").is_not_null())
        .unpivot(names, index=["day", "vehicle_id", "regime"], variable_name="feature")
        .filter(pl.col("value").is_not_null())
    )
    return (
        long.group_by("day", *_KEY)
        .agg(
            windows=pl.len().cast(pl.Int64),
            median=pl.col("value").median(),
            mad=_mad("value"),
        )
        .select(SUMMARY_SCHEMA.names())
        .sort("day", *_KEY)
        .collect()
    )


def _without(
    windows: pl.DataFrame, incidents: pl.DataFrame, book: FeatureCatalogue
) -> pl.DataFrame:
    """Windows that touch no incident with the longest horizon that baselines look at."""
    longest = timedelta(seconds=max(feature.horizon_s for feature in book.with_baseline))
    keys = windows.select("vehicle_id", "window_end", start=pl.col("window_end") - longest)
    spans = incidents.select(other="vehicle_id", started_at="started_at", ended_at="ended_at")
    touched = keys.join_where(
        spans,
        pl.col("vehicle_id") == pl.col("other"),
        pl.col("started_at") < pl.col("window_end"),
        pl.col("ended_at") >= pl.col("start"),
    )
    return windows.join(touched, on=["vehicle_id", "window_end"], how="anti")


def vehicle_baselines(
    summaries: pl.DataFrame,
    vehicles: pl.DataFrame,
    day: date,
    *,
    catalogue: FeatureCatalogue | None = None,
) -> pl.DataFrame:
    """Baselines of a day, of all vehicles for which there is anything to go by.

    Args:
        summaries: rows of SUMMARY_SCHEMA; those of other days than the thirty before are ignored.
        vehicles: `vehicle_id`, `vehicle_type` of the fleet; without a type, or of one with fewer
            than `baseline_least_vehicles` known vehicles, the whole fleet stands for the type.
        day: the day (UTC) from which on they may be used.
        catalogue: another one than the platform's.

    Returns:
        Rows of BASELINE_SCHEMA in order of vehicle, regime and feature; `weight` is w.
    """
    book = catalogue or read_features()
    first = day - timedelta(days=round(book.number("baseline_days")))
    counted = summaries.filter(
        pl.col("day").is_between(pl.lit(first), pl.lit(day), closed="left"),
        pl.col("windows") >= book.number("baseline_least_windows"),
    )
    own = _own(counted)
    types = _of_types(own, vehicles, round(book.number("baseline_least_vehicles")))
    weight = pl.col("days") / (pl.col("days") + book.number("baseline_shrink_days"))
    least = {feature.name: feature.least_spread for feature in book.with_baseline}
    floor = pl.col("feature").replace_strict(least, return_dtype=pl.Float64)

    def shrunk(name: str) -> pl.Expr:
        mine, others = pl.col(f"own_{name}"), pl.col(f"type_{name}")
        mixed = pl.col("weight") * mine + (1 - pl.col("weight")) * others
        return pl.coalesce(mixed, others).alias(name)

    return (
        types.join(own, on=_KEY, how="left")
        .with_columns(pl.col("days").fill_null(0))
        .with_columns(weight=weight, day=pl.lit(day))
        .with_columns(shrunk("center"), shrunk("spread"))
        .with_columns(
            pl.max_horizontal("spread", floor).alias("spread"),
            pl.max_horizontal("type_spread", floor).alias("type_spread"),
        )
        .select(BASELINE_SCHEMA.names())
        .sort(_KEY)
    )


def _own(summaries: pl.DataFrame) -> pl.DataFrame:
    """Centre and spread of each vehicle by its own days."""
    return summaries.group_by(_KEY).agg(
        days=pl.len().cast(pl.Int64),
        own_center=pl.col("median").median(),
        own_spread=MAD_TO_SIGMA * (pl.col("mad").median() ** 2 + _mad("median") ** 2).sqrt(),
    )


def _of_types(own: pl.DataFrame, vehicles: pl.DataFrame, least: int) -> pl.DataFrame:
    """For each vehicle what is usual for its type, or for the fleet where too few are known."""
    known = own.join(vehicles.select("vehicle_id", "vehicle_type"), on="vehicle_id", how="left")
    what = [
        pl.col("vehicle_id").n_unique().cast(pl.Int64).alias("type_vehicles"),
        pl.col("own_center").median().alias("type_center"),
        (pl.col("own_spread").median() ** 2 + (MAD_TO_SIGMA * _mad("own_center")) ** 2)
        .sqrt()
        .alias("type_spread"),
    ]
    typed = known.filter(pl.col("vehicle_type").is_not_null())
    by_type = typed.group_by("vehicle_type", "regime", "feature").agg(what)
    of_fleet = known.group_by("regime", "feature").agg(what)
    mine = vehicles.select("vehicle_id", "vehicle_type").join(
        by_type.filter(pl.col("type_vehicles") >= least), on="vehicle_type", how="inner"
    )
    rest = (
        vehicles.select("vehicle_id", "vehicle_type")
        .join(of_fleet, how="cross")
        .join(mine, on=_KEY, how="anti")
    )
    return pl.concat([mine, rest.select(mine.columns)])


def _mad(name: str) -> pl.Expr:
    """Median of absolute deviations from the median."""
    return (pl.col(name) - pl.col(name).median()).abs().median()
