"""Each fault as a leg: how it looks in the vehicle, and its ground truth.

A fault is driven, not painted over: an over-speeding truck moves that fast, a braking one loses
that speed. Only a lying receiver or sensor differs from what the vehicle does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np

from fleet_assets.fleet_sim.draws import Floats
from fleet_assets.fleet_sim.faults import FaultKind, FaultLeg, Situation
from fleet_assets.fleet_sim.legs import (
    CRUISE,
    PIECES,
    Col,
    GpsMode,
    SensorMode,
    empty_legs,
    ramp_inverse,
)
from fleet_assets.fleet_sim.limits import (
    GRAVITY,
    LIMITS,
    LOW_FUEL_PERCENT,
    MPH,
    OVERHEAT_C,
    STANDING_MPH,
    rpm_limit,
)

MINUTE: Final = timedelta(minutes=1)


def fault_leg(kind: FaultKind, at: Situation) -> FaultLeg:
    """The leg in which this fault happens."""
    return _BUILDERS[kind](at)


@dataclass
class _Leg:
    """A driving leg under construction, from the vehicle's speed to a stop."""

    at: Situation
    cruise: float
    hold_s: Sequence[float]
    dwell: float = 5.0
    braking: float = 0.0
    """m/s² of one hard brake to a stop; 0: a gentle one."""
    pieces: Floats = field(init=False)

    def __post_init__(self) -> None:
        spec = self.at.vehicle.spec
        self.pieces = empty_legs(1)[:, :, 0]
        self._speed(
            0, self.at.speed, self.at.speed + 0.55 * (self.cruise - self.at.speed), spec.pull * 0.9
        )
        self._speed(1, self.v1(0), self.cruise, spec.pull * 0.5)
        for i, hold in zip(range(2, 9), self.hold_s, strict=True):
            self.set(i, DURATION=hold, V0=self.cruise, V1=self.cruise, TURN=0.02)
        if self.braking:
            self.set(9, DURATION=self.cruise / self.braking, V0=self.cruise, LINEAR=1.0)
            self.set(10, DURATION=1.0)
        else:
            self._speed(9, self.cruise, 0.35 * self.cruise, spec.brake * 0.8)
            self._speed(10, self.v1(9), 0.0, spec.brake * 0.8)
        self.set(11, DURATION=self.dwell)

    def set(self, piece: int, **columns: float) -> None:
        for name, value in columns.items():
            self.pieces[Col[name], piece] = value

    def _speed(self, piece: int, v0: float, v1: float, peak: float) -> None:
        self.set(piece, V0=v0, V1=v1, DURATION=max(1.5 * abs(v1 - v0) / peak, 0.5))

    def v1(self, piece: int) -> float:
        return float(self.pieces[Col.V1, piece])

    def begin(self, piece: int) -> float:
        """Seconds from the start of the leg to the start of a piece."""
        return float(self.pieces[Col.DURATION, :piece].sum())

    def crossing(self, piece: int, speed: float) -> float:
        """Seconds from the start of the leg to the moment at which a piece passes a speed."""
        v0, v1, duration = (self.pieces[c, piece] for c in (Col.V0, Col.V1, Col.DURATION))
        return self.begin(piece) + float(duration) * ramp_inverse((speed - v0) / (v1 - v0))

    def done(self, start: float, end: float | None, detail: str) -> FaultLeg:
        return FaultLeg(self.pieces, start, end, detail)


def _high_rpm(at: Situation) -> FaultLeg:
    spec = at.vehicle.spec
    limit = rpm_limit(spec.name, spec.redline_rpm)
    target = limit * (1.045 + 0.06 * at.u[0])
    top = spec.cruise_mph * MPH * 0.95
    ratio = next(r for r in spec.rpm_per_mps if target / r <= top and target / r > 8.0)
    leg = _Leg(at, target / ratio, [(8.0 + 15.0 * at.u[1]) / 7] * 7)
    leg.pieces[Col.LOW_GEAR, :11] = ratio
    return leg.done(
        leg.crossing(1, limit / ratio), leg.crossing(9, limit / ratio),
        f"held in a low gear at {target:.0f} rpm, limit {limit:.0f}",
    )  # fmt: skip


