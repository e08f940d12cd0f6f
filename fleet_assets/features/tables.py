"""Contracts of the tables of features, made from the catalogue.

They are not among `contracts.tables.TABLES` before something fills them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.contracts.columns import EVENT_HOUR, INT, REAL, TEXT, VEHICLE_ID
from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table
from fleet_assets.features.catalogue import Feature, FeatureCatalogue, read_features
from fleet_assets.features.regimes import REGIMES

_OF_SIGNAL: Final = ("mean", "highest", "lowest")
_BOUNDS: Final = {"share": (0.0, 1.0), "correlation": (-1.0, 1.0)}
_SIGNED: Final = ("slope",)
_ALWAYS: Final = ("silent_share",)


def feature_windows_table(catalogue: FeatureCatalogue | None = None) -> Table:
    """The contract of `feature_windows`: what the kernel gives, by hour of the window's step."""
    book = catalogue or read_features()
    return Table(
        "feature_windows",
        "gold",
        "one vehicle at the end of one step in which it has sent",
        "Features over trailing windows, of messages before window_end alone. docs/features.md "
        "defines each.",
        (
            EVENT_HOUR,
            VEHICLE_ID,
            Column("window_end", UTC_MICROSECONDS, "First moment that does not count any more."),
            *(_column(feature, book) for feature in book.features),
        ),
        key=("vehicle_id", "window_end"),
    )


def _column(feature: Feature, book: FeatureCatalogue) -> Column:
    least, most = _bounds(feature, book)
    return Column(
        feature.name, REAL, feature.definition, feature.unit,
        nullable=feature.measure not in _ALWAYS, minimum=least, maximum=most,
    )  # fmt: skip


def _bounds(feature: Feature, book: FeatureCatalogue) -> tuple[float | None, float | None]:
    if feature.of is not None:
        return -book.number("most_z"), book.number("most_z")
    if feature.measure in _OF_SIGNAL:
        signal = SIGNAL_BY_NAME[feature.signals[0]]
        return signal.minimum, signal.maximum
    if feature.measure in _SIGNED:
        return None, None
    return _BOUNDS.get(feature.unit, (0.0, None))


def by_hour(windows: pl.DataFrame) -> pl.DataFrame:
    """Feature windows as rows of the table: with the hour that their last step lies in."""
    last_moment = pl.col("window_end") - timedelta(microseconds=1)
    hour = last_moment.dt.strftime("%Y-%m-%dT%H").alias("event_hour")
    return windows.select(hour, pl.all())


VEHICLE_BASELINES: Final = Table(
    "vehicle_baselines",
    "gold",
    "one feature of one vehicle in one driving regime, as of one day",
    "What is usual, from the thirty days before, known incidents left out; shrunk toward the "
    "vehicle type where there are few days.",
    (
        Column("day", pl.Date(), "The day (UTC) from which on it may be used."),
        VEHICLE_ID,
        Column("vehicle_type", TEXT, "Type of the vehicle.", nullable=True),
        Column("regime", TEXT, "Driving regime.", allowed=REGIMES),
        Column("feature", TEXT, "The feature."),
        Column("days", INT, "Days of its own.", "days", minimum=0),
        Column("weight", REAL, "Share of its own in the baseline.", "share", minimum=0, maximum=1),
        Column("center", REAL, "The baseline; unit of the feature."),
        Column("spread", REAL, "How far values usually lie from it.", minimum=0),
        Column("type_vehicles", INT, "Vehicles behind the type's.", "vehicles", minimum=1),
        Column("type_center", REAL, "What is usual for the type."),
        Column("type_spread", REAL, "How far values of the type usually lie from it.", minimum=0),
    ),
    key=("day", "vehicle_id", "regime", "feature"),
    partition_by="day",
)
