"""Mounting bias of accelerometers: what they show while the vehicle stands."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet_assets.rules.samples import Samples, Values
from fleet_assets.rules.windows import known_rows

MINUTES: Final = 10
"""How long a rest counts; detectors see that much of the time before a window."""
_MINUTE_US: Final = 60_000_000
_AT_REST_MPH: Final = 0.5
_LEAST: Final = 3
_MOST_MINUTES: Final = 2**33
"""More than there are since 1970."""
Codes = NDArray[np.int32]
Ints = NDArray[np.int64]


def without_bias(samples: Samples, axis: str) -> Values:
    """An axis less its median at rest over the ten minutes before the sample's minute.

    The median is taken over the medians of whole minutes, so that it does not depend on where a
    history is cut. A vehicle that has not stood for ten minutes keeps its values.
    """
    given = samples.of(axis)
    known = known_rows(given)  # few vehicles have an accelerometer
    values, vehicle = given[known], samples.vehicle[known]
    resting = samples.of("speed")[known] < _AT_REST_MPH
    if not resting.any():
        return given
    minute = samples.time_us[known] // _MINUTE_US
    rests = np.flatnonzero(resting)
    starts, lengths = _groups(vehicle[rests], minute[rests])
    medians = _medians(values[rests], starts, lengths)
    counted = starts[lengths >= _LEAST]
    keys, medians = _keys(vehicle[rests], minute[rests])[counted], medians[lengths >= _LEAST]
    if not len(keys):
        return given
    starts, lengths = _groups(vehicle, minute)
    wanted = _keys(vehicle[starts], minute[starts])
    before = np.full((len(wanted), MINUTES), np.nan)
    for back in range(1, MINUTES + 1):
        at = np.minimum(np.searchsorted(keys, wanted - back), len(keys) - 1)
        before[:, back - 1] = np.where(keys[at] == wanted - back, medians[at], np.nan)
    level = given.copy()
    level[known] -= np.repeat(_medians_of_rows(before), lengths)
    return level


def _groups(vehicle: Codes, minute: Ints) -> tuple[Ints, Ints]:
    """First positions and lengths of the minutes of vehicles."""
    begins = np.ones(len(minute), np.bool_)
    begins[1:] = (minute[1:] != minute[:-1]) | (vehicle[1:] != vehicle[:-1])
    starts = np.flatnonzero(begins)
    return starts, np.diff(np.append(starts, len(minute)))


def _keys(vehicle: Codes, minute: Ints) -> Ints:
    """Minutes of vehicles as single numbers, in order; those of two vehicles lie far apart."""
    return vehicle.astype(np.int64) * _MOST_MINUTES + minute


def _medians(values: Values, starts: Ints, lengths: Ints) -> Values:
    """Of groups of values that follow each other."""
    ordered = values[np.lexsort((values, np.repeat(np.arange(len(starts)), lengths)))]
    return _middle(ordered[starts + (lengths - 1) // 2], ordered[starts + lengths // 2])


def _medians_of_rows(table: Values) -> Values:
    """Of the known values of each row; 0 where there are none."""
    ordered = np.sort(table)  # what is unknown comes last
    count = (~np.isnan(table)).sum(axis=1)
    rows = np.arange(len(table))
    middle = _middle(
        ordered[rows, np.maximum(count - 1, 0) // 2], ordered[rows, count // 2 % MINUTES]
    )
    return np.where(count == 0, 0.0, middle)


def _middle(lower: Values, upper: Values) -> Values:
    return lower + (upper - lower) * 0.5
