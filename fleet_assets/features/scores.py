"""z-scores of feature windows against baselines."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.features.catalogue import Feature, FeatureCatalogue, read_features
from fleet_assets.features.regimes import regime


def with_z_scores(
    windows: pl.DataFrame,
    baselines: pl.DataFrame,
    *,
    catalogue: FeatureCatalogue | None = None,
) -> pl.DataFrame:
    """The same windows with their z-scores: (value − centre) / spread, cut at ±`most_z`.

    Args:
        windows: rows as `feature_windows` gives them.
        baselines: rows of BASELINE_SCHEMA of one day, as pinned for the windows.
        catalogue: another one than the platform's.

    Raises:
        FleetError: baselines of several days, or of a day after a window: they know its future.
    """
    book = catalogue or read_features()
    _refuse_future(windows, baselines)
    found = windows.with_columns(regime(book))
    scores = [feature for feature in book.features if feature.of is not None]
    for of in dict.fromkeys(feature.of for feature in scores):
        usual = baselines.filter(pl.col("feature") == of).select(
            "vehicle_id", "regime", "center", "spread", "type_center", "type_spread"
        )
        mine = [feature for feature in scores if feature.of == of]
        found = (
            found.join(usual, on=["vehicle_id", "regime"], how="left", maintain_order="left")
            .with_columns(_score(feature, book.number("most_z")) for feature in mine)
            .drop("center", "spread", "type_center", "type_spread")
        )
    return found.select(windows.columns)


def _score(feature: Feature, most: float) -> pl.Expr:
    prefix = "type_" if feature.against == "type" else ""
    away = pl.col(str(feature.of)) - pl.col(f"{prefix}center")
    return (away / pl.col(f"{prefix}spread")).clip(-most, most).alias(feature.name)


def _refuse_future(windows: pl.DataFrame, baselines: pl.DataFrame) -> None:
    days = baselines["day"].unique()
    if len(days) > 1:
        raise FleetError(f"baselines of {len(days)} days are given: take those of one.")
    if windows.is_empty() or days.is_empty():
        return
    last_days = (windows["window_end"] - timedelta(microseconds=1)).dt.date()
    early = last_days.filter(last_days < days[0])
    if len(early):
        raise FleetError(
            f"baselines of {days[0]!s} know the future of a window of {early[0]!s}: take older"
            " ones."
        )
