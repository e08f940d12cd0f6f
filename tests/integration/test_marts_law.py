"""After any mixture of loads, removals and vehicle changes, marts equal a full rebuild."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import psycopg
import pytest
from dbt_runs import run_dbt
from installation import Installation
from warehouse_data import (
    contract_rows,
    fresh_warehouse,
    outcomes,
    query,
    vehicle,
    vehicle_hours,
)

from fleet_assets.warehouse.anomaly_feedback import mark
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.mart_marks import remove_marks, take_marks
from fleet_assets.warehouse.mart_revisions import begin_build, finish_build, warehouse_clock
from fleet_assets.warehouse.staleness import mark_marts, pending_marts
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key, hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "America/St_Johns")
FLEETS = ("north", "south", "east")
VEHICLES = range(1, 6)
MARTS = (
    "dim_vehicles", "dim_fleets", "fct_vehicle_hours", "fct_vehicle_days", "mart_fleet_days",
    "mart_data_quality", "mart_quality_days", "mart_idling_cost", "mart_utilisation",
    "mart_fleet_health", "mart_type_days", "fct_anomalies", "fct_harsh_events",
    "fct_fuel_events", "mart_driver_days",
    "mart_driver_scores", "mart_fuel_efficiency", "mart_fault_code_days", "fct_fault_codes",
    "mart_rule_hours", "mart_rule_performance", "mart_vehicle_features",
)  # fmt: skip
ROUNDS, STEPS = 4, 14
KINDS = (("R05", "harsh_braking"), ("R18", "over_speeding"), ("R28", "low_fuel"))
CATALOGUE = """
insert into warehouse.rule_catalogue (
    rule_id, anomaly_type, title, severity, stage, rule_version, release
) values (%s, %s, 'a rule', 'high', 'live', 1, 1)
"""
FIGURES = {
    ("fct_vehicle_days", "messages"): "sum(messages)",
    ("fct_trips", "rows"): "count(*)",
    ("fct_anomalies", "marked_true"): "count(*) filter (where marked_true)",
    ("mart_driver_days", "penalty_points"): "sum(penalty_points)",
}
NOTED = """
select date_day, fleet_id, value from warehouse.mart_figures
where mart = %s and measure = %s and value is not null order by 1, 2
"""
SHOWN = """
select date_local, coalesce(fleet_id, '(none)'), ({how})::double precision
from marts.{mart} group by 1, 2 order by 1, 2
"""


class Mixture:
    """Draws what happens to a warehouse."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.drawn, self.versions = url, Random(seed), 0
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        # attributes change now: hours that begin later are loaded, too, as messages may be ahead
        self.hours = [hour_key(now + timedelta(hours=number)) for number in range(-16, 5)]

    def step(self) -> None:
        often = (self.load, self.find, self.find)
        self.drawn.choice((*often, *often, self.say, self.clear, self.forget, self.change))()

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
            "seconds_seen": 225.0 * draw.randint(1, 16), "distance_miles": draw.randint(0, 80) / 4,
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

    def find(self, share: float = 0.7) -> None:
        """What trips and rules give of an hour; trips begin in even ones, end in odd ones."""
        hour, self.versions = self.drawn.choice(self.hours), self.versions + 1
        start = hour_start(hour)
        who = [f"T-{n}" for n in VEHICLES if self.drawn.random() < share]
        driving = [] if start.hour % 2 else who
        frames: dict[LoadedTable, pl.DataFrame] = {
            "trips": contract_rows("trips", *(self.trip(hour, name) for name in driving)),
            "vehicle_codes": contract_rows(
                "vehicle_codes", *(row for name in who for row in self.codes(hour, name))
            ),
            "rule_eligibility": contract_rows(
                "rule_eligibility",
                *(
                    {"event_hour": hour, "vehicle_id": name,
                     "ineligible": self.drawn.choice(("{}", "{}", '{"R05": "slow"}'))}
                    for name in who
                ),
            ),
        }  # fmt: skip
        found = [self.anomaly(hour, name) for name in who if self.drawn.random() < share]
        frames["anomalies"] = contract_rows("anomalies", *found)
        frames["rule_anomalies"] = contract_rows(
            "rule_anomalies",
            *({k: v for k, v in row.items() if k != "source"} | {"closes_at": start}
              for row in found),
        )  # fmt: skip
        replace_hours(self.url, frames, [hour], [LedgerEntry("trips", hour, self.versions)])

    def trip(self, hour: str, name: str) -> dict[str, Any]:
        draw, start = self.drawn, hour_start(hour) + timedelta(minutes=self.drawn.randint(0, 59))
        level = draw.choice((None, float(draw.randint(10, 90))))
        return {
            "event_hour": hour, "vehicle_id": name, "trip_id": f"{hour}{name}",
            "trip_kind": draw.choice(("motion", "motion", "ignition")), "state": "closed",
            "started_at": start, "ended_at": start + timedelta(minutes=draw.randint(1, 60)),
            "samples": 9, "gps_miles": draw.randint(0, 200) / 4,
            "driver_id": draw.choice((None, "anna", "ben")), "is_private": draw.random() < 0.1,
            "fuel_start_percent": level, "fuel_noise_percent": 0.5,
            "fuel_end_percent": draw.choice((None, float(draw.randint(10, 90)))),
            "fuel_used_percent": draw.choice((None, 25.0, 50.0)),
            "refuelled_percent": draw.choice((0.0, 25.0)),
        }  # fmt: skip

    def codes(self, hour: str, name: str) -> list[dict[str, Any]]:
        seen = {"event_hour": hour, "vehicle_id": name, "first_seen": hour_start(hour),
                "last_seen": hour_start(hour)}  # fmt: skip
        told = [code for code in ("P0300", "B1000") if self.drawn.random() < 0.6]
        return [seen | {"code": code} for code in (None, *told)]

    def anomaly(self, hour: str, name: str) -> dict[str, Any]:
        rule, kind = self.drawn.choice(KINDS)
        start = hour_start(hour) + timedelta(minutes=self.drawn.randint(0, 59))
        number = f"{self.drawn.getrandbits(100):025x}"
        return {
            "event_hour": hour, "vehicle_id": name, "anomaly_id": number, "finding_id": number,
            "anomaly_type": kind, "condition": rule, "rule_id": rule, "severity": "high",
            "state": "closed", "source": "rule", "confidence": 0.5,
            "severity_history": f'[{{"rule_id": "{rule}"}}]', "evidence": '{"peak": 12}',
            "started_at": start, "ended_at": start + timedelta(minutes=5), "detected_at": start,
        }  # fmt: skip

    def say(self) -> None:
        found = query(self.url, "select anomaly_id from warehouse.anomalies order by 1")
        if found:
            (number,) = self.drawn.choice(found)
            mark(self.url, number, is_true=self.drawn.random() < 0.3, note=None, marked_by="me")

    def forget(self) -> None:
        """As retention and erasure do, without a load."""
        table = self.drawn.choice(("trips", "anomalies", "rule_anomalies"))
        name = f"T-{self.drawn.choice(VEHICLES)}"
        with psycopg.connect(self.url) as connection:
            connection.execute(
                f"delete from warehouse.{table}"
                " where vehicle_id = %s and abs(hashtext(event_hour)) %% 2 = 0",
                [name],
            )

    def change(self) -> None:
        number = self.drawn.choice(VEHICLES)
        import_vehicles(self.url, [self.vehicle(number)], "test")

    def vehicle(self, number: int) -> Any:
        zone, fleet = self.drawn.choice(ZONES), self.drawn.choice(FLEETS)
        return vehicle(number, time_zone=zone, fleet_id=fleet, tank_gallons=64.0)


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
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(CATALOGUE, KINDS)
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            mixture.step()
        as_of, pending, marks = warehouse_clock(url), pending_marts(url), take_marks(url)
        loaded = read_ledger(url, "warehouse")
        build = begin_build(url, as_of, pending, timedelta(minutes=10), marked=marks.hours)
        run_dbt(url, tmp_path, "run", touched=pending, marked=marks.hours)
        finish_build(url, build)
        mark_marts(url, loaded)
        remove_marks(url, marks)
        assert pending_marts(url) == []
        assert query(url, "select as_of, is_consistent from marts.mart_as_of") == [(as_of, True)]
    by_windows = content(url)
    assert all(by_windows.values())
    for (mart, measure), how in FIGURES.items():
        figures = query(url, NOTED, mart, measure)
        assert figures == query(url, SHOWN.format(mart=mart, how=how)), (mart, measure)
        assert figures, (mart, measure)
    build = begin_build(url, warehouse_clock(url), None, timedelta(minutes=10))
    run_dbt(url, tmp_path, "run", "--full-refresh")
    assert finish_build(url, build) == 0
    whole = content(url)
    for mart, rows in by_windows.items():
        assert rows == whole[mart], mart