def _harsh_braking(at: Situation) -> FaultLeg:
    limit = LIMITS[at.vehicle.spec.name].braking_g
    g = limit * (1.3 + 0.4 * at.u[0])
    leg = _Leg(at, 22.0 + 3.0 * at.u[1], [3.0] * 7, dwell=6.0, braking=g * GRAVITY)
    return leg.done(leg.begin(9), leg.begin(10), f"braked with {g:.2f} g, limit {limit:.2f} g")


def _prolonged_idling(at: Situation) -> FaultLeg:
    limit = LIMITS[at.vehicle.spec.name].idling
    dwell = limit.total_seconds() * (1.08 + 0.5 * at.u[0])
    leg = _Leg(at, 9.0, [4.0] * 7, dwell=dwell)
    return leg.done(
        leg.crossing(10, STANDING_MPH * MPH), leg.begin(PIECES),
        f"stood {dwell / 60:.1f} min with the engine on, limit {limit // MINUTE} min",
    )  # fmt: skip


def _over_speeding(at: Situation) -> FaultLeg:
    limit = LIMITS[at.vehicle.spec.name].speed_mph
    excess = 4.0 + 24.0 * at.u[0] ** 2
    leg = _Leg(at, (limit + excess) * MPH, [(50.0 + 200.0 * at.u[1]) / 7] * 7)
    swing = np.where(np.arange(7) % 2 == 0, 0.5, -0.5) * MPH * 2.0
    leg.pieces[Col.V1, CRUISE] += swing
    leg.pieces[Col.V0, 3:10] = leg.pieces[Col.V1, 2:9]
    return leg.done(
        leg.crossing(1, limit * MPH), leg.crossing(9, limit * MPH),
        f"drove {limit + excess:.0f} mph, limit {limit:.0f} mph",
    )  # fmt: skip


def _engine_overheat(at: Situation) -> FaultLeg:
    peak = 114.0 + 8.0 * at.u[0]
    rise, hold, fall = 60.0 + 25.0 * at.u[1], 35.0 + 40.0 * at.u[2], 90.0
    leg = _Leg(at, 13.0, [20.0, rise, rise, rise, hold, hold, fall])
    climb = peak - at.coolant
    shares = (0.0, 0.5, 0.85, 1.0)
    ends = [at.coolant + climb * share for share in shares] + [peak + 1.0, peak, 95.0]
    for piece, degrees in zip(range(2, 9), ends, strict=True):
        leg.set(piece, COOLANT_TO=degrees)
    shown = OVERHEAT_C - 0.5  # the sensor rounds to whole degrees
    hot = next(i for i in range(1, 4) if ends[i - 1] < shown <= ends[i])
    start = leg.begin(hot + 2) + rise * (shown - ends[hot - 1]) / (ends[hot] - ends[hot - 1])
    end = leg.begin(8) + fall * (peak - shown) / (peak - 95.0)
    return leg.done(start, end, f"coolant rose to {peak + 1:.0f} °C, limit {OVERHEAT_C:.0f} °C")


def _low_fuel(at: Situation) -> FaultLeg:
    level = 4.0 + 5.0 * at.u[0]
    leg = _Leg(at, 12.0, [10.0, 60.0, 60.0, 60.0, 160.0, 160.0, 160.0])
    before = at.fuel - 0.3
    for piece, share in ((3, 1 / 3), (4, 2 / 3), (5, 1.0)):
        leg.set(piece, FUEL_TO=before + (level - before) * share)
    leg.set(2, FUEL_TO=before)
    start = leg.begin(3) + 180.0 * (before - LOW_FUEL_PERCENT) / (before - level)
    return leg.done(
        start,
        None,
        f"fuel leaked from {before:.0f} % to {level:.0f} %, low at {LOW_FUEL_PERCENT:.0f} %",
    )


