"""Drives of simulated vehicles in the shape of the real ones; their figures stand apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from bench.model_drives import Drives
from fleet_assets.fleet_sim.simulation import HOUR_MS, Options, Simulation
from fleet_assets.fleet_sim.to_lake import telemetry_rows
from fleet_assets.rules.resolve import VEHICLE_SCHEMA

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
VEHICLES: Final = 12
DAYS: Final = 4
LATER_DAYS: Final = 1
"""The last ones are judged, the others are learnt from."""
HOURS_OF_DAY: Final = range(12, 15)
"""UTC; in America it is the morning."""
INTERVAL_MS: Final = 2000


def simulated_drives() -> Drives:
    """Healthy drives by the simulator: it has no faults here, they are injected as into others."""
    options = Options(
        vehicles=VEHICLES, start_ms=round(START.timestamp() * 1000), span_ms=None, seed=7,
        interval_ms=INTERVAL_MS, parked_every=30,
    )  # fmt: skip
    simulation = Simulation(options)
    per_hour = HOUR_MS // INTERVAL_MS
    parts = []
    for number in range(DAYS * 24):
        if number % 24 in HOURS_OF_DAY:
            samples = simulation.samples(number * per_hour, (number + 1) * per_hour)
            parts.append(telemetry_rows(samples, simulation.fleet))
        else:
            simulation.pass_over((number + 1) * HOUR_MS, number * HOUR_MS)
    rows = pl.concat(parts).sort("vehicle_id", "event_time")
    later = rows["event_time"] >= START + timedelta(days=DAYS - LATER_DAYS)
    vehicles = _register(simulation)
    types = dict(vehicles.select("vehicle_id", "vehicle_type").iter_rows())
    return Drives(rows.filter(~later), rows.filter(later), types, vehicles)


def _register(simulation: Simulation) -> pl.DataFrame:
    """Its vehicles as the rules know them: rows of VEHICLE_SCHEMA."""
    rows = [
        {"vehicle_id": vehicle.id, "valid_from": datetime(2000, 1, 1, tzinfo=UTC)}
        | {name: value for name, value in vehicle.row.items() if name in VEHICLE_SCHEMA}
        for vehicle in simulation.fleet.vehicles
    ]
    return pl.DataFrame(
        [{name: row.get(name) for name in VEHICLE_SCHEMA} for row in rows],
        schema=VEHICLE_SCHEMA,
        strict=False,
    )
