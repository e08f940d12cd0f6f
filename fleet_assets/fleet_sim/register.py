"""Writes the simulated vehicles down: as CSV, or into the platform's register."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from fleet_assets.fleet_sim.fleet import VEHICLE_COLUMNS, Fleet
from fleet_assets.settings import service_address


def write_csv(path: Path, fleet: Fleet) -> None:
    """The vehicles as a file for ``fleet vehicles import``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, VEHICLE_COLUMNS)
        writer.writeheader()
        writer.writerows({k: _text(v) for k, v in row.items()} for row in fleet.rows)


def register_vehicles(fleet: Fleet) -> None:
    """Import the vehicles into the running platform's warehouse."""
    from fleet_assets.warehouse.vehicle import Vehicle
    from fleet_assets.warehouse.vehicles import import_vehicles

    rows = [Vehicle(**row) for row in fleet.rows]
    import_vehicles(service_address("postgres_url"), rows, source="fleet simulate")


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
