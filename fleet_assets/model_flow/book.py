"""All that scoring needs to know: the audit, the register, and where models lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import cache, partial

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.releases import Index, indexes
from fleet_assets.model_flow.serving import model_for
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.scoring.book import ModelBook
from fleet_assets.warehouse.model_audit import read_audit
from fleet_assets.warehouse.rule_vehicles import vehicles_by_time

Listed = Callable[[str], Sequence[Index]]
"""From a model to its releases."""


def model_book(lake: Lake, postgres_url: str) -> ModelBook:
    """The models as they serve and have served."""
    artifacts = Artifacts(lake.url)
    listed = cache(partial(indexes, artifacts))  # one listing: what is told of is what is loaded
    vehicles = vehicles_by_time(postgres_url).select("vehicle_id", "valid_from", "vehicle_type")
    load = partial(_load, artifacts, listed)
    return ModelBook(read_audit(postgres_url), vehicles, partial(_files, listed), load)


def _files(listed: Listed, model_id: str, day: str) -> list[str]:
    """The model itself is known by its id; beside it, what was fitted since."""
    serving_on = date.fromisoformat(day)
    return [i.name for i in listed(model_id) if i.serves_from <= serving_on]


def _load(
    artifacts: Artifacts, listed: Listed, model_id: str, day: str, vehicle_ids: Sequence[str]
) -> FleetModel:
    whose, serving_on = set(vehicle_ids), date.fromisoformat(day)
    return model_for(artifacts, model_id, serving_on, whose, listed(model_id))
