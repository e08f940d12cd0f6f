"""The eight kinds of fault: which vehicle can show which, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

from fleet_assets.fleet_sim.draws import Floats
from fleet_assets.fleet_sim.fleet import Vehicle
from fleet_assets.fleet_sim.limits import LIMITS

FaultKind = Literal[
    "high_rpm",
    "harsh_braking",
    "prolonged_idling",
    "over_speeding",
    "engine_overheat",
    "low_fuel",
    "gps_anomaly",
    "sensor_failure",
]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True)
class FaultLeg:
    """One leg with a fault in it.

    Attributes:
        pieces: shape (columns, pieces).
        start, end: seconds from the start of the leg between which the vehicle is beyond the
            limit; ``end`` is None where it lasts until the next refuel.
        detail: what happens, for people.
    """

    pieces: Floats
    start: float
    end: float | None
    detail: str


@dataclass(frozen=True)
class Situation:
    """A vehicle at the moment of its fault: m/s, %, °C; ``u`` are uniform draws."""

    vehicle: Vehicle
    speed: float
    fuel: float
    coolant: float
    u: Sequence[float]


LONGEST: Final[dict[FaultKind, timedelta]] = {
    "high_rpm": timedelta(seconds=150),
    "harsh_braking": timedelta(seconds=110),
    "prolonged_idling": timedelta(seconds=90),  # besides the standing itself
    "over_speeding": timedelta(seconds=410),
    "engine_overheat": timedelta(seconds=600),
    "low_fuel": timedelta(seconds=740),
    "gps_anomaly": timedelta(seconds=260),
    "sensor_failure": timedelta(seconds=290),
}
"""How long a leg with each fault takes at most."""


def longest(kind: FaultKind, vehicle: Vehicle) -> float:
    """Seconds that a leg with this fault takes at most for this vehicle."""
    standing = LIMITS[vehicle.spec.name].idling * 1.58
    idling = kind == "prolonged_idling"
    return (LONGEST[kind] + (standing if idling else timedelta(0))).total_seconds()


def possible(kind: FaultKind, vehicle: Vehicle) -> bool:
    """Whether a vehicle can show this fault with the sensors and exemptions it has."""
    if kind == "prolonged_idling":
        return not (vehicle.refrigerated or vehicle.has_pto)
    needs = {"gps_anomaly": "gps", "low_fuel": "fuel_level"}.get(kind)
    return needs is None or needs in vehicle.keys
