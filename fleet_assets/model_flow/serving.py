"""The model as it judges a day: as trained, with the vehicles that were fitted since."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.model_flow.releases import Index, indexes, newest, read_release
from fleet_assets.model_store import load_model
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.releases import Release, overlaid


def model_for(
    artifacts: Artifacts,
    model_id: str,
    day: date,
    vehicle_ids: Collection[str] | None = None,
    releases: Sequence[Index] | None = None,
) -> FleetModel:
    """The model that judges a day (UTC): the same one whenever it is asked for.

    Args:
        artifacts: of the lake.
        model_id: `fm-…`.
        day: releases of vehicles that serve later are left out.
        vehicle_ids: vehicles that are to be judged, to save memory; None: all.
        releases: `indexes` of the model, if they were listed before.

    Raises:
        FleetError: a file is missing, or is no model.
    """
    model, _ = load_model(artifacts, model_id)
    shards: dict[tuple[str, int], Release] = {}
    chosen: list[Release] = []
    found = indexes(artifacts, model_id) if releases is None else releases
    for who, (index, fitted) in newest(found, day, vehicle_ids).items():
        key = index.stem, fitted.shard
        if key not in shards:
            shards[key] = read_release(artifacts, index, fitted.shard)
        whole = shards[key]
        chosen.append(
            Release(
                {who: whole.vehicles[who]},
                {who: whole.settlings[who]} if who in whole.settlings else {},
                {who: whole.types[who]} if who in whole.types else {},
            )
        )
    return overlaid(model, chosen)
