"""The newest baseline of a vehicle, for ``fleet features show NAME --vehicle …``."""

from __future__ import annotations

import polars as pl

from fleet_assets.errors import FleetError


def newest_baseline(lake_url: str, feature: str, vehicle_id: str) -> tuple[str, pl.DataFrame]:
    """Day and version, and the vehicle's baseline by regime.

    Args:
        lake_url: the lake.
        feature: its name.
        vehicle_id: the vehicle.

    Raises:
        FleetError: baselines are not kept of the feature, or there are none yet.
    """
    from fleet_assets.features.catalogue import read_features
    from fleet_assets.lake.store import Lake
    from fleet_assets.lake.vehicle_baselines import baselines_of, versions

    kept = [one.name for one in read_features().with_baseline]
    if feature not in kept:
        raise FleetError(f"No baselines are kept of {feature}, only of {', '.join(kept)}.")
    lake = Lake(lake_url)
    known = versions(lake)
    if not known:
        raise FleetError("There are no baselines yet: the first come on the second day with data.")
    day = max(known)
    mine = pl.col("feature").eq(feature) & pl.col("vehicle_id").eq(vehicle_id)
    rows = baselines_of(lake, day, known[day]).filter(mine)
    if rows.is_empty():
        raise FleetError(
            f"{vehicle_id} has no baseline of {feature} for {day}: `fleet vehicles list` shows who"
            " is registered."
        )
    return f"{day}, version {known[day]}", rows.sort("regime")
