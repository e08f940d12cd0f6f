"""Kafka or PostgreSQL stand still for a while, under load: runs fail with a clear error or wait,
and afterwards everything is there once.

They are stopped and not killed: a process that does not answer is worse than one that is gone,
and the supervisor, which sees it live, does not help.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from end_state import (
    assert_counts_add_up,
    assert_nothing_lost_or_doubled,
    assert_same_as_fault_free,
    fault_free_pass,
)
from fire import NOTES, Load, arena
from installation import Installation
from platform_run import platform_run
from warehouse_data import fresh_warehouse

from fleet_assets.warehouse.vehicles import import_vehicles, list_vehicles

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(900)]

LOAD = ["--vehicles", "20", "--interval", "10", "--rate", "250", "--span", "30d",
        "--start", "2026-01-05T00:30:00Z", "--duplicate", "0.1", "--corrupt", "0.05",
        "--late", "0.05", "--late-by", "10s..2h"]  # fmt: skip
STANDSTILL = timedelta(seconds=4)


@contextmanager
def standing_still(services: Installation, name: str) -> Iterator[None]:
    """All processes of a service are stopped, and go on at the end."""
    pid = services.state.services[name].pid
    assert pid is not None
    server = psutil.Process(pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("service", ["kafka", "postgres"])
def test_a_service_that_stands_still_costs_time_but_no_message(
    services: Installation, flow_home: Path, tmp_path: Path, service: str
) -> None:
    name = f"outage-{service}"
    clean_warehouse = fresh_warehouse(services, f"{name}-clean".replace("-", "_"))
    with platform_run(services, name, flow_home, tmp_path / "lake") as run, arena({}) as fire:
        load = Load({}, tmp_path / "manifest.json", *LOAD)
        load.wait_for_start(lambda: any(high for _, high in run.watermarks().values()))
        for _ in range(2):
            victim = fire.victim()
            victim.order(work="flow")
            with standing_still(services, service):
                time.sleep(STANDSTILL.total_seconds())  # how long it lasts is what is tested
            # one that has failed by then is followed by the next, as a sensor does it
            if victim.process.poll() is not None:
                assert "FleetError" in victim.complaint() or "WarehouseError" in victim.complaint()
            victim.process.kill()
            victim.end()
        sent = [load.stop()]
        fire.settle()
        import_vehicles(clean_warehouse, list_vehicles(run.postgres_url), "test")
        clean = fault_free_pass(tmp_path / "clean", clean_warehouse)
        told = [
            assert_nothing_lost_or_doubled(sent, run.platform),
            assert_counts_add_up(run.platform),
            assert_same_as_fault_free(run.platform, clean),
        ]
        NOTES.append(f"{service} stands still: " + "; ".join(told))
