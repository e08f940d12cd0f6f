"""What has to do with which device: signals and devices that inputs and residuals come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

import polars as pl

from fleet_assets.features.catalogue import read_features
from fleet_assets.injection.signals import device_of
from fleet_assets.models.frame import FEATURES, INPUTS
from fleet_assets.models.steps import MEASURES, SIGNALS

DEVICES: Final = tuple(dict.fromkeys(device_of(name) for name in SIGNALS))
_ENDS: Final = (*MEASURES, "same_travel")
_SPECIAL: Final[Mapping[str, tuple[str, ...]]] = {
    "rpm_missing_share_60s": ("engine_rpm",),
    "gps_speed": ("gps",),
    "gps_excess_m": ("gps", "speed"),
    "gps_same_s": ("gps",),
    "gps_null_share": ("gps",),
    "gps_same_travel": ("gps",),
    "speed_change": ("speed",),
    "gear": ("engine_rpm", "speed"),
    "gear_spread": ("engine_rpm", "speed"),
}
RESIDUALS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "engine_rpm": ("rpm", "speed", "throttle"),
    "speed": ("rpm", "speed", "speed_change", "acceleration", "gps_speed"),
    "throttle_position": ("rpm", "throttle"),
    "engine_load": ("rpm", "throttle"),
    "coolant_temp": ("coolant", "coolant_trend", "coolant_change"),
    "accelerometer": ("acceleration",),
    "gps": ("gps_speed",),
}
"""Quantities of healthy.TARGETS that lie off where a device lies; other devices have none."""


@cache
def devices_of_input(name: str) -> frozenset[str]:
    """The devices that a column of INPUTS is made from; none: it is about messages as such."""
    if name in _SPECIAL:
        return frozenset(_SPECIAL[name])
    if name in FEATURES:
        return frozenset(map(device_of, read_features().feature(name).signals))
    signals = (name.removesuffix(f"_{end}") for end in _ENDS if name.endswith(f"_{end}"))
    return frozenset(device_of(signal) for signal in signals if signal in SIGNALS)


@cache
def inputs_of(device: str) -> tuple[str, ...]:
    """Columns of INPUTS that a device has a part in."""
    return tuple(name for name in INPUTS if device in devices_of_input(name))


@cache
def levels_of(device: str) -> tuple[str, ...]:
    """Columns of INPUTS that are known in windows in which the device has told a number."""
    return tuple(dict.fromkeys(_level_of(n) for n in SIGNALS if device_of(n) == device))


@cache
def null_shares_of(device: str) -> tuple[str, ...]:
    """Columns of INPUTS with the share of messages that name it as null."""
    return tuple(name for name in inputs_of(device) if name.endswith("_null_share"))


def devices_of_frame(frame: pl.DataFrame) -> list[str]:
    """The devices that a vehicle has: those that have told a number."""
    found = {device_of(name) for name in SIGNALS if frame[_level_of(name)].count() > 0}
    return [device for device in DEVICES if device in found]


def _level_of(signal: str) -> str:
    return "gps_speed" if signal.startswith("gps_") else f"{signal}_mean"
