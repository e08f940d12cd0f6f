"""kill -9 of workers under load: at every fault point, between write and commit, at random.

While the simulator sends (10 % twice, 5 % spoilt, 5 % late), processes that land, refresh and load
are killed one after the other. At the end one works undisturbed, and everything must be there once.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from end_state import (
    assert_anomalies_as_in_one_pass,
    assert_counts_add_up,
    assert_every_reject_is_published,
    assert_marts_show,
    assert_nothing_lost_or_doubled,
    assert_same_as_fault_free,
    fault_free_pass,
)
from fire import NOTES, ROOT, Arena, Load, arena, fault_points, moments, named_by
from installation import Installation
from platform_run import platform_run
from warehouse_data import fresh_warehouse

from fleet_assets.warehouse.vehicles import import_vehicles
from fleet_assets.warehouse.vehicles_csv import parse_vehicles_csv
from tests.scoring_data import let_serve, small_model

pytestmark = [pytest.mark.faults, pytest.mark.integration]

LOAD = ["--vehicles", "20", "--interval", "10", "--rate", "250", "--span", "30d",
        "--start", "2026-01-05T00:30:00Z", "--duplicate", "0.1", "--corrupt", "0.05",
        "--late", "0.05", "--late-by", "10s..2h", "--reorder", "0.05", "--no-register"]  # fmt: skip

FAULTY = ["--vehicles", "12", "--interval", "4", "--span", "10d", "--faults", "3000"]
"""Vehicles with something to find, often enough to be judged by rules with a duration."""

HOUR_TABLES = ("telemetry", "telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes")
MOMENTS = ("written", "committed")
POINTS: dict[str, tuple[str, ...]] = {
    "flow": (
        "landing.mid_read",
        "landing.before_write",
        "landing.files_written",
        "landing.raw_committed",
        "landing.recorded",
        "refresh.before_write",
        *(f"refresh.{table}_{moment}" for table in HOUR_TABLES for moment in MOMENTS),
        "hours.mid_read",
        "hours.before_states",
        "hours.states_committed",
        "hours.before_write",
        "hours.committed",
        "load.hour_deleted",
        "load.before_commit",
        "load.committed",
        "dlq.produced",
    ),
    "rebuilds": ("rebuild.slice_written",),
    "upkeep": ("upkeep.files_written", "upkeep.committed", "upkeep.before_vacuum"),
    "expiry": ("expiry.committed",),
    "judging": (
        "segments.mid_read",
        "segments.before_write",
        "segments.eligibility_committed",
        "segments.codes_committed",
        "segments.committed",
        "trip_segments.mid_read",
        "trip_segments.before_write",
        "trip_segments.committed",
        *(
            f"{table}.{moment}"
            for table in ("rule_anomalies", "trips")
            for moment in ("before_write", "committed")
        ),
        "anomalies.before_collected",
        "anomalies.collected",
        "anomalies.produced",
        "feature_windows.mid_read",
        "feature_windows.before_write",
        "feature_windows.committed",
        "model_segments.mid_read",
        "model_segments.before_write",
        "model_segments.hours_committed",
        "model_segments.committed",
        "model_anomalies.before_write",
        "model_anomalies.committed",
    ),
    "dagster": (
        "landing.not_reported",
        "stages.telemetry_worked",
        "stages.telemetry_noted",
        "stages.vehicle_hours_worked",
        "stages.vehicle_hours_noted",
        "stages.warehouse_worked",
        "stages.warehouse_noted",
        "marts.built",
        "marts.marked",
    ),
}
"""What kind of work comes by which points."""
KILLED_ELSEWHERE = {
    "rejects.intent": "tests/integration/test_rejects.py",
    "rejects.produced": "tests/integration/test_rejects.py",
    "artifacts.written": "tests/unit/test_artifacts.py",
    "recent.before_commit": "tests/integration/test_telemetry_recent.py",
    **dict.fromkeys(
        (
            "archive.file_written",
            "archive.before_manifest",
            "archive.manifest_written",
            "retire.sealed",
            "retire.before_commit",
            "retire.committed",
        ),
        "tests/unit/test_retention_lake.py",
    ),
    **dict.fromkeys(
        ("retire.rows_deleted", "retire.audit_archived"), "tests/integration/test_retention.py"
    ),
    **dict.fromkeys(
        (
            "erase.committed",
            "erase.files_deleted",
            "erase.archive_written",
            "erase.archive_manifest",
        ),
        "tests/integration/test_erasure.py",
    ),
}
"""Points of commands, of artifacts and of retention, and the tests that kill them there."""
NOT_YET_USED = {"*.files_written"}
"""Points in code that nothing calls yet."""
TORN = ("raw_telemetry", "landings", "vehicle_hours", "dlq_published")
"""Tables that are written and committed by one call: no point lies between."""
LONGEST_MOMENT_S = 1.5
"""Random kills come this long after the start at most: a pass takes about as long."""

Kill = Callable[[Arena], None]


def test_every_fault_point_has_a_kill() -> None:
    killed = [point for points in POINTS.values() for point in points]
    for point, file in KILLED_ELSEWHERE.items():
        assert f'"{point}"' in (ROOT / file).read_text()
    written = set(fault_points()) - NOT_YET_USED - set(KILLED_ELSEWHERE)
    assert [p for p in written if not any(named_by(point, p) for point in killed)] == []
    assert [point for point in killed if not any(named_by(point, p) for p in written)] == []


def at(point: str, work: str) -> Kill:
    return lambda arena: arena.kill_at(point, work)


def torn(table: str, work: str) -> Kill:
    return lambda arena: arena.kill_torn(table, work)


def after(seconds: float, work: str) -> Kill:
    return lambda arena: arena.kill_after(seconds, work)


def kills(rounds: int, random_moments: int, seed: int) -> list[Kill]:
    """Every point in each round, the second time that a process comes by it from round 2 on."""
    planned = [
        at(point if number == 1 else f"{point}:{min(number, 3)}", work)
        for number in range(1, rounds + 1)
        for work in ("flow", "rebuilds")[: min(number, 2)]
        for point in POINTS["flow"]
    ]
    planned += [
        at(point, work)
        for work in ("rebuilds", "upkeep")
        for point in POINTS[work]
        for _ in range(rounds)
    ]
    planned += [torn(table, "flow") for table in TORN for _ in range(rounds)]
    works = itertools.cycle(["flow", "upkeep", "rebuilds"])
    drawn = moments(seed, LONGEST_MOMENT_S)
    planned += [after(next(drawn), next(works)) for _ in range(random_moments)]
    random.Random(seed).shuffle(planned)
    return planned


def under_fire(
    services: Installation,
    name: str,
    tmp_path: Path,
    flow_home: Path,
    planned: list[Kill],
    last_work: str = "flow",
    load_options: Sequence[str] = (),
) -> None:
    clean_warehouse = fresh_warehouse(services, f"{name}_clean".replace("-", "_"))
    with (
        platform_run(services, name, flow_home, tmp_path / "lake", late_interval="PT0S") as run,
        arena({}) as fire,
    ):
        register = tmp_path / "vehicles.csv"
        load = Load(
            {}, tmp_path / "manifest.json", *LOAD, *load_options, "--vehicles-csv", str(register)
        )
        load.wait_for_start(lambda: any(high for _, high in run.watermarks().values()))
        vehicles = parse_vehicles_csv(register)
        if last_work == "judging":
            lake, groups = run.lake, ["sedan", "suv", "truck", "van"]
            let_serve(
                small_model(), lake.url, run.postgres_url, groups, datetime(2026, 1, 1, tzinfo=UTC)
            )
        for number, kill in enumerate(planned):
            if number == 0:  # messages of the others wait among the rejects for their registration
                import_vehicles(run.postgres_url, vehicles[: len(vehicles) // 2], "test")
            elif number == len(planned) // 2:
                import_vehicles(run.postgres_url, vehicles, "test")
            kill(fire)
        sent = [load.stop()]
        import_vehicles(clean_warehouse, vehicles, "test")
        fire.settle(last_work)
        raw_expires = last_work == "expiry"
        told = [
            assert_nothing_lost_or_doubled(sent, run.platform, raw_expires=raw_expires),
            *([] if raw_expires else [assert_counts_add_up(run.platform)]),
            assert_every_reject_is_published(run.platform),
            assert_same_as_fault_free(
                run.platform,
                fault_free_pass(tmp_path / "clean", clean_warehouse),
                without=("raw_telemetry",) if raw_expires else (),
            ),
        ]
        if last_work == "judging":
            told.append(assert_anomalies_as_in_one_pass(run.platform))
        if last_work == "dagster":
            told.append(assert_marts_show(sent, run.postgres_url))
        NOTES.append(f"{name}, {sum(fire.kinds.values())} kills: " + "; ".join(told))


@pytest.mark.timeout(900)
def test_workers_killed_at_every_point(
    services: Installation, tmp_path: Path, flow_home: Path
) -> None:
    under_fire(services, "kills", tmp_path, flow_home, kills(1, random_moments=6, seed=1))


@pytest.mark.timeout(900)
def test_workers_killed_while_raw_expires(
    services: Installation, tmp_path: Path, flow_home: Path
) -> None:
    """What is late meets hours without raw messages, and so does the repair of what was cut off."""
    cut_off = [f"refresh.{table}_committed" for table in HOUR_TABLES]
    planned = [at(point, "expiry") for point in (*POINTS["expiry"] * 2, *cut_off)]
    under_fire(services, "kills-expiry", tmp_path, flow_home, planned, "expiry")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_workers_killed_while_judging(
    services: Installation, tmp_path: Path, flow_home: Path, rounds: int
) -> None:
    """Trips and anomalies are what one pass over all segments gives, and Kafka has each change."""
    planned = [at(point, "judging") for point in POINTS["judging"] * rounds]
    drawn = moments(5, LONGEST_MOMENT_S)
    planned += [after(next(drawn), "judging") for _ in range(5)]
    random.Random(5).shuffle(planned)
    under_fire(services, f"kills-judging-{rounds}", tmp_path, flow_home, planned, "judging", FAULTY)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [2, 3])
def test_workers_killed_many_times(
    services: Installation, tmp_path: Path, flow_home: Path, seed: int
) -> None:
    planned = kills(2, random_moments=30, seed=seed)
    under_fire(services, f"kills-{seed}", tmp_path, flow_home, planned)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_dagster_runs_killed_at_every_point(
    services: Installation, tmp_path: Path, flow_home: Path
) -> None:
    planned = [at(point, "dagster") for point in POINTS["dagster"]]
    under_fire(services, "kills-dagster", tmp_path, flow_home, planned, "dagster")
