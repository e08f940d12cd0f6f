"""Two processes at the same work at the same time: each message is taken in once all the same.

Two daemons, a landing that somebody starts by hand beside the sensor's, a refresh beside a rebuild:
nothing but the Delta commits themselves keeps them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from end_state import assert_counts_add_up, assert_same_as_fault_free, fault_free_pass
from fire import NOTES, Arena, Victim, arena
from installation import Installation
from platform_run import Message, PlatformRun, platform_run
from telemetry_data import message
from warehouse_data import fresh_warehouse, vehicle

from fleet_assets.lake.landed import landed_hours
from fleet_assets.lake.landing import committed_offsets
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(900)]

ROUNDS = 4
HOURS = ("2026-02-01T04", "2026-02-01T05", "2026-02-01T06")


def portion(number: int) -> list[Message]:
    """Messages of each hour, some sent before, some with other values, some spoilt."""
    sent: list[Message] = [(b"T-1", b"oops"), (b"T-2", b"")]
    for hour in HOURS:
        for minute in range(number, number + 12):
            for name in ("T-1", "T-2", "T-3"):
                moment = f"{hour}:{minute:02}:00Z"
                sent.append((name.encode(), message(name, moment, speed=30 + number % 2)))
    return sent


@contextmanager
def racing(
    services: Installation, name: str, flow_home: Path, tmp_path: Path
) -> Iterator[tuple[PlatformRun, Arena, tuple[Victim, Victim]]]:
    """Two processes at the line; at the end everything is compared with a lone pass."""
    clean_warehouse = fresh_warehouse(services, f"{name}_clean".replace("-", "_"))
    vehicles = [vehicle(1), vehicle(2)]
    import_vehicles(clean_warehouse, vehicles, "test")
    with (
        platform_run(services, name, flow_home, tmp_path / "lake", late_interval="PT0S") as run,
        arena({}) as fire,
    ):
        import_vehicles(run.postgres_url, vehicles, "test")
        yield run, fire, (fire.victim(), fire.victim())
        fire.settle()
        clean = fault_free_pass(tmp_path / "clean", clean_warehouse)
        told = [assert_counts_add_up(run.platform), assert_same_as_fault_free(run.platform, clean)]
        NOTES.append(f"{name}: " + "; ".join(told))


def both(pair: tuple[Victim, Victim], *orders: dict[str, Any]) -> None:
    """Both are ordered at once and both finish."""
    for racer, order in zip(pair, orders, strict=True):
        racer.order(**order)
    for racer in pair:
        racer.done()


def ranges(run: PlatformRun) -> dict[int, tuple[int, int]]:
    """What a sensor would ask for now."""
    state = run.watermarks()
    source = run.source
    done = committed_offsets(run.lake.url, source.cluster_id, source.topic_id, state)
    return {p: (done.get(p, low), high) for p, (low, high) in state.items() if high}


def test_two_landings_of_the_same_ranges_commit_once(
    services: Installation, flow_home: Path, tmp_path: Path
) -> None:
    with racing(services, "race-landing", flow_home, tmp_path) as (run, _, pair):
        for number in range(ROUNDS):
            run.produce(portion(number))
            order = {"work": "land_ranges", "given": {"ranges": ranges(run)}}
            both(pair, order, order)
            landings = run.rows("landings")
            assert landings["messages"].sum() == run.rows("raw_telemetry").height
            assert landings["messages"].sum() == sum(high for _, high in run.watermarks().values())
            # whoever came second has committed nothing at all: one landing a round
            assert landings["landing_version"].n_unique() == number + 1


def test_refreshes_and_rebuilds_of_the_same_hour_take_each_message_in_once(
    services: Installation, flow_home: Path, tmp_path: Path
) -> None:
    with racing(services, "race-refresh", flow_home, tmp_path) as (run, _, pair):
        for number in range(ROUNDS):
            run.produce(portion(number))
            first, *others = ranges(run).items()
            # two landings: a refresh of the first goes on while the second one lands
            for part in ({first[0]: first[1]}, dict(others)):
                pair[0].order(work="land_ranges", given={"ranges": part})
                pair[0].done()
                hour = HOURS[number % len(HOURS)]
                refresh = {"work": "refresh", "given": {"event_hour": hour, "rebuild": False}}
                rebuild = {"work": "refresh", "given": {"event_hour": hour, "rebuild": True}}
                both(pair, refresh, rebuild if number % 2 else refresh)
            telemetry = run.lake.open("telemetry").read(hour).select("vehicle_id", "event_time")
            assert telemetry.height == telemetry.unique().height


@pytest.mark.soak
def test_two_daemons_that_know_nothing_of_each_other_land_once(
    services: Installation, flow_home: Path, tmp_path: Path
) -> None:
    with racing(services, "race-daemons", flow_home, tmp_path) as (run, _, pair):
        for number in range(2):
            run.produce(portion(number))
            order = {"work": "dagster_landing", "until_quiet": True}
            both(pair, order, order)
        raw = run.lake.open("raw_telemetry").read(columns=["kafka_partition", "kafka_offset"])
        ends = dict(raw.group_by("kafka_partition").agg(pl.len()).iter_rows())
        assert ends == {p: high for p, (_, high) in run.watermarks().items() if high}
        assert raw.height == raw.unique().height
        assert {hour.event_hour for hour in landed_hours(run.lake.open("raw_telemetry"))} >= set(
            HOURS
        )
