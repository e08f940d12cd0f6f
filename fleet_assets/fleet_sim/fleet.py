"""The simulated vehicles: who they are, what they can do and which sensors they carry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from fleet_assets.fleet_sim.draws import Floats, Ints, Stream, uniform
from fleet_assets.fleet_sim.limits import VehicleType
from fleet_assets.fleet_sim.vehicle_types import TYPE_ORDER, TYPES, TypeSpec
from fleet_assets.fleet_sim.vin import make_vin

VEHICLE_COLUMNS: Final = (
    "id", "vin", "make", "model", "year", "vehicle_type", "fleet_id", "region", "status",
    "refrigerated", "has_pto", "tank_gallons", "redline_rpm", "nominal_voltage", "time_zone",
)  # fmt: skip

MIX: Final[tuple[VehicleType, ...]] = (
    "truck", "sedan", "van", "suv", "truck", "van", "sedan", "truck", "van", "truck",
    "sedan", "suv", "truck", "van", "sedan", "truck", "van", "truck", "sedan", "suv",
)  # fmt: skip
"""Vehicle types in turn: 35 % trucks, 25 % sedans, 25 % vans, 15 % SUVs."""


@dataclass(frozen=True)
class City:
    """Where a fleet is at home: degrees WGS 84, °C of a mean day, IANA time zone."""

    region: str
    lat: float
    lon: float
    mean_c: float
    time_zone: str


CITIES: Final = (
    City("midwest", 41.2565, -95.9345, 12.0, "America/Chicago"),
    City("texas", 32.7767, -96.7970, 22.0, "America/Chicago"),
    City("northeast", 40.7357, -74.1724, 13.0, "America/New_York"),
    City("mountain", 39.7392, -104.9903, 10.0, "America/Denver"),
    City("pacific", 37.8044, -122.2712, 15.0, "America/Los_Angeles"),
    City("southeast", 33.7490, -84.3880, 18.0, "America/New_York"),
)
VEHICLES_PER_FLEET: Final = 12


@dataclass(frozen=True)
class Vehicle:
    """One simulated vehicle; ``keys`` are the keys of its messages in order."""

    index: int
    id: str
    spec: TypeSpec
    city: City
    row: dict[str, Any]
    keys: tuple[str, ...]
    refrigerated: bool
    has_pto: bool
    voltage: int


class Fleet:
    """All vehicles, and their properties as arrays for the vectorised parts."""

    def __init__(self, count: int, seed: int, prefix: str = "SIM") -> None:
        self.seed = seed
        self.vehicles = _make_vehicles(count, seed, prefix)
        self.size = count
        self.ids = [v.id for v in self.vehicles]
        self.key_bytes = [v.id.encode() for v in self.vehicles]
        self.type = np.array([TYPE_ORDER.index(v.spec.name) for v in self.vehicles], np.int64)
        self.index: Ints = np.arange(count, dtype=np.int64)
        key_sets = list(dict.fromkeys(v.keys for v in self.vehicles))
        self.profiles: list[tuple[str, ...]] = key_sets
        self.profile: Ints = np.array([key_sets.index(v.keys) for v in self.vehicles], np.int64)

    def spec(self, attribute: str) -> Floats:
        """A number of each vehicle's type, e.g. ``idle_rpm``, one for each vehicle."""
        return np.array([float(getattr(v.spec, attribute)) for v in self.vehicles])

    def own(self, purpose: int) -> Floats:
        """A fixed uniform number in [0, 1) for each vehicle, e.g. for a sensor's bias."""
        return uniform(self.seed, Stream.VEHICLE, self.index, 100 + purpose)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The vehicles as rows of the register, with the columns of its CSV."""
        return [v.row for v in self.vehicles]

    @cached_property
    def home_lat(self) -> Floats:
        """Degrees: the yard, within about 10 km of the city's centre."""
        return np.array([v.city.lat for v in self.vehicles]) + (self.own(1) - 0.5) * 0.18

    @cached_property
    def home_lon(self) -> Floats:
        """Degrees."""
        return np.array([v.city.lon for v in self.vehicles]) + (self.own(2) - 0.5) * 0.22

    @cached_property
    def ambient(self) -> Floats:
        """°C: mean of the day where the vehicle is."""
        return np.array([v.city.mean_c for v in self.vehicles]) + (self.own(3) - 0.5) * 4.0

    @cached_property
    def voltage(self) -> Floats:
        """V: nominal voltage, 12 or 24."""
        return np.array([float(v.voltage) for v in self.vehicles])


def _make_vehicles(count: int, seed: int, prefix: str) -> list[Vehicle]:
    index = np.arange(count, dtype=np.int64)
    draws = [uniform(seed, Stream.VEHICLE, index, j).tolist() for j in range(7)]
    width = max(4, len(str(count)))
    vehicles = []
    for i in range(count):
        u = [column[i] for column in draws]
        spec = TYPES[MIX[i % len(MIX)]]
        fleet_number = i // VEHICLES_PER_FLEET
        city = CITIES[fleet_number % len(CITIES)]
        make, model = spec.models[int(u[0] * len(spec.models))]
        year = 2015 + int(u[1] * 10)
        refrigerated = u[2] < spec.refrigerated_share
        has_pto = not refrigerated and u[3] < spec.pto_share
        voltage = 24 if u[4] < spec.share_24_volt else 12
        row: dict[str, Any] = {
            "id": f"{prefix}-{i + 1:0{width}d}",
            "vin": make_vin(spec.name, year, i + 1, prefix),
            "make": make,
            "model": model,
            "year": year,
            "vehicle_type": spec.name,
            "fleet_id": f"{prefix.lower()}-{fleet_number + 1:03d}",
            "region": city.region,
            "status": "active",
            "refrigerated": refrigerated,
            "has_pto": has_pto,
            "tank_gallons": spec.tank_gallons,
            "redline_rpm": spec.redline_rpm,
            "nominal_voltage": voltage,
            "time_zone": city.time_zone,
        }
        keys = spec.keys(u[5])
        vehicles.append(
            Vehicle(i, row["id"], spec, city, row, keys, refrigerated, has_pto, voltage)
        )
    return vehicles