def _gps_anomaly(at: Situation) -> FaultLeg:
    variant = int(at.u[0] * 4)
    leg = _Leg(
        at, 12.0 + 6.0 * at.u[1], [13.0 + 3.0 * at.u[2]] * 7, dwell=70.0 if variant == 3 else 5.0
    )
    bearing = 2 * math.pi * at.u[3]
    if variant == 3:
        drift = 13.0 + 12.0 * at.u[4]
        _lie(
            leg, range(11, 12), GpsMode.DRIFT, drift * math.sin(bearing), drift * math.cos(bearing)
        )
        return leg.done(
            leg.begin(11), leg.begin(12), f"position drifts {drift / MPH:.0f} mph while standing"
        )
    if variant == 2:
        distance = 3_000.0 + 20_000.0 * at.u[4]
        _lie(
            leg,
            range(4, 6),
            GpsMode.OFFSET,
            distance * math.sin(bearing),
            distance * math.cos(bearing),
        )
        return leg.done(
            leg.begin(4), leg.begin(6), f"position jumps {distance / 1000:.1f} km away and back"
        )
    if variant == 1:
        _lie(leg, range(3, 6), GpsMode.ZERO, 0.0, 0.0)
        return leg.done(leg.begin(3), leg.begin(6), "no fix, reported as 0,0")
    _lie(leg, range(3, 9), GpsMode.FROZEN, 0.0, 0.0)  # the planner knows where
    return leg.done(leg.begin(3), leg.begin(9), "the last fix is repeated while driving")


def _lie(leg: _Leg, pieces: range, mode: GpsMode, a: float, b: float) -> None:
    for piece in pieces:
        leg.set(piece, GPS_MODE=mode, GPS_A=a, GPS_B=b)


def _sensor_failure(at: Situation) -> FaultLeg:
    variants = [SensorMode.NULL_COOLANT, SensorMode.NULL_RPM, SensorMode.NULL_SPEED]
    if "fuel_level" in at.vehicle.keys:
        variants.append(SensorMode.NULL_FUEL)
    variants += [SensorMode.STUCK_RPM, SensorMode.OPEN_COOLANT]
    mode = variants[int(at.u[0] * len(variants))]
    stuck = mode is SensorMode.STUCK_RPM
    leg = _Leg(at, 13.0, [(24.0 if stuck else 10.0) + 6.0 * at.u[1]] * 7)
    if stuck:  # speed and gears change under the value that stays
        speeds = 13.0 * np.array([1.15, 0.7, 1.2, 0.65, 1.1, 0.75, 1.0])
        leg.pieces[Col.V1, CRUISE] = speeds
        leg.pieces[Col.V0, 3:9] = speeds[:-1]
    pieces = range(2, 9) if stuck else range(3, 6)
    value = 1400.0 + 100.0 * round(6 * at.u[2]) if stuck else -40.0
    for piece in pieces:
        leg.set(piece, SENSOR_MODE=mode, SENSOR_A=value)
    names = {
        SensorMode.NULL_COOLANT: "coolant_temp is null",
        SensorMode.NULL_RPM: "engine_rpm is null",
        SensorMode.NULL_SPEED: "speed is null",
        SensorMode.NULL_FUEL: "fuel_level is null",
        SensorMode.STUCK_RPM: f"engine_rpm is stuck at {value:.0f}",
        SensorMode.OPEN_COOLANT: "coolant_temp jumps to an open circuit's -40 °C and back",
    }
    return leg.done(leg.begin(pieces[0]), leg.begin(pieces[-1] + 1), names[mode])


_BUILDERS: Final[dict[FaultKind, Callable[[Situation], FaultLeg]]] = {
    "high_rpm": _high_rpm,
    "harsh_braking": _harsh_braking,
    "prolonged_idling": _prolonged_idling,
    "over_speeding": _over_speeding,
    "engine_overheat": _engine_overheat,
    "low_fuel": _low_fuel,
    "gps_anomaly": _gps_anomaly,
    "sensor_failure": _sensor_failure,
}
