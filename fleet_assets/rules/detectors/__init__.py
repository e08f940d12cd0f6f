"""What looks for the rules in telemetry, a module for each kind of signal."""

from __future__ import annotations

from typing import Final

from fleet_assets.rules.detect import Detector
from fleet_assets.rules.detectors.battery import battery
from fleet_assets.rules.detectors.engine import engine_heat, engine_speed
from fleet_assets.rules.detectors.fuel import low_fuel
from fleet_assets.rules.detectors.gps import gps
from fleet_assets.rules.detectors.harsh import harsh
from fleet_assets.rules.detectors.idling import idling
from fleet_assets.rules.detectors.sensors import jumps, nulls, stuck
from fleet_assets.rules.detectors.speeding import speeding

DETECTORS: Final[tuple[Detector, ...]] = (
    engine_speed, engine_heat, speeding, idling, low_fuel, battery, harsh, gps, nulls, stuck, jumps,
)  # fmt: skip
