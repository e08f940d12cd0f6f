"""`fleet backtest` on a lake and a register: what it prints, writes and refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, land_values, message
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, vehicle

from fleet_assets.commands import backtest
from fleet_assets.errors import FleetError
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.rule_vehicles import vehicles_by_time
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest) -> str:
    return fresh_warehouse(services, request.node.name[:60].lower())


@pytest.fixture
def asked(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command, before a lake in which van v1 drives at 68 mph for a minute (limit 70)."""
    lake = Lake(str(tmp_path / "lake"))
    start = hour_start(HOUR)
    values = [
        message("v1", (start + timedelta(seconds=n)).isoformat(), speed=68 if 60 <= n < 120 else 50)
        for n in range(180)
    ]
    land_values(lake, values)
    refresh_hour(lake, HOUR, frozenset(["v1"]), LATE_AFTER)
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")  # never asked
    app = typer.Typer()
    backtest.register(app)
    return app


def told(app: typer.Typer, *words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*words, "--format", "json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_lower_limit_adds_what_it_would_have_found(
    asked: typer.Typer, url: str, tmp_path: Path
) -> None:
    import_vehicles(url, [vehicle(1, id="v1", vehicle_type="van", fleet_id="north")], "test")
    assert vehicles_by_time(url)["vehicle_type"].to_list() == ["van"]
    page = tmp_path / "report.html"
    found = told(asked, "--set", "R18.set=65", "--html", str(page))
    assert found["rows"] == 180
    assert found["changes"] == 1
    row = next(row for row in found["by_rule"] if row["added"])
    assert (row["rule_id"], row["in_force"], row["proposed"], row["added"]) == ("R18", 0, 1, 1)
    assert found["by_vehicle"] == [{"vehicle_id": "v1", "added": 1, "removed": 0, "changed": 0}]
    assert "over_speeding" in page.read_text()
    assert told(asked, "--set", "R18.set=65@fleet:north")["changes"] == 1
    assert told(asked, "--set", "R18.set=65@fleet:south")["changes"] == 0
    assert told(asked, "--set", "R18.set=69")["changes"] == 0
    shown = CliRunner().invoke(asked, ["--set", "R18.set=65"], catch_exceptions=False)
    assert "1 findings differ" in shown.output


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ([], "Nothing is proposed"),
        (["--set", "R18=65"], "is not RULE.PARAMETER=VALUE"),
        (["--set", "R18.limit=65"], "R18 has no parameter limit"),
        (["--set", "R99.set=65"], "There is no rule R99"),
        (["--set", "R18.set=65", "--from", "yesterday"], "is no hour"),
        (["--set", "R18.set=65", "--from", "2030-01-01T00"], "no telemetry in this span"),
        (["--catalogue", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_cause(
    asked: typer.Typer, words: list[str], cause: str
) -> None:
    with pytest.raises(FleetError, match=cause):
        CliRunner().invoke(asked, words, catch_exceptions=False)
