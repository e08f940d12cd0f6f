"""The four vehicle types: engine, gears, driving style and fitted sensors, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleet_assets.fleet_sim.limits import VehicleType

CORE: Final = (
    "engine_rpm",
    "speed",
    "throttle_position",
    "coolant_temp",
    "fuel_level",
    "gps",
    "accelerometer",
    "odometer",
    "engine_load",
    "battery_voltage",
    "oil_pressure",
    "intake_air_temp",
    "ambient_temp",
    "heading",
    "ignition",
)


@dataclass(frozen=True)
class TypeSpec:
    """What one vehicle type is like.

    Attributes:
        rpm_per_mps: engine rpm for each m/s of road speed, by gear from first to top.
        shift_rpm: rpm at which a calm driver changes up.
        power_w_per_kg: full engine power for each kilogram that moves.
        drag: air drag in m/s² for each (m/s)².
        pull, brake, corner: highest healthy acceleration, deceleration and lateral acceleration
            in m/s²; well below the limits of policy.
        cruise_mph: fastest healthy cruising speed in mph.
        warm_up_s: time constant of the coolant with the engine on, seconds.
        idle_gph, full_gph: fuel burnt at idle and at full load, US gallons an hour.
        roam_km: distance from home at which the driver turns back.
        sensor_sets: (share of vehicles, sensors that are not fitted).
    """

    name: VehicleType
    models: tuple[tuple[str, str], ...]
    rpm_per_mps: tuple[float, ...]
    shift_rpm: float
    idle_rpm: float
    redline_rpm: int
    power_w_per_kg: float
    drag: float
    pull: float
    brake: float
    corner: float
    cruise_mph: float
    warm_up_s: float
    tank_gallons: float
    idle_gph: float
    full_gph: float
    roam_km: float
    refrigerated_share: float
    pto_share: float
    share_24_volt: float
    sensor_sets: tuple[tuple[float, tuple[str, ...]], ...]

    def keys(self, draw: float) -> tuple[str, ...]:
        """Message keys of one vehicle; ``draw`` in [0, 1) picks its set of sensors."""
        for share, missing in self.sensor_sets:
            if draw < share:
                return tuple(k for k in CORE if k not in missing)
            draw -= share
        return CORE


def _gears(base: float, *ratios: float) -> tuple[float, ...]:
    return tuple(round(base * ratio, 2) for ratio in ratios)


TYPES: Final[dict[VehicleType, TypeSpec]] = {
    "truck": TypeSpec(
        "truck",
        (("Freightliner", "Cascadia"), ("Kenworth", "T680"), ("Volvo", "VNL")),
        _gears(63.75, 11.0, 8.0, 6.0, 4.4, 3.3, 2.5, 1.8, 1.35, 1.0, 0.75),
        1500.0, 650.0, 2400, 11.0, 0.00016, 1.0, 1.5, 1.3, 58.0, 560.0, 120.0, 0.8, 18.0, 60.0,
        0.2, 0.15, 0.4,
        ((0.6, ()), (0.25, ("accelerometer",)), (0.15, ("ambient_temp", "intake_air_temp"))),
    ),
    "sedan": TypeSpec(
        "sedan",
        (("Toyota", "Camry"), ("Honda", "Accord"), ("Ford", "Fusion")),
        _gears(120.0, 3.6, 2.1, 1.4, 1.0, 0.8, 0.62),
        2400.0, 720.0, 6500, 60.0, 0.00042, 2.2, 2.5, 2.2, 68.0, 260.0, 14.5, 0.3, 6.0, 20.0,
        0.0, 0.0, 0.0,
        ((0.6, ("oil_pressure",)), (0.25, ("oil_pressure", "accelerometer", "ambient_temp")),
         (0.15, ("oil_pressure", "fuel_level", "odometer"))),
    ),
    "van": TypeSpec(
        "van",
        (("Ford", "Transit"), ("Ram", "ProMaster"), ("Mercedes-Benz", "Sprinter")),
        _gears(111.0, 4.2, 2.3, 1.45, 1.0, 0.78, 0.62),
        2300.0, 760.0, 4500, 38.0, 0.00055, 1.7, 2.1, 1.9, 63.0, 340.0, 25.0, 0.4, 7.0, 25.0,
        0.2, 0.0, 0.0,
        ((0.65, ("oil_pressure",)), (0.2, ("oil_pressure", "accelerometer")),
         (0.15, ("oil_pressure", "heading", "gps"))),
    ),
    "suv": TypeSpec(
        "suv",
        (("Ford", "Explorer"), ("Toyota", "RAV4"), ("Chevrolet", "Tahoe")),
        _gears(101.0, 3.8, 2.2, 1.5, 1.1, 0.85, 0.7),
        2300.0, 700.0, 6200, 50.0, 0.00052, 2.1, 2.4, 2.1, 68.0, 300.0, 19.0, 0.35, 7.5, 25.0,
        0.0, 0.0, 0.0,
        ((0.7, ()), (0.3, ("oil_pressure", "accelerometer"))),
    ),
}  # fmt: skip
TYPE_ORDER: Final[tuple[VehicleType, ...]] = tuple(TYPES)
