"""Vehicles whose positions have to be looked at closely (R29–R33).

A great circle costs many functions of angles, and most vehicles are nowhere near any limit. Here
distances are bounded from both sides by the least and the greatest length of a degree of longitude
that the vehicle comes by, which costs two products a row.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.episodes.levels import Limit
from fleet_assets.rules.detectors.acceleration import MPH, G
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import LONGEST_STEP_S, Ints, Rows, earlier, whole_vehicles

EARTH_M: Final = 6_371_008.8
"""Mean radius of the earth, metres (IUGG)."""
Codes = NDArray[np.int32]
_DEGREE_M: Final = EARTH_M * np.pi / 180
_ROUNDING: Final = 1e-6
"""The bounds and the distances themselves are rounded, much less than this."""
_BULGE: Final = 0.02
"""A great circle goes nearer to the pole than its ends; by much less, as far as `_FAR`."""
_FAR_DEGREES: Final = 1.0


def in_doubt(samples: Samples, limits: Limits, base_s: float, told: Values) -> Flags:
    """Rows of the vehicles that may be set for any rule on positions.

    Args:
        samples: the samples.
        limits: of the rules.
        base_s: seconds over which speed is told by positions.
        told: speed as it was sent, in bounds or not.
    """
    lat, lon, speed = samples.of("gps_lat"), samples.of("gps_lon"), samples.of("speed")
    named = ~(np.isnan(lat) | np.isnan(lon))
    nowhere = named & (lat == 0) & (lon == 0)
    rows = np.flatnonzero(named & ~nowhere)
    fixes: Rows = slice(None) if len(rows) == len(samples) else rows
    fastest = np.minimum(limits.of("R29", "set"), limits.of("R29", "clear"))
    doubt = told >= fastest
    doubt |= nowhere & (speed >= limits.of("R33", "min_speed"))
    doubt[fixes] |= _moves_oddly(samples, limits, lat, lon, fixes, base_s)
    return whole_vehicles(samples, doubt)


def _moves_oddly(
    samples: Samples, limits: Limits, lat: Values, lon: Values, fixes: Rows, base_s: float
) -> Flags:
    """Of the fixes, those that may be set."""

    def of(rule: str, name: str) -> Limit:
        limit = limits.of(rule, name)
        return limit[fixes] if isinstance(limit, np.ndarray) else limit

    lat, lon, speed = lat[fixes], lon[fixes], samples.of("speed")[fixes]
    if not len(lat):
        return np.zeros(0, np.bool_)
    shortest, longest = _lengths_of_degree(samples.vehicle[fixes], lat)
    when = samples.time_us[fixes]
    before = earlier(samples, fixes, base_s)
    passed_s = (when - when[before]) / 1e6
    passed_s[(before < 0) | (passed_s > LONGEST_STEP_S)] = np.nan
    north, east = (lat - lat[before]) * _DEGREE_M, lon - lon[before]
    per_hour = 1 / MPH / passed_s
    most = np.sqrt(north**2 + (east * longest) ** 2) * per_hour * (1 + _ROUNDING)
    least = np.sqrt(north**2 + (east * shortest) ** 2) * per_hour * (1 - _BULGE)
    odd: Flags = most >= np.minimum(of("R29", "set"), of("R29", "clear"))
    odd |= (np.abs(east) > _FAR_DEGREES) & ~np.isnan(passed_s)
    odd |= np.maximum(most - speed, speed - least) > np.asarray(of("R31", "difference")) - _ROUNDING
    slides = (most >= of("R32", "gps_speed")) & (speed < of("R32", "still_speed"))
    if slides.any():
        odd |= slides & ~_shaken(samples, limits, fixes, base_s)
    north, east = np.diff(lat) * _DEGREE_M, np.diff(lon)
    far_m = _after_first(limits.of("R30", "distance_m"), fixes) * (1 - _ROUNDING)
    is_far = north**2 + (east * longest[1:]) ** 2 >= far_m**2
    is_same = (north == 0) & (east == 0) & (speed >= of("R33", "min_speed"))[1:]
    mine = (samples.vehicle[fixes][1:] == samples.vehicle[fixes][:-1]) & (
        np.diff(when) <= LONGEST_STEP_S * 1e6
    )
    odd[1:] |= mine & (is_far | is_same)
    return odd


def _shaken(samples: Samples, limits: Limits, fixes: Rows, base_s: float) -> Flags:
    """Fixes at which the accelerometer is known not to be still (R32), from one sample to the next.

    As after a stop, where speed by positions comes after that of the wheels.
    """
    shaken = np.zeros(len(samples.time_us[fixes]), np.bool_)
    longest_us = np.minimum(limits.of("R32", "max_gap"), base_s) * 1e6
    least = 2 * G * np.asarray(limits.of("R32", "still_accel_g"))
    when, whose = samples.time_us[fixes], samples.vehicle[fixes]
    near = (whose[1:] == whose[:-1]) & (np.diff(when) < _after_first(longest_us, fixes))
    for axis in ("accel_x", "accel_y"):
        change = np.abs(np.diff(samples.of(axis)[fixes]))
        shaken[1:] |= near & (change >= _after_first(least, fixes) * (1 + _ROUNDING))
    return shaken


def _after_first(limit: Limit, fixes: Rows) -> Limit:
    limit = np.asarray(limit)
    return limit[fixes][1:] if limit.ndim else limit


def _lengths_of_degree(vehicle: Codes, lat: Values) -> tuple[Values, Values]:
    """Metres of a degree of longitude, least and most, where each fix's vehicle has been."""
    starts = np.flatnonzero(np.diff(vehicle, prepend=vehicle[0] - 1))
    south, north = np.minimum.reduceat(lat, starts), np.maximum.reduceat(lat, starts)
    nearest = np.where((south < 0) & (north > 0), 0, np.minimum(np.abs(south), np.abs(north)))
    farthest = np.maximum(np.abs(south), np.abs(north))
    times: Ints = np.diff(np.append(starts, len(lat)))
    shortest, longest = (
        np.repeat(np.cos(np.radians(degrees)) * _DEGREE_M, times) for degrees in (farthest, nearest)
    )
    return shortest, longest
