"""Tables of features. Their columns stand in the catalogue of features, which is data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from fleet_assets.contracts.columns import EVENT_DAY, EVENT_HOUR, INT, REAL, TEXT, VEHICLE_ID
from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.contracts.table import UTC_MICROSECONDS, Column, Table

CATALOGUE: Final = Path(__file__).parents[1] / "features" / "catalogue.yaml"
REGIMES: Final = ("off", "idle", "city", "highway")
_OF_SIGNAL: Final = ("mean", "highest", "lowest")
_BOUNDS: Final = {"share": (0.0, 1.0), "correlation": (-1.0, 1.0)}
_SIGNED: Final = ("slope",)
_ALWAYS: Final = ("silent_share",)


def _columns() -> tuple[Column, ...]:
    given = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    most_z = float(given["numbers"]["most_z"]["value"])
    return tuple(_column(feature, most_z) for feature in given["features"])


def _column(feature: Mapping[str, Any], most_z: float) -> Column:
    least, most = _bounds(feature, most_z)
    return Column(
        feature["name"], REAL, feature["definition"], feature["unit"] or None,
        nullable=feature.get("measure") not in _ALWAYS, minimum=least, maximum=most,
    )  # fmt: skip


def _bounds(feature: Mapping[str, Any], most_z: float) -> tuple[float | None, float | None]:
    if "of" in feature:
        return -most_z, most_z
    if feature["measure"] in _OF_SIGNAL:
        signal = SIGNAL_BY_NAME[feature["signals"][0]]
        return signal.minimum, signal.maximum
    if feature["measure"] in _SIGNED:
        return None, None
    return _BOUNDS.get(feature["unit"], (0.0, None))


FEATURE_WINDOWS: Final = Table(
    "feature_windows",
    "gold",
    "one vehicle at the end of one step of 10 s in which it has sent",
    "Features over trailing windows, of messages before window_end alone, under the hour of the "
    "step. docs/features.md defines each. The z-scores are null where no baselines are pinned.",
    (
        EVENT_HOUR,
        VEHICLE_ID,
        Column("window_end", UTC_MICROSECONDS, "First moment that does not count any more."),
        *_columns(),
    ),
    key=("vehicle_id", "window_end"),
)
_REGIME: Final = Column("regime", TEXT, "Driving regime.", allowed=REGIMES)
_FEATURE: Final = Column("feature", TEXT, "The feature.")
_OF_DAY: Final = ("event_day", "vehicle_id", "regime", "feature")
FEATURE_DAYS: Final = Table(
    "feature_days",
    "gold",
    "one feature of one vehicle in one driving regime on one day",
    "What a feature was on a day, from the day's feature windows, without those that look at a "
    "known incident: a live rule's finding of severity high or critical that was not marked as "
    "false.",
    (
        EVENT_DAY,
        VEHICLE_ID,
        _REGIME,
        _FEATURE,
        Column("windows", INT, "Windows that have it.", "windows", minimum=1),
        Column("median", REAL, "Their median; unit of the feature."),
        Column("mad", REAL, "Median of their absolute deviations from it.", minimum=0),
    ),
    key=_OF_DAY,
    partition_by="event_day",
)
VEHICLE_BASELINES: Final = Table(
    "vehicle_baselines",
    "gold",
    "one feature of one vehicle in one driving regime, for windows of one day, in one version",
    "What is usual, from feature_days of the thirty days before; shrunk toward the vehicle type "
    "where there are few days. A version is never changed: hours are pinned to it (input_pins).",
    (
        EVENT_DAY,
        Column("version", INT, "1, or later ones that were asked for.", minimum=1),
        VEHICLE_ID,
        Column("vehicle_type", TEXT, "Type of the vehicle.", nullable=True),
        _REGIME,
        _FEATURE,
        Column("days", INT, "Days of its own.", "days", minimum=0),
        Column("weight", REAL, "Share of its own in the baseline.", "share", minimum=0, maximum=1),
        Column("center", REAL, "The baseline; unit of the feature."),
        Column("spread", REAL, "How far values usually lie from it.", minimum=0),
        Column("type_vehicles", INT, "Vehicles behind the type's.", "vehicles", minimum=1),
        Column("type_center", REAL, "What is usual for the type."),
        Column("type_spread", REAL, "How far values of the type usually lie from it.", minimum=0),
    ),
    key=("event_day", "version", *_OF_DAY[1:]),
    partition_by="event_day",
)
FEATURE_TABLES: Final = (FEATURE_WINDOWS, FEATURE_DAYS, VEHICLE_BASELINES)
