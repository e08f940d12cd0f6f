"""What the sensors of the vehicles report at their sampling times.

A sample is computed from its piece of the plan alone, then given the noise and the resolution
of a real device. Values are rounded so that their shortest decimal text is the device's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet_assets.fleet_sim.draws import Bools, Floats, Ints, Stream, normal_lane, words
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.gearbox import Gearbox
from fleet_assets.fleet_sim.integrate import ROLLING
from fleet_assets.fleet_sim.legs import (
    Col,
    GpsMode,
    SensorMode,
    displacement,
    ramp,
    ramp_area,
    ramp_slope,
)
from fleet_assets.fleet_sim.limits import GRAVITY, MILE

KMH_TO_MPH = 0.621371
METRES_PER_DEGREE = 111_320.0
NULLS = {
    "coolant_temp": SensorMode.NULL_COOLANT,
    "engine_rpm": SensorMode.NULL_RPM,
    "speed": SensorMode.NULL_SPEED,
    "fuel_level": SensorMode.NULL_FUEL,
}


@dataclass(frozen=True)
class Samples:
    """Samples in order of vehicle and time.

    Attributes:
        vehicle: index of the vehicle.
        number: number of the sample of its vehicle, from the start of the simulation.
        time_ms: event time, epoch milliseconds.
        values: signals by key; gps and accelerometer by ``gps_lat``, ``accel_x`` and so on.
        nulls: where a fitted sensor reported nothing.
    """

    vehicle: Ints
    number: Ints
    time_ms: Ints
    values: dict[str, Floats | Bools]
    nulls: dict[str, Bools]


def percent(value: Floats) -> Floats:
    """As OBD reports percentages: steps of 100/255, two decimals."""
    return _decimals(np.rint(np.clip(value, 0.0, 100.0) * 2.55) / 2.55, 100.0)


def _decimals(value: Floats, scale: float) -> Floats:
    return np.rint(value * scale) / scale + 0.0  # + 0.0 turns -0.0 into 0.0


class Sensors:
    """Turns pieces of the plan into samples."""

    def __init__(self, fleet: Fleet) -> None:
        self._seed = fleet.seed
        self._gearbox = Gearbox(fleet)
        self._idle = fleet.spec("idle_rpm")
        self._power = fleet.spec("power_w_per_kg")
        self._drag = fleet.spec("drag")
        self._volts = fleet.voltage / 12.0
        self._volts_bias = (fleet.own(4) - 0.5) * 0.3
        self._bias_x, self._bias_y = ((fleet.own(5 + i) - 0.5) * 0.16 for i in range(2))
        self._home_lat, self._home_lon = fleet.home_lat, fleet.home_lon
        self._lon_scale = 1.0 / (METRES_PER_DEGREE * np.cos(np.radians(fleet.home_lat)))
        self._ambient = fleet.ambient
        self._closed = 11.0 + 4.0 * fleet.own(7)

    def sample(
        self, pieces: Floats, piece: Ints, vehicle: Ints, number: Ints, seconds: Floats,
        time_ms: Ints,
    ) -> Samples:  # fmt: skip
        """Samples at ``seconds`` from the start, each within its ``piece``."""

        def of(column: Col) -> Floats:
            return np.asarray(pieces[column][piece])

        duration, v0, dv = of(Col.DURATION), of(Col.V0), of(Col.V1)
        dv -= v0
        linear, heading, turn = of(Col.LINEAR), of(Col.HEADING), of(Col.TURN)
        elapsed = seconds - of(Col.START)
        u = np.clip(elapsed / duration, 0.0, 1.0)
        done, slope = ramp(u, linear), ramp_slope(u, linear) / duration
        speed, pull = v0 + dv * done, dv * slope
        smooth = u * u * (3.0 - 2.0 * u)
        yaw = turn * (6.0 * u * (1.0 - u)) / duration
        engine = of(Col.ENGINE) > 0
        east, north = displacement(u, duration, v0, dv, heading, turn, linear)
        distance = of(Col.DISTANCE) + (v0 * u + dv * ramp_area(u, linear)) * duration

        noise_1 = words(self._seed, Stream.NOISE_1, vehicle, number)
        noise_2 = words(self._seed, Stream.NOISE_2, vehicle, number)
        noise_3 = words(self._seed, Stream.NOISE_3, vehicle, number)

        fuel0, coolant0 = of(Col.FUEL0), of(Col.COOLANT0)
        fuel = fuel0 + (of(Col.FUEL1) - fuel0) * u
        coolant = coolant0 + (of(Col.COOLANT1) - coolant0) * u
        work = np.maximum(pull + ROLLING + self._drag[vehicle] * speed * speed, 0.0) * speed
        load = np.minimum(work / self._power[vehicle], 1.0)
        idle = self._idle[vehicle] + np.clip(60.0 - coolant, 0.0, 60.0) * 5.0
        rpm = self._gearbox.rpm(vehicle, speed, np.maximum(v0, v0 + dv), dv, pull, of(Col.LOW_GEAR))
        rpm = np.maximum(rpm, idle + 900.0 * load) + 7.0 * normal_lane(noise_1, 0)
        rpm = np.where(engine, np.maximum(rpm, 300.0), 0.0)
        hour = time_ms / 3.6e6 + self._home_lon[vehicle] / 15.0
        ambient = self._ambient[vehicle] + 5.0 * np.sin((hour - 9.0) * (np.pi / 12.0))
        throttle = self._closed[vehicle] + 68.0 * np.sqrt(load) + 1.2 * normal_lane(noise_1, 1)
        load_shown = np.where(pull < -0.4, 4.0, 19.0 + 72.0 * load) + 1.5 * normal_lane(noise_1, 2)
        volts = np.where(engine, 14.1 - 0.15 * load, 12.62) + self._volts_bias[vehicle]
        volts = (volts + np.where(engine, 0.05, 0.01) * normal_lane(noise_1, 3)) * self._volts[
            vehicle
        ]
        shake = np.where(engine, 0.03 + 0.004 * np.minimum(speed, 30.0), 0.008)
        oil = np.where(engine, 140.0 + 0.11 * rpm + 6.0 * normal_lane(noise_3, 0), 0.0)

        values: dict[str, Floats | Bools] = {
            "engine_rpm": np.rint(rpm * 4.0) / 4.0,
            "speed": _decimals(np.rint(speed * 3.6) * KMH_TO_MPH, 100.0),
            "throttle_position": percent(np.where(engine, throttle, self._closed[vehicle])),
            "coolant_temp": np.rint(coolant) + 0.0,
            "fuel_level": percent(fuel),
            "odometer": np.floor(distance / MILE * 10.0) / 10.0,
            "engine_load": percent(np.where(engine, load_shown, 0.0)),
            "battery_voltage": _decimals(volts, 100.0),
            "oil_pressure": np.rint(oil / 4.0) * 4.0,
            "intake_air_temp": np.rint(ambient + (coolant - ambient) * 0.35 / (1.0 + 0.2 * speed))
            + 0.0,
            "ambient_temp": np.rint(ambient) + 0.0,
            "heading": _decimals(np.degrees(heading + turn * smooth) % 360.0, 10.0) % 360.0,
            "ignition": engine,
            "accel_x": _decimals(
                pull + self._bias_x[vehicle] + shake * normal_lane(noise_2, 0), 1000.0
            ),
            "accel_y": _decimals(
                self._bias_y[vehicle] - speed * yaw + shake * normal_lane(noise_2, 1), 1000.0
            ),
            "accel_z": _decimals(GRAVITY + 1.5 * shake * normal_lane(noise_2, 2), 1000.0),
        }
        east += of(Col.EAST)
        north += of(Col.NORTH)
        mode = of(Col.GPS_MODE)
        if mode.any():
            east, north = _lying(mode, of(Col.GPS_A), of(Col.GPS_B), elapsed, east, north)
        blur = np.where((mode == GpsMode.TRUE) | (mode == GpsMode.DRIFT), 0.4, 0.0)
        east += blur * normal_lane(noise_3, 1)
        north += blur * normal_lane(noise_3, 2)
        lat = self._home_lat[vehicle] + north / METRES_PER_DEGREE
        lon = self._home_lon[vehicle] + east * self._lon_scale[vehicle]
        no_fix = mode == GpsMode.ZERO
        values["gps_lat"] = _decimals(np.where(no_fix, 0.0, lat), 1e6)
        values["gps_lon"] = _decimals(np.where(no_fix, 0.0, lon), 1e6)
        return Samples(
            vehicle, number, time_ms, values, _broken(of(Col.SENSOR_MODE), of(Col.SENSOR_A), values)
        )


def _lying(
    mode: Floats, a: Floats, b: Floats, elapsed: Floats, east: Floats, north: Floats
) -> tuple[Floats, Floats]:
    """The position in metres that a receiver with a fault reports."""
    frozen, offset = mode == GpsMode.FROZEN, mode == GpsMode.OFFSET
    drift = np.where(mode == GpsMode.DRIFT, elapsed, 0.0) + offset
    return np.where(frozen, a, east + a * drift), np.where(frozen, b, north + b * drift)


def _broken(mode: Floats, value: Floats, values: dict[str, Floats | Bools]) -> dict[str, Bools]:
    """Overwrite what broken sensors report, and say where they report null."""
    if not mode.any():
        return {}
    for key, broken in (
        ("engine_rpm", SensorMode.STUCK_RPM),
        ("coolant_temp", SensorMode.OPEN_COOLANT),
    ):
        values[key] = np.where(mode == broken, value, values[key])
    return {key: mode == broken for key, broken in NULLS.items() if (mode == broken).any()}
