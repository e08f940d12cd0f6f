"""Vehicles that were fitted after a training, laid over the model that was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.mixing import Settling
from fleet_assets.models.vehicle import Vehicle


@dataclass(frozen=True)
class Release:
    """Vehicles that replace those of a model, or are new to it.

    Attributes:
        vehicles: by id.
        settlings: of those that the detector was not trained on; see `settling`.
        types: vehicle type by vehicle.
    """

    vehicles: Mapping[str, Vehicle]
    settlings: Mapping[str, Settling] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)


def overlaid(model: FleetModel, releases: Sequence[Release]) -> FleetModel:
    """The model with the vehicles of releases.

    Args:
        model: as trained.
        releases: the oldest first; of a vehicle that is in several, the last one counts.
    """
    vehicles, settlings, types = dict(model.vehicles), dict(model.settlings), dict(model.types)
    for release in releases:
        vehicles |= release.vehicles
        others = {who: one for who, one in settlings.items() if who not in release.vehicles}
        settlings = others | dict(release.settlings)
        types |= release.types
    return replace(model, vehicles=vehicles, settlings=settlings, types=types)
