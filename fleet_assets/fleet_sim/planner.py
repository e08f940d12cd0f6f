"""Plans the legs of all vehicles ahead of the time that is asked for, and keeps those that live.

A vehicle's plan depends on its own draws only: not on when it is asked for, nor on the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet_assets.fleet_sim import drives
from fleet_assets.fleet_sim.draws import Floats, Ints, Stream, uniform
from fleet_assets.fleet_sim.fault_legs import fault_leg
from fleet_assets.fleet_sim.faults import FAULT_KINDS, FaultKind, Situation
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.integrate import Carried, VehicleConstants, integrate
from fleet_assets.fleet_sim.legs import PIECES, Col, GpsMode
from fleet_assets.fleet_sim.limits import LOW_FUEL_PERCENT, MILE
from fleet_assets.fleet_sim.schedule import FaultSchedule

GO_HOME_BELOW = 22.0
"""%: with less fuel the trip ends at the next stop."""


@dataclass(frozen=True)
class Fault:
    """Ground truth: seconds from the start; ``end`` None while it lasts."""

    vehicle: int
    kind: FaultKind
    start: float
    end: float | None
    detail: str


class Planner:
    """The pieces of every vehicle, over the time that was asked for last."""

    def __init__(self, fleet: Fleet, schedule: FaultSchedule | None) -> None:
        self._fleet, self._schedule = fleet, schedule
        self._constants = VehicleConstants(fleet)
        self.faults: list[Fault] = []
        self.pieces: Floats = np.empty((len(Col), 0))
        self.owner: Ints = np.empty(0, np.int64)
        """Index of the vehicle of each piece; pieces are sorted by vehicle and time."""
        self._style = drives.Style(
            drives.healthy_top(fleet.spec("cruise_mph")),
            fleet.spec("pull"), fleet.spec("brake"), fleet.spec("corner"),
        )  # fmt: skip
        self._roam = fleet.spec("roam_km") * 1000.0
        self._low_fuel: dict[int, int] = {}
        n = fleet.size
        self._leg = np.zeros(n, np.int64)
        self._cycle = np.full(n, -1, np.int64)
        self._due, self._kind = np.full(n, np.inf), np.zeros(n, np.int64)
        u = uniform(fleet.seed, Stream.TRIP, fleet.index[None, :], np.arange(8)[:, None] + 2**40)
        on_road = u[0] < 0.7
        self._legs_left = np.where(on_road, 3 + (20 * u[1]).astype(np.int64), 0)
        self._highway = 0.8 * u[2] ** 2
        warm = np.where(on_road, 84.0 + 4.0 * u[3], fleet.ambient + 40.0 * u[3] ** 2)
        self.state = Carried(
            time=-np.where(on_road, 60.0, 600.0) * u[4], speed=np.zeros(n),
            heading=2 * np.pi * u[5], east=np.zeros(n), north=np.zeros(n),
            distance=(2_000.0 + 120_000.0 * u[6]) * MILE, fuel=35.0 + 63.0 * u[7], coolant=warm,
        )  # fmt: skip

    def cover(self, start: float, end: float) -> None:
        """Plan up to ``end`` and forget what ended before ``start`` (seconds)."""
        alive = self.pieces[Col.START] + self.pieces[Col.DURATION] > start
        batches, owners = [self.pieces[:, alive]], [self.owner[alive]]
        while (rows := np.flatnonzero(self.state.time < end)).size:
            legs = self._next_legs(rows)
            batches.append(legs.transpose(0, 2, 1).reshape(len(Col), -1))
            owners.append(np.repeat(rows, PIECES))
        if len(batches) > 1 or not alive.all():
            owner = np.concatenate(owners)
            order = np.argsort(owner, kind="stable")
            self.owner = owner[order]
            self.pieces = np.concatenate(batches, axis=1)[:, order]

    def _next_legs(self, rows: Ints) -> Floats:
        """The next leg of each of the vehicles ``rows``: shape (columns, pieces, legs)."""
        seed, state = self._fleet.seed, self.state
        numbers = self._leg[rows][None, :] * 64 + np.arange(drives.DRAWS + PIECES)[:, None]
        u = uniform(seed, Stream.LEG, rows[None, :], numbers)
        self._turn_cycle(rows)
        time, due, left = state.time[rows], self._due[rows], self._legs_left[rows]
        parks = (left == 0) & (due > time)
        style = drives.Style(
            self._style.top[rows], self._style.pull[rows],
            self._style.brake[rows], self._style.corner[rows],
        )  # fmt: skip
        start = drives.Start(
            state.speed[rows], state.heading[rows], state.east[rows], state.north[rows],
            self._roam[rows],
        )  # fmt: skip
        last = (left <= 1) | (state.fuel[rows] < GO_HOME_BELOW)
        ahead, short = due - time, np.isfinite(due)
        if self._schedule is not None:  # be on the road when the next cycle's fault may be due
            ahead = np.minimum(ahead, (self._cycle[rows] + 1) * self._schedule.cycle_s - time)
            short = short | self._schedule.many_cycles
        legs = drives.drive(u, style, start, self._highway[rows], last, short)
        if parks.any():
            legs[:, :, parks] = drives.park(u[:, parks], state.fuel[rows[parks]], ahead[parks])
        strikes = np.flatnonzero(due <= time)
        for at in strikes.tolist():
            self._strike(int(rows[at]), legs[:, :, at], u[:, at])
        self._legs_left[rows] = np.where(
            parks, 4 + (19 * u[30]).astype(np.int64), np.where(last, 0, left - 1)
        )
        for at in strikes.tolist():
            self._legs_left[rows[at]] = (
                1 if int(rows[at]) in self._low_fuel else max(left[at] - 1, 1)
            )
        self._highway[rows[parks]] = 0.8 * u[31, parks] ** 2
        self._leg[rows] += 1
        integrate(legs, rows, state, self._constants, u[drives.DRAWS :])
        self._freeze_fixes(legs, strikes)
        self._end_low_fuel(legs, rows)
        return legs

    def _turn_cycle(self, rows: Ints) -> None:
        """Look up the fault of the cycle that each vehicle has come to."""
        if self._schedule is None:
            return
        cycle = np.maximum(self.state.time[rows] // self._schedule.cycle_s, 0).astype(np.int64)
        new = cycle > self._cycle[rows]
        for number in np.unique(cycle[new]).tolist():
            those = rows[new & (cycle == number)]
            due, kind = self._schedule.assign(number)
            self._due[those], self._kind[those] = due[those], kind[those]
            self._cycle[those] = number

    def _strike(self, vehicle: int, leg: Floats, u: Floats) -> None:
        """Put the fault that is due into a vehicle's next leg."""
        state, kind = self.state, FAULT_KINDS[self._kind[vehicle]]
        situation = Situation(
            self._fleet.vehicles[vehicle], float(state.speed[vehicle]),
            float(state.fuel[vehicle]), float(state.coolant[vehicle]), u.tolist(),
        )  # fmt: skip
        fault = fault_leg(kind, situation)
        leg[:] = fault.pieces
        begin = float(state.time[vehicle])
        end = None if fault.end is None else begin + fault.end
        if end is None:
            self._low_fuel[vehicle] = len(self.faults)
        self.faults.append(Fault(vehicle, kind, begin + fault.start, end, fault.detail))
        self._due[vehicle] = np.inf

    def _freeze_fixes(self, legs: Floats, strikes: Ints) -> None:
        """Tell a receiver that repeats its last fix which one that is."""
        for at in strikes.tolist():
            frozen = np.flatnonzero(legs[Col.GPS_MODE, :, at] == GpsMode.FROZEN)
            if frozen.size:
                legs[Col.GPS_A, frozen, at] = legs[Col.EAST, frozen[0], at]
                legs[Col.GPS_B, frozen, at] = legs[Col.NORTH, frozen[0], at]

    def _end_low_fuel(self, legs: Floats, rows: Ints) -> None:
        """Close the low-fuel faults of vehicles that fill up in these legs."""
        for vehicle in [v for v in rows.tolist() if v in self._low_fuel] if self._low_fuel else []:
            at = int(np.searchsorted(rows, vehicle))
            fuel0, fuel1 = legs[Col.FUEL0, :, at], legs[Col.FUEL1, :, at]
            filling = np.flatnonzero((fuel1 > LOW_FUEL_PERCENT) & (fuel0 < LOW_FUEL_PERCENT))
            if filling.size:
                i = filling[0]
                share = (LOW_FUEL_PERCENT - fuel0[i]) / (fuel1[i] - fuel0[i])
                end = float(legs[Col.START, i, at] + share * legs[Col.DURATION, i, at])
                number = self._low_fuel.pop(vehicle)
                was = self.faults[number]
                self.faults[number] = Fault(vehicle, was.kind, was.start, end, was.detail)
