"""Positions that cannot be, or do not agree with the wheels (R29–R33)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fleet_assets.episodes.levels import CLEAR, HOLD, SET, UNKNOWN, Levels, above, both, either
from fleet_assets.rules.detect import Found
from fleet_assets.rules.detectors.acceleration import MPH, G
from fleet_assets.rules.detectors.doubt import EARTH_M, in_doubt
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Flags, Samples, Values
from fleet_assets.rules.windows import (
    LONGEST_STEP_S,
    Ints,
    after_failure,
    earlier,
    rolling,
    stretches,
    whole_vehicles,
)

BASE_S: Final = 2.0
"""Speed by positions is taken over at least so long: fixes come once a second at best."""
_READ: Final = ("gps_lat", "gps_lon", "speed", "accel_x", "accel_y")
_STEP_S: Final = 1.0
"""Acceleration is told over at least so long."""


def gps(samples: Samples, limits: Limits) -> Sequence[Found]:
    """All rules on positions, where they are in doubt; of vehicles without any, the speed alone."""
    speed = _speed_told(samples)
    with_positions = whole_vehicles(samples, ~np.isnan(samples.of("gps_lat")))
    looked_at = with_positions & in_doubt(samples, limits, BASE_S, speed)
    rows = np.flatnonzero(looked_at)
    if len(rows) > len(samples) / 2 and with_positions.all():
        return _positions(samples, limits)
    some = samples.at(rows, _READ), limits.at(rows)
    of_some = _positions(*some) if len(rows) else []
    found = [
        one.among(rows, len(samples))
        for one in of_some
        if np.any((one.levels == SET) | (one.levels == HOLD))
    ]
    if np.any((speed >= limits.of("R29", "clear")) & ~with_positions):
        by_speed = _impossible(samples, limits, speed)
        by_speed[with_positions] = UNKNOWN
        found.append(Found("R29", by_speed, speed))
    return found


def _positions(samples: Samples, limits: Limits) -> list[Found]:
    """All rules on positions."""
    lat, lon, speed = samples.of("gps_lat"), samples.of("gps_lon"), samples.of("speed")
    named = ~(np.isnan(lat) | np.isnan(lon))
    nowhere = named & (lat == 0) & (lon == 0)
    fixes = np.flatnonzero(named & ~nowhere)
    failed = after_failure(samples, "gps_lat", fixes) | _was_nowhere(nowhere, fixes)
    lost: Ints = np.cumsum(failed, dtype=np.int64)
    by_positions = _speed_mph(samples, lat, lon, fixes, earlier(samples, fixes, BASE_S), lost)
    told = _speed_told(samples)
    found = [
        Found(
            "R29",
            either(*(_impossible(samples, limits, values) for values in (by_positions, told))),
            np.fmax(by_positions, told),
        )
    ]
    found.append(_jump(samples, limits, lat, lon, fixes, lost))
    difference = np.abs(by_positions - speed)
    found.append(Found("R31", _disagreement(limits, by_positions, speed, difference), difference))
    found.append(Found("R32", _spoof(samples, limits, by_positions, speed), by_positions))
    moving = _at_least(speed, limits.of("R33", "min_speed"))
    found.append(
        Found("R33/zero", both(_flags(nowhere, named), moving), speed, duration="zero_duration")
    )
    same = np.zeros(len(samples), np.bool_)
    same[fixes[1:]] = (
        (lat[fixes[1:]] == lat[fixes[:-1]])
        & (lon[fixes[1:]] == lon[fixes[:-1]])
        & (samples.vehicle[fixes[1:]] == samples.vehicle[fixes[:-1]])
        & (np.diff(samples.time_us[fixes]) <= LONGEST_STEP_S * 1e6)
    )
    found.append(Found("R33/same", both(_flags(same, named), moving), speed))
    return found


def distance_m(lat: Values, lon: Values, to_lat: Values, to_lon: Values) -> Values:
    """Great-circle distance in metres between positions in degrees (haversine)."""
    half = np.radians(to_lat - lat) / 2, np.radians(to_lon - lon) / 2
    chord = (
        np.sin(half[0]) ** 2
        + np.cos(np.radians(lat)) * np.cos(np.radians(to_lat)) * np.sin(half[1]) ** 2
    )
    return np.asarray(2 * EARTH_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0))))


def _speed_told(samples: Samples) -> Values:
    """Speed as it was sent, be it faster than its encoding can express."""
    speed, beyond = samples.of("speed"), samples.beyond.get("speed")
    return speed if beyond is None else np.where(beyond > 0, beyond, speed)


def _impossible(samples: Samples, limits: Limits, speed: Values) -> Levels:
    """Set where a speed beyond the limit was not reached by an acceleration that can be.

    A vehicle that was seen to get there keeps whatever was: fast, but no wrong sensor.
    """
    levels = above(speed, limits.of("R29", "set"), limits.of("R29", "clear"))
    if not np.any(levels == SET):
        return levels
    known = np.flatnonzero(~np.isnan(speed))
    before = earlier(samples, known, _STEP_S)
    passed_s = (samples.time_us[known] - samples.time_us[known[before]]) / 1e6
    gained_g = (speed[known] - speed[known[before]]) * MPH / G / np.maximum(passed_s, 1e-6)
    most = limits.of("R29", "max_accel_g")
    most = most[known] if isinstance(most, np.ndarray) else most
    seen = (before >= 0) & (passed_s <= LONGEST_STEP_S) & (gained_g <= most)
    fast = levels[known] == SET
    levels[known[fast & seen]] = HOLD
    return levels


def _was_nowhere(nowhere: Flags, fixes: Ints) -> Flags:
    """Fixes before which the receiver had none."""
    count = np.cumsum(nowhere)[fixes]
    return np.diff(count, prepend=count[:1]) > 0


def _speed_mph(
    samples: Samples, lat: Values, lon: Values, fixes: Ints, before: Ints, lost: Ints
) -> Values:
    """Speed between fixes; NaN where there is none before, or a silence or failure lies between."""
    out = np.full(len(samples), np.nan)
    if len(fixes):
        metres = _metres(lat, lon, fixes, before)
        out[fixes] = _mph(samples, metres, fixes, before, lost)
    return out


def _metres(lat: Values, lon: Values, fixes: Ints, before: Ints) -> Values:
    """From the fix before to each fix."""
    earlier_fix = fixes[before]
    return distance_m(lat[earlier_fix], lon[earlier_fix], lat[fixes], lon[fixes])


def _mph(samples: Samples, metres: Values, fixes: Ints, before: Ints, lost: Ints) -> Values:
    """Speed over these distances; NaN as above."""
    passed = (samples.time_us[fixes] - samples.time_us[fixes[before]]) / 1e6
    usable = (before >= 0) & (passed <= LONGEST_STEP_S) & (passed > 0) & (lost == lost[before])
    return np.where(usable, metres / np.maximum(passed, 1e-6) / MPH, np.nan)


def _jump(
    samples: Samples, limits: Limits, lat: Values, lon: Values, fixes: Ints, lost: Ints
) -> Found:
    far = np.full(len(samples), np.nan)
    levels = np.full(len(samples), UNKNOWN, np.int8)
    levels[fixes] = CLEAR
    if len(fixes):
        before = np.arange(len(fixes)) - 1
        before[1:][samples.vehicle[fixes[1:]] != samples.vehicle[fixes[:-1]]] = -1
        metres = _metres(lat, lon, fixes, before)
        speed = np.full(len(samples), np.nan)
        speed[fixes] = _mph(samples, metres, fixes, before, lost)
        far[fixes] = np.where(before < 0, np.nan, metres)
        jumps = (far >= limits.of("R30", "distance_m")) & (speed > limits.of("R30", "speed_mph"))
        levels[jumps] = SET
    return Found("R30", levels, far)


def _disagreement(
    limits: Limits, by_positions: Values, speed: Values, difference: Values
) -> Levels:
    larger = np.fmax(by_positions, speed)
    apart = (difference > limits.of("R31", "difference")) & (
        difference > larger * limits.of("R31", "share")
    )
    return _flags(apart, ~np.isnan(difference))


def _spoof(samples: Samples, limits: Limits, by_positions: Values, speed: Values) -> Levels:
    moves = _at_least(by_positions, limits.of("R32", "gps_speed"))
    if "accel_x" not in samples.signals:
        return np.where(moves == SET, np.int8(UNKNOWN), moves)
    stands = _flags(speed < limits.of("R32", "still_speed"), ~np.isnan(speed))
    slides = both(moves, stands)
    sliding = whole_vehicles(samples, slides == SET)
    if not sliding.any():
        return slides
    still = np.ones(len(samples), np.bool_)
    known = np.zeros(len(samples), np.bool_)
    for axis in ("accel_y", "accel_x"):  # the first one may be missing, sample by sample
        values = np.where(sliding, samples.of(axis), np.nan)
        stretch = stretches(samples, values, limits, "R32")
        highest = rolling(samples, values, BASE_S, "max", stretch)
        span = np.maximum(
            highest - rolling(samples, values, BASE_S, "min", stretch), _steps(values, stretch)
        )
        known = ~np.isnan(span)
        still &= ~known | (span / G < 2 * np.asarray(limits.of("R32", "still_accel_g")))
    return both(slides, _flags(still, known))


def _steps(values: Values, stretch: Ints) -> Values:
    """Change since the sample before, however slowly they come; NaN at the first of a stretch."""
    known = np.flatnonzero(~np.isnan(values))
    steps = np.full(len(values), np.nan)
    same = stretch[known[1:]] == stretch[known[:-1]]
    steps[known[1:]] = np.where(same, np.abs(np.diff(values[known])), np.nan)
    return steps


def _at_least(values: Values, limit: float | Values) -> Levels:
    return _flags(values >= limit, ~np.isnan(values))


def _flags(holds: Flags, known: Flags) -> Levels:
    levels = np.where(holds, SET, CLEAR).astype(np.int8)
    levels[~known] = UNKNOWN
    return levels
