"""Driving regimes: what a window is to be compared with."""

from __future__ import annotations

import polars as pl

from fleet_assets.features.catalogue import FeatureCatalogue, read_features


def regime(catalogue: FeatureCatalogue | None = None) -> pl.Expr:
    """The regime of feature windows, by the means of the last minute; null: speed is not known.

    A vehicle that moves is never off, so that an engine speed that has failed does not hide itself.
    """
    number = (catalogue or read_features()).number
    speed, rpm = pl.col("speed_mean_60s"), pl.col("rpm_mean_60s")
    stands = speed < number("moving_mph")
    return (
        pl.when(speed.is_null())
        .then(None)
        .when(stands & (rpm < number("engine_on_rpm")))
        .then(pl.lit("off"))
        .when(stands)
        .then(pl.lit("idle"))
        .when(speed < number("highway_mph"))
        .then(pl.lit("city"))
        .otherwise(pl.lit("highway"))
        .alias("regime")
    )
