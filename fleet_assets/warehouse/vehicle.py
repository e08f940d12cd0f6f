"""One vehicle of the register: its attributes, their types and what they may hold."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from fleet_assets.contracts.columns import VEHICLE_ID
from fleet_assets.contracts.reasons import NO_VEHICLE

VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")

Text = Annotated[str, Field(min_length=1, max_length=200)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _volts(value: Any) -> Any:
    return int(value) if value in ("12", "24") else value


class Vehicle(BaseModel):
    """Attributes of a vehicle as they are registered; the first six must be given.

    ``tank_gallons`` is in US gallons, ``redline_rpm`` in revolutions per minute,
    ``nominal_voltage`` in volts, ``time_zone`` an IANA name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: Text
    vin: Text
    make: Text
    model: Text
    year: Annotated[int, Field(ge=1900, le=2100)]
    vehicle_type: Literal["truck", "sedan", "van", "suv"]
    fleet_id: Text = "default"
    region: Text = "unknown"
    status: Literal["active", "inactive", "maintenance"] = "active"
    refrigerated: bool = False
    has_pto: bool = False
    tank_gallons: Positive | None = None
    redline_rpm: Positive | None = None
    nominal_voltage: Annotated[Literal[12, 24], BeforeValidator(_volts)] = 12
    time_zone: Text = "UTC"

    @field_validator("id")
    @classmethod
    def _usable_id(cls, value: str) -> str:
        if value == NO_VEHICLE:
            raise ValueError(f"{NO_VEHICLE} stands for messages without a vehicle: choose another")
        if not re.match(str(VEHICLE_ID.pattern), value):
            raise ValueError("must be 1 to 128 printable characters")
        return value

    @field_validator("vin")
    @classmethod
    def _well_formed_vin(cls, value: str) -> str:
        # No check digit: outside North America position 9 need not hold one.
        value = value.upper()
        if not VIN.fullmatch(value):
            raise ValueError("must be 17 letters and digits without I, O and Q")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError):
            raise ValueError("must be an IANA time zone, for example Europe/Berlin") from None
        return value


ATTRIBUTES = tuple(Vehicle.model_fields)
REQUIRED = tuple(name for name, field in Vehicle.model_fields.items() if field.is_required())
