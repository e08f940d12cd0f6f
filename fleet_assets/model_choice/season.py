"""How far a feature moves with the season, so that this is not taken for drift.

Where a year is known: as the vehicles of the type have moved between the same two spans a year
before. Elsewhere: as the types have moved on the whole (median over types), because weather and
holidays come to all of them and a drift does not. Either can only take away from a movement, never
make one, so a wrong guess hides drift but raises no alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Source = Literal["year before", "other types", "same days", "not known"]
LEAST_TYPES: Final = 2
"""With two types half of what one of them does is left; with three or more, all of it."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Season:
    """What is taken away from the values of now, in the unit of the feature."""

    shift: float
    source: Source


def season_of(
    vehicle_type: str, now: dict[str, Numbers], last_year: dict[str, Numbers], least_vehicles: int
) -> Season:
    """The season's part in the movement of a feature.

    Args:
        vehicle_type: whose movement is judged.
        now: type → changes of its vehicles.
        last_year: type → changes of its vehicles between the same spans a year before.
        least_vehicles: types with fewer say nothing.
    """
    own = _movement(now, least_vehicles).get(vehicle_type)
    if own is None:
        return Season(0.0, "not known")
    past = _movement(last_year, least_vehicles).get(vehicle_type)
    if past is not None:
        return Season(_part(past, own), "year before")
    types = list(_movement(now, least_vehicles).values())
    if len(types) < LEAST_TYPES:
        return Season(0.0, "not known")
    return Season(_part(float(np.median(types)), own), "other types")


def _movement(changes: dict[str, Numbers], least_vehicles: int) -> dict[str, float]:
    return {name: float(np.median(of)) for name, of in changes.items() if len(of) >= least_vehicles}


def _part(expected: float, own: float) -> float:
    """As much of what is expected as there is."""
    return float(np.clip(expected, min(0.0, own), max(0.0, own)))
