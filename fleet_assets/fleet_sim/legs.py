"""Legs: the drive cycle in pieces, and the state that they carry forward.

A leg is a stretch of twelve pieces (away from a stop, cruise, slow down, stop or turn; or a park).
Within a piece speed and heading follow closed formulas of time, so a sample at any time needs
only its piece: no step-by-step integration, and any block of time can be evaluated alone.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from fleet_assets.fleet_sim.draws import Floats

PIECES = 12
CRUISE = slice(2, 9)
"""The pieces of a driving leg in which its cruising speed is held."""


class Col(IntEnum):
    """Columns of a piece. Times in s, lengths in m, angles in radians clockwise from north."""

    DURATION = 0
    V0 = 1
    V1 = 2
    TURN = 3
    """Change of heading over the piece."""
    LINEAR = 4
    """1: constant acceleration; 0: smooth, peak 1.5 times the mean."""
    ENGINE = 5
    LOW_GEAR = 6
    """rpm for each m/s of a gear that is held; 0: the gearbox chooses."""
    COOLANT_TO = 7
    """°C that the piece ends at; NaN: by the thermostat."""
    FUEL_TO = 8
    """% that the piece ends at; NaN: by what the engine burns."""
    GPS_MODE = 9
    GPS_A = 10
    GPS_B = 11
    SENSOR_MODE = 12
    SENSOR_A = 13
    START = 14
    HEADING = 15
    EAST = 16
    NORTH = 17
    DISTANCE = 18
    FUEL0 = 19
    FUEL1 = 20
    COOLANT0 = 21
    COOLANT1 = 22


class GpsMode(IntEnum):
    """What a faulty receiver reports instead of the position."""

    TRUE = 0
    OFFSET = 1
    """GPS_A, GPS_B: metres east and north beside the truth."""
    ZERO = 2
    FROZEN = 3
    """GPS_A, GPS_B: the position in metres that stays."""
    DRIFT = 4
    """GPS_A, GPS_B: m/s east and north that the position runs away with."""


class SensorMode(IntEnum):
    """What a faulty sensor reports."""

    TRUE = 0
    NULL_COOLANT = 1
    NULL_RPM = 2
    NULL_SPEED = 3
    NULL_FUEL = 4
    STUCK_RPM = 5
    """SENSOR_A: the rpm that stays."""
    OPEN_COOLANT = 6
    """An open circuit: the lowest reading, SENSOR_A in °C."""


def empty_legs(count: int) -> Floats:
    """Pieces for ``count`` legs with neutral values: shape (columns, pieces, legs)."""
    legs = np.zeros((len(Col), PIECES, count))
    legs[Col.COOLANT_TO] = np.nan
    legs[Col.FUEL_TO] = np.nan
    legs[Col.ENGINE] = 1.0
    return legs


def ramp(u: Floats, linear: Floats) -> Floats:
    """Share of a change that is done after share ``u`` of a piece."""
    smooth = u * u * (3.0 - 2.0 * u)
    return np.asarray(smooth + linear * (u - smooth))


def ramp_slope(u: Floats, linear: Floats) -> Floats:
    """Derivative of :func:`ramp`."""
    smooth = 6.0 * u * (1.0 - u)
    return np.asarray(smooth + linear * (1.0 - smooth))


def ramp_area(u: Floats, linear: Floats) -> Floats:
    """Integral of :func:`ramp` from 0 to ``u``."""
    square = u * u
    smooth = square * u * (1.0 - 0.5 * u)
    return np.asarray(smooth + linear * (0.5 * square - smooth))


def ramp_inverse(share: float) -> float:
    """The ``u`` at which the smooth ramp has done ``share`` of its change."""
    share = min(1.0, max(0.0, share))
    return 0.5 - float(np.sin(np.arcsin(1.0 - 2.0 * share) / 3.0))


_NODES = ((0.1127016653792583, 5 / 18), (0.5, 8 / 18), (0.8872983346207417, 5 / 18))
"""Gauss-Legendre nodes and weights on [0, 1]."""


def displacement(
    u: Floats, duration: Floats, v0: Floats, dv: Floats, heading: Floats, turn: Floats,
    linear: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Metres east and north since the start of the piece, after share ``u`` of it."""
    east = np.zeros_like(u)
    north = np.zeros_like(u)
    for node, weight in _NODES:
        at = u * node
        smooth = at * at * (3.0 - 2.0 * at)
        angle = heading + turn * smooth
        speed = v0 + dv * (smooth + linear * (at - smooth))
        speed *= weight
        east += speed * np.sin(angle)
        north += speed * np.cos(angle)
    span = u * duration
    return east * span, north * span
