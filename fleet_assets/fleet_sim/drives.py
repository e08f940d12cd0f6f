"""Healthy legs: drives between stops and turns, and parks with a refuel when the tank is low.

Everything is drawn per vehicle and leg, for many vehicles at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet_assets.fleet_sim.draws import Bools, Floats
from fleet_assets.fleet_sim.legs import CRUISE, Col, empty_legs
from fleet_assets.fleet_sim.limits import MPH

DRAWS = 32
"""Uniform numbers that one leg may use."""
REFUEL_BELOW = 30.0
"""%: a driver who parks with less fills up."""


@dataclass(frozen=True)
class Style:
    """How the vehicles of these legs drive: m/s, m/s² (one value for each leg)."""

    top: Floats
    pull: Floats
    brake: Floats
    corner: Floats


@dataclass(frozen=True)
class Start:
    """Where the legs begin: m/s, radians, m from home, m roaming range (one for each leg)."""

    speed: Floats
    heading: Floats
    east: Floats
    north: Floats
    roam: Floats


def drive(
    u: Floats, style: Style, start: Start, highway: Floats, last: Bools, short: Bools
) -> Floats:
    """Legs of driving.

    Args:
        u: uniform draws, shape (DRAWS, legs).
        style: how these vehicles drive.
        start: state at the start of each leg.
        highway: share of highway legs in the trip of each leg.
        last: legs that end a trip, so they end standing.
        short: legs whose cruise is cut to a minute, because something is due.
    """
    legs = empty_legs(u.shape[1])
    duration, v0, v1, turn = (legs[c] for c in (Col.DURATION, Col.V0, Col.V1, Col.TURN))

    is_highway = u[0] < highway
    is_suburb = ~is_highway & (u[1] < 0.4)
    cruise = np.where(
        is_highway, 23.0 + 8.0 * u[2], np.where(is_suburb, 14.0 + 6.0 * u[2], 8.0 + 5.5 * u[2])
    )
    cruise = np.minimum(cruise, style.top * (0.93 + 0.04 * u[2]))
    hold_s = np.where(
        is_highway,
        120.0 + 420.0 * u[3] ** 2,
        np.where(is_suburb, 40.0 + 120.0 * u[3], 20.0 + 60.0 * u[3]),
    )
    hold_s = np.where(short, np.minimum(hold_s, 40.0 + 20.0 * u[3]), hold_s)

    pull = style.pull * (0.55 + 0.45 * u[4])
    _speed_piece(legs, 0, start.speed, start.speed + 0.55 * (cruise - start.speed), pull)
    _speed_piece(legs, 1, v1[0], cruise, 0.55 * pull)

    # The foot is never still: speed swings to either side, at least by what the sensor can show.
    swing = np.where(is_highway, 0.010 + 0.015 * u[5:12], 0.02 + 0.05 * u[5:12])
    side = np.where(np.arange(7) % 2 == 0, 1.0, -1.0)[:, None]
    weights = 0.5 + u[12:19]
    duration[CRUISE] = hold_s * weights / weights.sum(axis=0)
    v1[CRUISE] = np.minimum(cruise * (1.0 + side * swing), style.top)
    v0[CRUISE] = v1[1:8]
    bend = 2.0 * u[12:19] - 1.0
    most = np.minimum(0.35, 0.35 * duration[CRUISE] / (1.5 * np.maximum(v1[CRUISE], 5.0)))
    turn[CRUISE] = bend * most

    stops = last | (u[20] < 0.55)
    brake = style.brake * (0.55 + 0.45 * u[21])
    corner_speed = 3.5 + 2.0 * u[22]
    _speed_piece(legs, 9, v1[8], np.where(stops, 0.35 * v1[8], corner_speed), brake)
    _speed_piece(legs, 10, v1[9], np.where(stops, 0.0, corner_speed), brake)
    _speed_piece(legs, 11, v1[10], v1[10], brake)
    angle = np.where(stops, 0.0, _homeward(u[23], u[24], start) * (1.05 + 0.7 * u[25]))
    turn[10] = angle
    turning_s = 1.5 * corner_speed * np.abs(angle) / (style.corner * (0.7 + 0.3 * u[26]))
    duration[10] = np.where(stops, duration[10], np.maximum(turning_s, 2.0))
    duration[11] = np.where(stops, 3.0 + 42.0 * u[27] ** 2, 1.0)
    return legs


def _speed_piece(legs: Floats, piece: int, v0: Floats, v1: Floats, peak: Floats) -> None:
    """A smooth change of speed whose acceleration peaks at ``peak`` m/s²."""
    legs[Col.V0, piece] = v0
    legs[Col.V1, piece] = v1
    legs[Col.DURATION, piece] = np.maximum(1.5 * np.abs(v1 - v0) / peak, 0.5)


def _homeward(chance: Floats, side: Floats, start: Start) -> Floats:
    """-1 or 1: a random side, or the one that leads home from too far away."""
    away = np.hypot(start.east, start.north) > start.roam * (0.3 + 0.7 * chance)
    home = np.arctan2(-start.east, -start.north)
    random_side = np.where(side < 0.5, -1.0, 1.0)
    return np.where(away, np.where(np.sin(home - start.heading) < 0, -1.0, 1.0), random_side)


def park(u: Floats, fuel: Floats, within: Floats) -> Floats:
    """Legs of parking, from a last idle to the idle before the next trip.

    Args:
        u: uniform draws, shape (DRAWS, legs).
        fuel: fuel level at the start in %.
        within: longest time for the park in seconds, because something is due.
    """
    legs = empty_legs(u.shape[1])
    parked_s = np.where(u[0] < 0.65, 180.0 + 720.0 * u[1], 900.0 + 4500.0 * u[1] ** 2)
    parked_s = np.minimum(parked_s, within)
    refuel = fuel < REFUEL_BELOW
    parked_s = np.where(refuel, np.maximum(parked_s, 300.0), np.maximum(parked_s, 60.0))
    legs[Col.DURATION, 1:11] = parked_s / 10.0
    legs[Col.DURATION, 0] = 5.0 + 20.0 * u[2]
    legs[Col.DURATION, 11] = 8.0 + 32.0 * u[3]
    legs[Col.ENGINE, 1:11] = 0.0
    legs[Col.FUEL_TO, 4] = np.where(refuel, 90.0 + 9.0 * u[4], np.nan)
    return legs


def healthy_top(cruise_mph: Floats) -> Floats:
    """m/s: what a healthy driver never exceeds."""
    return cruise_mph * MPH
