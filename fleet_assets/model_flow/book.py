"""All that scoring needs to know: the audit, the register, and where models lie."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.releases import indexes
from fleet_assets.model_flow.serving import model_for
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.scoring.book import ModelBook
from fleet_assets.warehouse.model_audit import read_audit
from fleet_assets.warehouse.rule_vehicles import vehicles_by_time


def model_book(lake: Lake, postgres_url: str) -> ModelBook:
    """The models as they serve and have served."""
    artifacts = Artifacts(lake.url)
    vehicles = vehicles_by_time(postgres_url).select("vehicle_id", "valid_from", "vehicle_type")
    return ModelBook(
        read_audit(postgres_url), vehicles, partial(_files, artifacts), partial(_load, artifacts)
    )


def _files(artifacts: Artifacts, model_id: str, day: str) -> list[str]:
    """The model itself is known by its id; beside it, what was fitted since."""
    serving_on = date.fromisoformat(day)
    return [i.name for i in indexes(artifacts, model_id) if i.serves_from <= serving_on]


def _load(artifacts: Artifacts, model_id: str, day: str, vehicle_ids: Sequence[str]) -> FleetModel:
    return model_for(artifacts, model_id, date.fromisoformat(day), set(vehicle_ids))
