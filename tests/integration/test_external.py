"""The flow on a Kafka and a PostgreSQL that somebody else runs: settings alone point at them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installation import Installation
from platform_run import platform_run
from telemetry_data import message
from warehouse_data import vehicle

from fleet_assets.local.databases import with_database
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MESSAGES = [
    (name.encode(), message(name, f"2020-03-01T05:00:{second:02}Z", speed=30))
    for second in range(20)
    for name in ("T-1", "T-2")
]


def fleet(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from fleet_assets.cli import main; main()", *words],
        env={**os.environ, "FLEET_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_flow_runs_on_servers_of_the_settings(
    services: Installation, flow_home: Path, tmp_path: Path
) -> None:
    """Nothing of the installation that runs the servers is known but the two addresses."""
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "external", flow_home, tmp_path / "lake", **settings) as run:
        assert not (flow_home / "services.json").exists()
        assert run.postgres_url == with_database(services.endpoints.postgres_url, "external")
        import_vehicles(run.postgres_url, [vehicle(1), vehicle(2)], "test")
        run.produce([*MESSAGES, *MESSAGES[:5], (b"T-1", b"{")])
        run.land()
        assert all(result.success for result in run.refresh())
        assert run.rows("telemetry").height == len(MESSAGES)
        shown = run.query(
            "select sum(read)::int, sum(accepted)::int, sum(duplicate)::int, sum(rejected)::int"
            " from marts.mart_data_quality"
        )
        assert shown == [(len(MESSAGES) + 6, len(MESSAGES), 5, 1)]

        told = fleet(flow_home, "status", "--json")
        status: dict[str, Any] = json.loads(told.stdout)
        assert {name: s["state"] for name, s in status["services"].items()
                if name != "dagster"} == {"kafka": "external", "postgres": "external"}  # fmt: skip
        assert sum(status["lag"].values()) == status["stale_hours"] == 0
        assert status["failing_checks"] == []


def test_commands_use_the_addresses_of_the_settings_and_not_those_of_a_running_platform(
    services: Installation, tmp_path: Path
) -> None:
    with platform_run(services, "elsewhere", services.home, tmp_path / "lake") as run:
        assert (services.home / "services.json").exists()
        file = tmp_path / "fleet.csv"
        file.write_text(
            "id,vin,make,model,year,vehicle_type\nT-1,1FTEETXX2HB000001,Volvo,FH,2020,van\n"
        )
        assert fleet(services.home, "vehicles", "import", str(file)).returncode == 0
        assert run.query("select id from warehouse.vehicles") == [("T-1",)]
