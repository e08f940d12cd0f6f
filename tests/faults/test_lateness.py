"""Messages as late as they are in the world: only what they touch is made again, and it is right.

Half of the messages are under 30 s late, one in twenty more than 8 minutes, a few per thousand
hours, and one block a month; some come twice, some spoilt. They arrive in waves, as the clock of
the fleet goes on, and after each wave the sensors' runs are executed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from end_state import assert_counts_add_up
from fire import NOTES
from installation import Installation
from platform_run import PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.assets.runs import HOURS_TAG, RANGE_END, RANGE_START
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_key, hour_start

pytestmark = [pytest.mark.faults, pytest.mark.soak, pytest.mark.timeout(1800)]

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
SPAN = timedelta(hours=3)
INTERVAL = timedelta(seconds=10)
VEHICLES = tuple(f"T-{number}" for number in range(8))
BLOCK = NOW - timedelta(days=30)
"""One vehicle was in a garage without a network: its hour comes a month late."""
WAVES = (timedelta(hours=2, minutes=30), timedelta(hours=3, minutes=10), timedelta(hours=30))
"""Moments up to which messages have arrived, from the start of the span on."""


@dataclass(frozen=True)
class Sent:
    """One message on its way."""

    arrival: timedelta
    vehicle_id: str
    event_time: datetime
    value: bytes

    @property
    def hour(self) -> str:
        return hour_key(self.event_time)


def lateness(drawn: random.Random) -> timedelta:
    """p50 30 s, p95 8 min; 4 in a thousand come after 1 to 24 hours."""
    if drawn.random() < 0.004:
        return timedelta(hours=drawn.uniform(1, 24))
    return timedelta(seconds=drawn.lognormvariate(3.4, 1.69))  # ln 30, and 1.645 sigma up: ln 480


def fleet(seed: int) -> list[Sent]:
    """All messages, in order of arrival."""
    drawn = random.Random(seed)
    sent: list[Sent] = []
    start = NOW - SPAN
    for name in VEHICLES:
        for number in range(int(SPAN / INTERVAL)):
            moment = start + number * INTERVAL
            value = message(name, moment.isoformat(), speed=drawn.randrange(60), engine_rpm=1500)
            arrival = moment - start + lateness(drawn)
            if drawn.random() < 0.01:
                value = value[: len(value) // 2]
            sent.append(Sent(arrival, name, moment, value))
            if drawn.random() < 0.02:
                again = arrival + timedelta(seconds=drawn.uniform(0, 600))
                sent.append(Sent(again, name, moment, value))
    for second in range(0, 3600, 10):
        moment = BLOCK + timedelta(seconds=second)
        value = message("T-0", moment.isoformat(), speed=50, engine_rpm=1800)
        sent.append(Sent(WAVES[-1], "T-0", moment, value))
    return sorted(sent, key=lambda one: one.arrival)


@pytest.fixture
def flow(services: Installation, flow_home: Path, tmp_path: Path) -> Iterator[PlatformRun]:
    start = hour_start(hour_key(NOW - timedelta(days=60))).isoformat()
    settings = {"partitions_start": start, "late_interval": "PT0S"}
    with platform_run(services, "lateness", flow_home, tmp_path / "lake", **settings) as run:
        vehicles = [vehicle(n + 1, id=name) for n, name in enumerate(VEHICLES)]
        import_vehicles(run.postgres_url, vehicles, "test")
        yield run


def local_days(hour: str) -> set[str]:
    """Days that an hour may belong to, whatever the time zone."""
    start = hour_start(hour)
    ends = start - timedelta(hours=12), start + timedelta(hours=15, seconds=-1)
    days = range((ends[1].date() - ends[0].date()).days + 1)
    return {str(ends[0].date() + timedelta(days=number)) for number in days}


def row_versions(flow: PlatformRun, mart: str, unit: str) -> dict[str, set[str]]:
    """Per hour or day of a mart, the transactions that wrote its rows."""
    if flow.query("select to_regclass(%s) is null", f"marts.{mart}") == [(True,)]:
        return {}  # dbt has not run yet
    rows = flow.query(f"select {unit}::text, xmin::text from marts.{mart}")
    found: dict[str, set[str]] = {}
    for key, transaction in rows:
        found.setdefault(key, set()).add(transaction)
    return found


def marts(flow: PlatformRun) -> dict[str, list[tuple[Any, ...]]]:
    names = ("fct_vehicle_hours", "fct_vehicle_days")
    return {name: flow.query(f"select t::text from marts.{name} t order by 1") for name in names}


def materialized(flow: PlatformRun, result: dg.ExecuteInProcessResult) -> set[str]:
    """Hours of telemetry that a run has made."""
    key = dg.AssetKey("telemetry")
    events = result.asset_materializations_for_node("refresh_telemetry")
    return {str(event.partition) for event in events if event.asset_key == key}


def test_only_what_late_messages_touch_is_made_again_and_it_is_right(flow: PlatformRun) -> None:
    waiting, told = fleet(1), []
    for end in WAVES:
        wave = [one for one in waiting if one.arrival <= end]
        waiting = [one for one in waiting if one.arrival > end]
        flow.produce([(one.vehicle_id.encode(), one.value) for one in wave])
        hours_before = row_versions(flow, "fct_vehicle_hours", "event_hour")
        days_before = row_versions(flow, "fct_vehicle_days", "date_local")
        flow.land()
        landed = set(flow.rows("raw_telemetry").filter(
            landing_version=flow.rows("raw_telemetry")["landing_version"].max()
        )["event_hour"])  # fmt: skip
        # spoilt ones whose time cannot be read lie in the hour of their arrival
        touched = {one.hour for one in wave} | landed
        results = flow.refresh()
        assert all(result.success for result in results)
        made = Counter(hour for result in results for hour in materialized(flow, result))
        assert set(made) == touched
        assert set(made.values()) == {1}

        hours_after = row_versions(flow, "fct_vehicle_hours", "event_hour")
        days_after = row_versions(flow, "fct_vehicle_days", "date_local")
        untouched = {h for h in hours_before if h not in touched}
        assert {h: hours_after[h] for h in untouched} == {h: hours_before[h] for h in untouched}
        days = {day for hour in touched for day in local_days(hour)}
        left_alone = {d for d in days_before if d not in days}
        assert {d: days_after[d] for d in left_alone} == {d: days_before[d] for d in left_alone}
        events = sum(len(flow.instance.all_logs(result.run_id)) for result in results)
        told.append(
            f"{len(wave):,} messages, {len(touched)} hours of {len(hours_after)} touched,"
            f" {len(results)} runs, {events} events"
        )
    assert not waiting

    # each landing that brought messages into an hour stands in its outcomes, with its counts
    by_hour = flow.rows("telemetry_outcomes").group_by("event_hour")
    arrivals = dict(by_hour.agg(pl.col("landing_version").n_unique()).iter_rows())
    assert max(arrivals.values()) == len(WAVES)
    corrected = marts(flow)
    first = min(arrivals)
    rebuild = {"ops": {"refresh_telemetry": {"config": {"rebuild": True}}}}
    all_hours = {RANGE_START: first, RANGE_END: first, HOURS_TAG: ",".join(sorted(arrivals))}
    assert flow.execute("refresh", rebuild, all_hours).success
    assert marts(flow) == corrected
    assert_counts_add_up(flow.platform)
    NOTES.append("lateness: " + "; ".join(told))
