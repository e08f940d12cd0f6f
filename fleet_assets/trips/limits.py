"""The numbers that make a trip; their values stand in `limits.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True)
class TripLimits:
    """Units stand at the end of each name; their meaning beside their values."""

    moving_mph: float
    rest_s: float
    travel_m: float
    longest_silence_s: float
    longest_step_s: float
    standing_mph: float
    running_rpm: float
    still_step_m: float
    jump_m: float
    jump_mph: float
    fuel_coverage: float
    fuel_noise_factor: float
    refuel_percent: float
    refuel_noise_factor: float

    @property
    def rest_us(self) -> int:
        """`rest_s` in µs."""
        return round(self.rest_s * 1e6)


@cache
def trip_limits() -> TripLimits:
    """The limits in `limits.yaml`."""
    numbers = yaml.safe_load((Path(__file__).parent / "limits.yaml").read_text())
    return TripLimits(**{name: float(value) for name, value in numbers.items()})
