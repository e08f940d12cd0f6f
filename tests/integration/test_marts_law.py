"""After any mixture of loads, removals and vehicle changes, marts equal a full rebuild."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from dbt_runs import run_dbt
from installation import Installation
from warehouse_data import fresh_warehouse, outcomes, query, vehicle, vehicle_hours

from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.mart_revisions import begin_build, finish_build, warehouse_clock
from fleet_assets.warehouse.staleness import mark_marts, pending_marts
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "America/St_Johns")
FLEETS = ("north", "south", "east")
VEHICLES = range(1, 6)
MARTS = (
    "dim_vehicles", "dim_fleets", "fct_vehicle_hours", "fct_vehicle_days", "mart_fleet_days",
    "mart_data_quality", "mart_idling_cost", "mart_utilisation", "mart_fleet_health",
)  # fmt: skip
ROUNDS, STEPS = 4, 6
NOTED = """
select date_day, fleet_id, value from warehouse.mart_figures
where mart = 'fct_vehicle_days' and measure = 'messages' and value is not null order by 1, 2
"""
SHOWN = """
select date_local, coalesce(fleet_id, '(none)'), sum(messages)::double precision
from marts.fct_vehicle_days group by 1, 2 order by 1, 2
"""


class Mixture:
    """Draws what happens to a warehouse."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.drawn, self.versions = url, Random(seed), 0
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        # attributes change now: hours that begin later are loaded, too, as messages may be ahead
        self.hours = [hour_key(now + timedelta(hours=number)) for number in range(-16, 5)]

    def step(self) -> None:
        self.drawn.choice((self.load, self.load, self.load, self.clear, self.change))()

    def load(self) -> None:
        hour, self.versions = self.drawn.choice(self.hours), self.versions + 1
        seen = self.drawn.sample(VEHICLES, self.drawn.randint(1, len(VEHICLES)))
        rows = [self.row(hour, f"T-{number}") for number in seen]
        told: dict[str, dict[str, Any]] = {
            row["vehicle_id"]: {"accepted": row["messages"]} for row in rows
        }
        frames: dict[LoadedTable, pl.DataFrame] = outcomes(
            hour, told | {"(none)": {"reasons": {"invalid_json": self.drawn.randint(1, 9)}}}
        )
        frames["vehicle_hours"] = vehicle_hours(*rows)
        entry = LedgerEntry("warehouse", hour, self.versions, rows=len(rows))
        replace_hours(self.url, frames, [hour], [entry])

    def row(self, hour: str, vehicle_id: str) -> dict[str, Any]:
        draw = self.drawn
        fuel = draw.choice((None, draw.randint(0, 20) / 4))
        return {
            "event_hour": hour, "vehicle_id": vehicle_id, "messages": draw.randint(1, 99),
            "seconds_seen": float(draw.randint(1, 3600)), "distance_miles": draw.randint(0, 80) / 4,
            "engine_seconds": float(draw.randint(0, 3600)), "fuel_used_gallons": fuel,
            "idle_seconds": draw.choice((None, float(draw.randint(0, 900)))),
            "moving_seconds": float(draw.randint(0, 900)),
            "odometer_first_mi": draw.choice((None, float(draw.randint(1, 99)))),
        }  # fmt: skip

    def clear(self) -> None:
        hour, self.versions = self.drawn.choice(self.hours), self.versions + 1
        frames: dict[LoadedTable, pl.DataFrame] = {"vehicle_hours": vehicle_hours()}
        entry = LedgerEntry("warehouse", hour, self.versions, rows=0)
        replace_hours(self.url, frames, [hour], [entry])

    def change(self) -> None:
        number = self.drawn.choice(VEHICLES)
        import_vehicles(self.url, [self.vehicle(number)], "test")

    def vehicle(self, number: int) -> Any:
        zone, fleet = self.drawn.choice(ZONES), self.drawn.choice(FLEETS)
        return vehicle(number, time_zone=zone, fleet_id=fleet)


def content(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of all marts, numbers as they are."""
    return {mart: sorted(query(url, f"select t::text from marts.{mart} t")) for mart in MARTS}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_marts_by_touched_windows_equal_a_full_rebuild(
    services: Installation, tmp_path: Path, seed: int
) -> None:
    url = fresh_warehouse(services, f"marts_law_{seed}")
    mixture = Mixture(url, seed)
    import_vehicles(url, [mixture.vehicle(number) for number in VEHICLES], "test")
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            mixture.step()
        as_of, pending = warehouse_clock(url), pending_marts(url)
        loaded = read_ledger(url, "warehouse")
        build = begin_build(url, as_of, pending, timedelta(minutes=10))
        run_dbt(url, tmp_path, "run", touched=pending)
        finish_build(url, build)
        mark_marts(url, loaded)
        assert pending_marts(url) == []
        assert query(url, "select as_of, is_consistent from marts.mart_as_of") == [(as_of, True)]
    by_windows = content(url)
    assert all(by_windows.values())
    figures = query(url, NOTED)
    assert figures == query(url, SHOWN)
    build = begin_build(url, warehouse_clock(url), None, timedelta(minutes=10))
    run_dbt(url, tmp_path, "run", "--full-refresh")
    assert finish_build(url, build) == 0
    whole = content(url)
    for mart, rows in by_windows.items():
        assert rows == whole[mart], mart
