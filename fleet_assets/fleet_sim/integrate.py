"""Adds to planned legs what follows from them: start times, places, distances, fuel, coolant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet_assets.fleet_sim.draws import Floats
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.legs import PIECES, Col, displacement

THERMOSTAT_C = 87.0
ROLLING = 0.10
"""m/s²: rolling resistance."""


class VehicleConstants:
    """What integration and sampling need to know of each vehicle's type, as arrays."""

    def __init__(self, fleet: Fleet) -> None:
        self.drag = fleet.spec("drag")
        self.power = fleet.spec("power_w_per_kg")
        self.warm_up_s = fleet.spec("warm_up_s")
        tank = fleet.spec("tank_gallons")
        self.idle_burn = fleet.spec("idle_gph") / tank / 36.0
        """% of the tank a second at idle."""
        self.full_burn = fleet.spec("full_gph") / tank / 36.0
        """% of the tank a second at full load."""
        self.ambient = fleet.ambient


@dataclass
class Carried:
    """State of every vehicle at the end of what has been planned for it (see Col for units)."""

    time: Floats
    speed: Floats
    heading: Floats
    east: Floats
    north: Floats
    distance: Floats
    fuel: Floats
    coolant: Floats


def integrate(
    legs: Floats, rows: np.ndarray, state: Carried, constants: VehicleConstants, wander: Floats
) -> None:
    """Fill the derived columns of ``legs`` for the vehicles ``rows`` and move their state on.

    Args:
        legs: shape (columns, pieces, legs), changed in place.
        rows: index of the vehicle of each leg.
        state: changed in place.
        constants: of all vehicles.
        wander: uniform draws, shape (pieces, legs): how the thermostat regulates.
    """
    duration, v0, v1, turn = (legs[c] for c in (Col.DURATION, Col.V0, Col.V1, Col.TURN))
    linear = legs[Col.LINEAR]
    legs[Col.START] = _running(state.time[rows], duration)
    legs[Col.HEADING] = _running(state.heading[rows], turn)
    mean_speed = 0.5 * (v0 + v1)
    legs[Col.DISTANCE] = _running(state.distance[rows], mean_speed * duration)
    east, north = displacement(
        np.ones_like(v0), duration, v0, v1 - v0, legs[Col.HEADING], turn, linear
    )
    legs[Col.EAST] = _running(state.east[rows], east)
    legs[Col.NORTH] = _running(state.north[rows], north)

    work = np.maximum((v1 - v0) / duration + ROLLING + constants.drag[rows] * mean_speed**2, 0.0)
    load = np.minimum(work * mean_speed / constants.power[rows], 1.0)
    idle, full = constants.idle_burn[rows], constants.full_burn[rows]
    burn = (idle + (full - idle) * load) * legs[Col.ENGINE] * duration
    fuel, coolant = state.fuel[rows], state.coolant[rows]
    ambient, warm_up = constants.ambient[rows], constants.warm_up_s[rows]
    for i in range(PIECES):
        legs[Col.FUEL0, i], legs[Col.COOLANT0, i] = fuel, coolant
        planned = legs[Col.FUEL_TO, i]
        fuel = np.where(np.isnan(planned), np.maximum(fuel - burn[i], 0.5), planned)
        on = legs[Col.ENGINE, i] > 0
        target = np.where(on, THERMOSTAT_C - 2.5 + 5.0 * wander[i], ambient)
        pace = np.where(on, warm_up * (0.6 + 0.6 * (coolant < 75.0)), 5400.0)
        by_itself = target + (coolant - target) * np.exp(-duration[i] / pace)
        forced = legs[Col.COOLANT_TO, i]
        coolant = np.where(np.isnan(forced), by_itself, forced)
        legs[Col.FUEL1, i], legs[Col.COOLANT1, i] = fuel, coolant

    state.time[rows] = legs[Col.START, -1] + duration[-1]
    state.heading[rows] = (legs[Col.HEADING, -1] + turn[-1]) % (2 * np.pi)
    state.distance[rows] = legs[Col.DISTANCE, -1] + (mean_speed * duration)[-1]
    state.east[rows] = legs[Col.EAST, -1] + east[-1]
    state.north[rows] = legs[Col.NORTH, -1] + north[-1]
    state.speed[rows] = v1[-1]
    state.fuel[rows], state.coolant[rows] = fuel, coolant


def _running(first: Floats, step: Floats) -> Floats:
    """Value at the start of each piece: ``first``, then the sums of the steps before."""
    ends = first + np.cumsum(step, axis=0)
    return np.concatenate([first[None, :], ends[:-1]])
