"""What the fleet's policy forbids, by vehicle type, as the simulator must know it.

Healthy driving stays inside these limits and injected faults go beyond them, so that the ground
truth is exact. They repeat the defaults of the platform's rule catalogue (rule ids in brackets):
a simulator that imported the detectors' own data would agree with their mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

VehicleType = Literal["truck", "sedan", "van", "suv"]
VEHICLE_TYPES: Final[tuple[VehicleType, ...]] = ("truck", "sedan", "van", "suv")

GRAVITY: Final = 9.80665
"""m/s²"""
MPH: Final = 0.44704
"""One mile an hour in m/s."""
MILE: Final = 1609.344
"""m"""


@dataclass(frozen=True)
class Limits:
    """Policy for one vehicle type.

    Attributes:
        speed_mph: fastest allowed speed in mph [R18].
        rpm: highest allowed engine speed in rpm, before the vehicle's own redline [R01].
        braking_g: deceleration in g that counts as harsh [R05].
        idling: longest standstill with the engine on [R15].
    """

    speed_mph: float
    rpm: float
    braking_g: float
    idling: timedelta


LIMITS: Final[dict[VehicleType, Limits]] = {
    "sedan": Limits(75.0, 5800.0, 0.47, timedelta(minutes=10)),
    "suv": Limits(75.0, 6000.0, 0.47, timedelta(minutes=10)),
    "van": Limits(70.0, 6000.0, 0.42, timedelta(minutes=10)),
    "truck": Limits(65.0, 6500.0, 0.36, timedelta(minutes=30)),
}

REDLINE_SHARE: Final = 0.95
"""Share of a vehicle's own redline that counts as high rpm [R01]."""
OVERHEAT_C: Final = 110.0
"""Coolant temperature in °C that counts as overheating [R22]."""
LOW_FUEL_PERCENT: Final = 10.0
"""Fuel level in % that counts as low [R26]."""
STANDING_MPH: Final = 1.0
"""Below this speed in mph a vehicle stands [R15]."""


def rpm_limit(vehicle_type: VehicleType, redline_rpm: float) -> float:
    """Highest allowed engine speed of a vehicle in rpm [R01]."""
    return min(LIMITS[vehicle_type].rpm, REDLINE_SHARE * redline_rpm)
