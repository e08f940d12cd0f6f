"""The registry of signals: one entry per measured value of the wire format.

A signal's bounds are hard: what its encoding or geometry can express. What is merely implausible
for a kind of vehicle is a finding of a rule, not a bound here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

Kind = Literal["number", "boolean", "string", "string_list"]


@dataclass(frozen=True)
class Signal:
    """One value of a telemetry message.

    Attributes:
        name: column in the lake (nested values are flattened).
        path: keys in the JSON message that lead to the value.
        kind: type on the wire.
        unit: unit of the value; None where it has none.
        precision: digits of the stored decimal, for numbers.
        scale: digits after the point; a value that needs more keeps its text in `inexact_values`.
        minimum: lowest value that can be true, inclusive.
        maximum: highest value that can be true, inclusive.
        pattern: regular expression that a string (or each item of a list) must match.
        vss: path in COVESA's Vehicle Signal Specification.
        source: where the bounds come from.
    """

    name: str
    path: tuple[str, ...]
    kind: Kind
    description: str
    source: str
    vss: str
    unit: str | None = None
    precision: int = 0
    scale: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    pattern: str | None = None

    @property
    def dtype(self) -> pl.DataType:
        """Type of the signal's column in Polars."""
        match self.kind:
            case "number":
                return pl.Decimal(self.precision, self.scale)
            case "boolean":
                return pl.Boolean()
            case "string":
                return pl.String()
            case "string_list":
                return pl.List(pl.String())

    @property
    def wire_name(self) -> str:
        """Name in the message, with dots for nested values, e.g. ``gps.lat``."""
        return ".".join(self.path)


def _number(
    name: str,
    unit: str,
    precision: int,
    scale: int,
    bounds: tuple[float, float],
    vss: str,
    source: str,
    description: str,
    *path: str,
) -> Signal:
    return Signal(
        name,
        path or (name,),
        "number",
        description,
        source,
        vss,
        unit,
        precision,
        scale,
        *bounds,
    )


_J1979 = "SAE J1979, range of the encoding"
_GEOMETRY = "geometry"
_ACCEL = "range of automotive accelerometers, ±16 g"

