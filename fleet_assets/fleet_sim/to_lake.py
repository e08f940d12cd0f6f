"""Simulated days straight into a lake, without messages: telemetry as it is after landing.

For tests, benchmarks and the notebook, which need days of a fleet within seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import polars as pl

from fleet_assets.contracts.signals import NUMBERS
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fleet_sim.fleet import Fleet
from fleet_assets.fleet_sim.signals import Samples
from fleet_assets.fleet_sim.simulation import HOUR_MS, Options, Simulation
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours

START = datetime(2026, 3, 2, tzinfo=UTC)
TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})


def simulated_lake(
    lake: Lake, vehicles: int, days: int, *, seed: int = 1, faults: float = 0.0,
    start: datetime = START, hours_of_day: tuple[int, int] = (0, 24), interval_ms: int = 1000,
) -> dict[str, str]:  # fmt: skip
    """Fills `telemetry` and `vehicle_hours` with days of a simulated fleet.

    Args:
        lake: an empty lake.
        vehicles: how many.
        days: how many, one after the other.
        seed: of the simulation.
        faults: as of `Options`.
        start: first moment, a midnight UTC.
        hours_of_day: first hour (UTC) of each day that is kept, and the one after the last.
        interval_ms: between two messages of a vehicle.

    Returns:
        Vehicle type by vehicle.
    """
    options = Options(
        vehicles=vehicles, start_ms=round(start.timestamp() * 1000), span_ms=None, seed=seed,
        interval_ms=interval_ms, parked_every=60, faults=faults,
    )  # fmt: skip
    simulation = Simulation(options)
    per_hour = HOUR_MS // interval_ms
    for day in range(days):
        parts = []
        for hour in range(day * 24, (day + 1) * 24):
            if hours_of_day[0] <= hour % 24 < hours_of_day[1]:
                samples = simulation.samples(hour * per_hour, (hour + 1) * per_hour)
                parts.append(telemetry_rows(samples, simulation.fleet))
            else:
                simulation.pass_over((hour + 1) * HOUR_MS, hour * HOUR_MS)
        _land(lake, pl.concat(parts))
    fleet = simulation.fleet.vehicles
    return {vehicle.id: str(vehicle.row["vehicle_type"]) for vehicle in fleet}


def telemetry_rows(samples: Samples, fleet: Fleet) -> pl.DataFrame:
    """Samples as rows of `telemetry`, in order of hour, vehicle and time."""
    contract = TABLE_BY_NAME["telemetry"]
    columns = dict(_columns(samples, fleet))
    rows = pl.DataFrame(columns).with_columns(
        event_hour=pl.col("event_time").dt.strftime("%Y-%m-%dT%H"),
        conflict=pl.lit(value=False),
        null_signals=_nulls(samples),
    )
    lacking = [pl.lit(None).alias(name) for name in contract.names if name not in rows.columns]
    whole = rows.with_columns(lacking).select(contract.names).cast(contract.polars_schema)
    return whole.sort("event_hour", "vehicle_id", "event_time")


def _columns(samples: Samples, fleet: Fleet) -> Iterator[tuple[str, pl.Series]]:
    ids = pl.Series(fleet.ids)
    profile = fleet.profile[samples.vehicle]
    yield "vehicle_id", ids.gather(samples.vehicle)
    yield "event_time", pl.Series(samples.time_ms * 1000).cast(pl.Datetime("us", "UTC"))
    for name in (signal.name for signal in NUMBERS):
        if name in samples.values:
            key = {"gps": "gps", "accel": "accelerometer"}.get(name.split("_")[0], name)
            fitted = np.array([key in keys for keys in fleet.profiles])[profile]
            there = fitted & ~samples.nulls.get(name, np.zeros(len(profile), np.bool_))
            values = pl.Series(samples.values[name].astype(np.float64))
            yield name, values.set(pl.Series(~there), None)


def _nulls(samples: Samples) -> pl.Series:
    empty = pl.Series([[]], dtype=pl.List(pl.String))
    named = empty.new_from_index(0, samples.vehicle.size)
    for name, flags in samples.nulls.items():
        one = pl.Series([[name]], dtype=pl.List(pl.String)).new_from_index(0, flags.size)
        named = pl.select(
            pl.when(pl.Series(flags)).then(named.list.concat(one)).otherwise(named)
        ).to_series()
    return named


def _land(lake: Lake, rows: pl.DataFrame) -> None:
    hours = rows["event_hour"].unique().sort().to_list()
    marks = {mark(hour): 1 for hour in hours for mark in (app_id, rows_id)}
    lake.open("telemetry").append(rows, marks, {})
    for hour in hours:
        refresh_vehicle_hours(lake, hour, TANKS)
