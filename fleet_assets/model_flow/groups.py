"""Which group each vehicle belongs to: models are judged and let serve group by group."""

from __future__ import annotations

import polars as pl

from fleet_assets.models.isolation import FLEET
from fleet_assets.warehouse.rule_vehicles import vehicles_by_time


def groups_of_register(postgres_url: str) -> dict[str, str]:
    """Group by vehicle: the type that the register has of it now."""
    return groups_of(vehicles_by_time(postgres_url))


def groups_of(vehicles: pl.DataFrame) -> dict[str, str]:
    """Group by vehicle.

    Args:
        vehicles: rows of VEHICLE_SCHEMA; the newest version of each counts. Those without a type
            are the group FLEET.
    """
    newest = vehicles.sort("valid_from").unique("vehicle_id", keep="last")
    group = pl.col("vehicle_type").fill_null(FLEET)
    return dict(newest.select("vehicle_id", group).sort("vehicle_id").iter_rows())