SIGNALS: tuple[Signal, ...] = (
    _number(
        "engine_rpm",
        "rpm",
        7,
        2,
        (0, 16383.75),
        "Vehicle.Powertrain.CombustionEngine.Speed",
        f"{_J1979} (PID 0C)",
        "Engine speed.",
    ),
    _number(
        "speed",
        "mph",
        5,
        2,
        (0, 158.45),
        "Vehicle.Speed",
        f"{_J1979} (PID 0D, 255 km/h = 158.45 mph)",
        "Road speed by the wheels.",
    ),
    _number(
        "throttle_position",
        "%",
        5,
        2,
        (0, 100),
        "Vehicle.OBD.ThrottlePosition",
        f"{_J1979} (PID 11)",
        "Throttle opening.",
    ),
    _number(
        "coolant_temp",
        "°C",
        5,
        2,
        (-40, 215),
        "Vehicle.OBD.CoolantTemperature",
        f"{_J1979} (PID 05)",
        "Engine coolant temperature.",
    ),
    _number(
        "fuel_level",
        "%",
        5,
        2,
        (0, 100),
        "Vehicle.OBD.FuelLevel",
        f"{_J1979} (PID 2F)",
        "Fuel in the tank, as a share of its size.",
    ),
    _number(
        "gps_lat",
        "degrees",
        8,
        6,
        (-90, 90),
        "Vehicle.CurrentLocation.Latitude",
        _GEOMETRY,
        "Latitude, WGS 84.",
        "gps",
        "lat",
    ),
    _number(
        "gps_lon",
        "degrees",
        9,
        6,
        (-180, 180),
        "Vehicle.CurrentLocation.Longitude",
        _GEOMETRY,
        "Longitude, WGS 84.",
        "gps",
        "lon",
    ),
    _number(
        "accel_x",
        "m/s²",
        6,
        3,
        (-156.9, 156.9),
        "Vehicle.Acceleration.Longitudinal",
        _ACCEL,
        "Acceleration forward.",
        "accelerometer",
        "x",
    ),
    _number(
        "accel_y",
        "m/s²",
        6,
        3,
        (-156.9, 156.9),
        "Vehicle.Acceleration.Lateral",
        _ACCEL,
        "Acceleration to the left.",
        "accelerometer",
        "y",
    ),
    _number(
        "accel_z",
        "m/s²",
        6,
        3,
        (-156.9, 156.9),
        "Vehicle.Acceleration.Vertical",
        _ACCEL,
        "Acceleration upward, about 9.8 at rest.",
        "accelerometer",
        "z",
    ),
    _number(
        "odometer",
        "mi",
        9,
        2,
        (0, 2_669_000),
        "Vehicle.TraveledDistance",
        f"{_J1979} (PID A6, 429,496,729.5 × 0.01 km rounded down)",
        "Distance ever travelled.",
    ),
    _number(
        "engine_load",
        "%",
        5,
        2,
        (0, 100),
        "Vehicle.OBD.EngineLoad",
        f"{_J1979} (PID 04)",
        "Calculated engine load.",
    ),
    _number(
        "battery_voltage",
        "V",
        5,
        3,
        (0, 65.535),
        "Vehicle.OBD.ControlModuleVoltage",
        f"{_J1979} (PID 42)",
        "Voltage of the electrical system.",
    ),
    _number(
        "oil_pressure",
        "kPa",
        6,
        2,
        (0, 1600),
        "Vehicle.Powertrain.CombustionEngine.EngineOilPressure",
        "SAE J1939 SPN 100 (0–1,000 kPa) with the reserve of extended sensors",
        "Engine oil pressure.",
    ),
    _number(
        "intake_air_temp",
        "°C",
        5,
        2,
        (-40, 215),
        "Vehicle.OBD.IntakeTemp",
        f"{_J1979} (PID 0F)",
        "Temperature of the intake air.",
    ),
    _number(
        "ambient_temp",
        "°C",
        5,
        2,
        (-40, 215),
        "Vehicle.Exterior.AirTemperature",
        f"{_J1979} (PID 46)",
        "Temperature outside.",
    ),
    _number(
        "heading",
        "degrees",
        5,
        2,
        (0, 360),
        "Vehicle.CurrentLocation.Heading",
        _GEOMETRY,
        "Direction of travel, clockwise from north.",
    ),
    Signal(
        "driver_id",
        ("driver_id",),
        "string",
        "Who drives.",
        "platform",
        "Vehicle.Driver.Identifier.Subject",
        pattern=r"^[^\x00-\x1f]{1,128}$",
    ),
    Signal("private", ("private",), "boolean", "The driver's private trip.", "platform", "none"),
    Signal(
        "ignition",
        ("ignition",),
        "boolean",
        "Ignition is on.",
        "platform",
        "Vehicle.LowVoltageSystemState",
    ),
    Signal(
        "pto_active", ("pto_active",), "boolean", "Power take-off is running.", "platform", "none"
    ),
    Signal(
        "dtc",
        ("dtc",),
        "string_list",
        "Active diagnostic trouble codes.",
        "SAE J2012, form of a code",
        "Vehicle.OBD.DTCList",
        pattern=r"^[PCBU][0-3][0-9A-F]{3}$",
    ),
)

SIGNAL_BY_NAME = {signal.name: signal for signal in SIGNALS}
NUMBERS: tuple[Signal, ...] = tuple(s for s in SIGNALS if s.kind == "number")
OBJECTS: tuple[str, ...] = tuple(dict.fromkeys(s.path[0] for s in SIGNALS if len(s.path) > 1))
TOP_LEVEL_KEYS: tuple[str, ...] = (
    "vehicle_id",
    "timestamp",
    *dict.fromkeys(s.path[0] for s in SIGNALS),
)
