"""Vehicle identification numbers with a valid check digit (49 CFR 565)."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from fleet_assets.fleet_sim.limits import VehicleType

_LETTERS: Final = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
_VALUES: Final = dict(
    zip(_LETTERS, map(int, "012345678912345678123457923456789"), strict=True)
)  # fmt: skip
_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_YEARS: Final = "ABCDEFGHJKLMNPRSTVWXY123456789"
_WMI: Final[dict[VehicleType, str]] = {"truck": "1FU", "sedan": "4T1", "van": "1FT", "suv": "1FM"}


def check_digit(vin: str) -> str:
    """Ninth character that makes a VIN of 17 characters valid."""
    remainder = sum(_VALUES[c] * w for c, w in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if remainder == 10 else str(remainder)


def make_vin(vehicle_type: VehicleType, year: int, serial: int, family: str = "SIM") -> str:
    """A made-up VIN; ``year`` from 2010 on, ``serial`` up to 999,999, ``family`` sets it apart.

    >>> make_vin("sedan", 2020, 1)
    '4T18P7322LA000001'
    """
    year_code = _YEARS[(year - 2010) % len(_YEARS)]
    number, letters = crc32(family.encode()), ""
    for _ in range(5):
        number, digit = divmod(number, len(_LETTERS))
        letters += _LETTERS[digit]
    draft = f"{_WMI[vehicle_type]}{letters}0{year_code}A{serial % 1_000_000:06d}"
    return draft[:8] + check_digit(draft) + draft[9:]
