"""Telemetry as faults see it: arrays in order of vehicle and time, and the stretches in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.contracts.signals import NUMBERS
from fleet_assets.injection.catalogue import Catalogue, Where

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
M_PER_DEGREE: Final = 111_195.0
"""Metres in a degree of latitude (mean radius of the earth, 6,371 km)."""
_MPH: Final = 2.236936
"""Miles per hour in a metre per second."""
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True)
class Keys:
    """Rows of telemetry in order of vehicle and time, whatever order they lie in.

    Attributes:
        order: number of each row in the frame.
        vehicle_ids: id by code.
        vehicle: code of each row's vehicle, not decreasing.
        time_us: event time in µs since 1970, increasing within a vehicle.
    """

    order: NDArray[np.int64]
    vehicle_ids: list[str]
    vehicle: NDArray[np.int64]
    time_us: NDArray[np.int64]

    def of_vehicle(self, vehicle_id: str) -> slice:
        """The rows of one vehicle; none if there is no such vehicle."""
        code = self._codes.get(vehicle_id)
        if code is None:
            return slice(0, 0)
        first, end = np.searchsorted(self.vehicle, [code, code + 1])
        return slice(int(first), int(end))

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {vehicle_id: code for code, vehicle_id in enumerate(self.vehicle_ids)}


@dataclass(frozen=True)
class Rows:
    """Rows of telemetry in the order of their keys.

    Attributes:
        keys: vehicle and time.
        signals: numbers by name, NaN where unknown (absent, null, refused or in conflict); signals
            that are never known are missing.
    """

    keys: Keys
    signals: Mapping[str, Values]


def keys_of(telemetry: pl.DataFrame) -> Keys:
    """Vehicle and time of rows of `telemetry` in any order."""
    keys = telemetry.select("vehicle_id", "event_time").with_row_index("row")
    keys = keys.sort("vehicle_id", "event_time")
    codes = keys["vehicle_id"].rle_id()
    return Keys(
        keys["row"].cast(pl.Int64).to_numpy(),
        keys["vehicle_id"].gather(codes.arg_unique()).to_list(),
        codes.cast(pl.Int64).to_numpy(),
        keys["event_time"].dt.epoch("us").to_numpy(),
    )


def rows_of(telemetry: pl.DataFrame) -> Rows:
    """Rows as arrays.

    Args:
        telemetry: rows of `telemetry` in any order, with any of its signals; `conflict` counts
            where it is there.
    """
    keys = keys_of(telemetry)
    unknown = telemetry["conflict"].to_numpy() if "conflict" in telemetry.columns else None
    signals = {}
    for name in (signal.name for signal in NUMBERS if signal.name in telemetry.columns):
        if telemetry[name].null_count() == telemetry.height:
            continue
        values = telemetry[name].cast(pl.Float64).fill_null(np.nan).to_numpy(writable=True)
        if unknown is not None:
            values[unknown] = np.nan
        if not np.isnan(values).all():
            signals[name] = values[keys.order]
    return Rows(keys, signals)


@dataclass(frozen=True)
class Stretch:
    """Messages of a vehicle within one hour of the clock, without a longer silence.

    Attributes:
        vehicle_id: the vehicle.
        start_us: first event time, µs since 1970.
        time_s: seconds since then, increasing.
        signals: numbers by name, NaN where unknown; of those that are known at all.
        ends_drive: no message follows it without a longer silence.
        catalogue: says what running and driving are.
    """

    vehicle_id: str
    start_us: int
    time_s: Values
    signals: Mapping[str, Values]
    ends_drive: bool
    catalogue: Catalogue

    def while_(self, where: Where) -> Flags:
        """Rows in which the vehicle does something."""
        match where:
            case "any":
                return np.ones(len(self.time_s), np.bool_)
            case "driving":
                return self.driving
            case "running":
                return self.running
            case "warm":
                coolant = self.signals.get("coolant_temp")
                if coolant is None:
                    return np.zeros(len(self.time_s), np.bool_)
                return self.running & (coolant >= self.catalogue.warm_c)

    @cached_property
    def driving(self) -> Flags:
        """At driving speed by the wheels; where they say nothing, by position."""
        speed = self.signals.get("speed")
        by_fix = self._speed_by_fix()
        if speed is None:
            return by_fix >= self.catalogue.driving_mph
        return np.where(np.isnan(speed), by_fix, speed) >= self.catalogue.driving_mph

    @cached_property
    def running(self) -> Flags:
        """The engine turns; where its speed is unknown, the vehicle drives."""
        rpm = self.signals.get("engine_rpm")
        if rpm is None:
            return self.driving
        return np.where(np.isnan(rpm), self.driving, rpm >= self.catalogue.running_rpm)

    def _speed_by_fix(self) -> Values:
        """Miles per hour from the fix before, 0 where there is none."""
        lat, lon = self.signals.get("gps_lat"), self.signals.get("gps_lon")
        found = np.zeros(len(self.time_s))
        if lat is not None and lon is not None and len(lat) > 1:
            metres = np.hypot(*metres_between(lat[:-1], lon[:-1], lat[1:], lon[1:]))
            found[1:] = np.nan_to_num(metres / np.diff(self.time_s) * _MPH)
        return found


def stretches(rows: Rows, catalogue: Catalogue) -> Iterator[Stretch]:
    """All stretches with room for a fault between its margins, in order."""
    keys = rows.keys
    if not len(keys.time_us):
        return
    silence_us = np.diff(keys.time_us)
    drive_ends = (np.diff(keys.vehicle) != 0) | (silence_us > catalogue.longest_silence_s * 1e6)
    cut = drive_ends | (np.diff(keys.time_us // _HOUR_US) != 0)
    firsts = np.append(0, np.flatnonzero(cut) + 1)
    ends = np.append(firsts[1:], len(keys.time_us))
    drive_ends = np.append(drive_ends, True)
    length_us = keys.time_us[ends - 1] - keys.time_us[firsts]
    has_room = length_us > catalogue.margin_s * 1e6
    for first, end in zip(firsts[has_room].tolist(), ends[has_room].tolist(), strict=True):
        part = slice(first, end)
        signals = {name: values[part] for name, values in rows.signals.items()}
        yield Stretch(
            keys.vehicle_ids[keys.vehicle[first]],
            int(keys.time_us[first]),
            (keys.time_us[part] - keys.time_us[first]) / 1e6,
            {name: values for name, values in signals.items() if not np.isnan(values).all()},
            bool(drive_ends[end - 1]),
            catalogue,
        )


def metres_between(
    lat: Values, lon: Values, to_lat: Values, to_lon: Values
) -> tuple[Values, Values]:
    """Metres north and east between positions in degrees, for short ways (plane)."""
    north = (to_lat - lat) * M_PER_DEGREE
    return north, (to_lon - lon) * M_PER_DEGREE * np.cos(np.radians(lat))
