"""`fleet backtest` on a lake and a register: what it prints, writes and refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, land_values, message
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, query, vehicle

from fleet_assets.commands import backtest
from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.truth import write_truth
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.warehouse.rule_stages import WantedStage, set_stage, stages_at
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


@pytest.fixture
def van(url: str) -> None:
    import_vehicles(url, [vehicle(1, id="v1", vehicle_type="van", fleet_id="north")], "test")


@pytest.mark.usefixtures("van")
def test_it_is_kept_under_a_name_that_its_contents_give_it(
    asked: typer.Typer, url: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    found = told(asked, "--set", "R18.set=65", "--html", str(page))
    name = found.pop("backtest_id")
    assert list(query(url, "select report from warehouse.backtests")[0]) == [found]
    assert f"Backtest {name}." in page.read_text()
    made = query(url, "select made_at from warehouse.backtests")
    shown = CliRunner().invoke(asked, ["--set", "R18.set=65"], catch_exceptions=False)
    assert shown.output.splitlines()[-1] == f"backtest {name}"
    assert query(url, "select made_at from warehouse.backtests") > made
    assert told(asked, "--set", "R18.set=66")["backtest_id"] != name
    columns = "first_hour, rows, catalogue_release, changes, proposal"
    kept = query(url, f"select {columns} from warehouse.backtests where backtest_id = %s", name)
    assert kept[0][:4] == (HOUR, 180, read_catalogue().release, 1)
    assert (kept[0][4]["set"], kept[0][4]["rules"]) == (["R18.set=65"], ["R18"])


@pytest.mark.usefixtures("van")
def test_it_judges_by_the_stages_in_force_and_those_proposed(asked: typer.Typer, url: str) -> None:
    lower = ["--set", "R18.set=65"]
    assert told(asked, *lower, "--set", "R18.stage=shadow")["changes"] == 1
    assert told(asked, *lower, "--set", "R18.stage=off")["changes"] == 0
    begin, rules = hour_start(HOUR), read_catalogue()
    set_stage(url, rules, WantedStage("R18", "off", begin), "noisy", "me")
    assert told(asked, *lower)["changes"] == 0
    live = told(asked, *lower, "--set", "R18.stage=live")
    assert live["changes"] == 1
    with pytest.raises(FleetError, match="whose numbers were not those of the catalogue"):
        set_stage(url, rules, WantedStage("R18", "live", begin, live["backtest_id"]), "y", "me")
    name = told(asked, "--set", "R18.stage=live")["backtest_id"]
    set_stage(url, rules, WantedStage("R18", "live", begin, name), "proven", "me")
    assert stages_at(url, begin) == {"R18": "live"}


@pytest.mark.usefixtures("van")
def test_known_faults_and_marks_tell_how_many_findings_are_right(
    asked: typer.Typer, url: str, tmp_path: Path
) -> None:
    start = hour_start(HOUR)
    fault = {
        "vehicle_id": "v1", "kind": "over_speeding", "detail": "",
        "start": (start + timedelta(seconds=60)).isoformat(),
        "end": (start + timedelta(seconds=120)).isoformat(),
    }  # fmt: skip
    truth, page = tmp_path / "truth.ndjson", tmp_path / "report.html"
    write_truth(truth, [fault, fault | {"vehicle_id": "v2"}])
    query(url, _MARK, start + timedelta(seconds=60), start + timedelta(seconds=70))
    asking = ["--set", "R18.set=65", "--truth", str(truth)]
    found = told(asked, *asking, "--html", str(page))
    assert found["by_truth"][-2:] == [
        {"anomaly_type": "over_speeding", "rule_id": None, "faults": 2,
         "findings_in_force": 0, "findings_proposed": 1,
         "recall_in_force": 0.0, "recall_proposed": 0.5,
         "precision_in_force": None, "precision_proposed": 1.0},
        {"anomaly_type": "over_speeding", "rule_id": "R18", "faults": None,
         "findings_in_force": 0, "findings_proposed": 1,
         "recall_in_force": None, "recall_proposed": None,
         "precision_in_force": None, "precision_proposed": 1.0},
    ]  # fmt: skip
    assert found["by_feedback"] == [
        {"anomaly_type": "over_speeding", "rule_id": "R18", "marked_in_force": 0,
         "marked_proposed": 1, "precision_in_force": None, "precision_proposed": 0.0},
    ]  # fmt: skip
    shown = CliRunner().invoke(asked, asking, catch_exceptions=False).output
    for title in ("against known faults", "against what people have marked"):
        assert title in shown
        assert f"<h2>{title.capitalize()}</h2>" in page.read_text()
    assert told(asked, "--set", "R18.set=65")["by_truth"] == []


_MARK = """
insert into warehouse.anomaly_feedback (
    marked_by, anomaly_id, is_true, vehicle_id, rule_id, condition, started_at, ended_at
)
values ('ann', 'a', false, 'v1', 'R18', 'R18', %s, %s) returning 1
"""


def test_a_report_that_cannot_be_kept_is_given_all_the_same(asked: typer.Typer, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("alter table warehouse.backtests rename to elsewhere")
    result = CliRunner().invoke(asked, ["--set", "R18.set=65", "--format", "json"])
    assert json.loads(result.stdout)["backtest_id"] is None
    assert "The backtest is not kept, no rule can go live by it" in result.stderr


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ([], "Nothing is proposed"),
        (["--set", "R18=65"], "is not RULE.PARAMETER=VALUE"),
        (["--set", "R18.limit=65"], "R18 has no parameter limit"),
        (["--set", "R99.set=65"], "There is no rule R99"),
        (["--set", "R18.set=65", "--from", "yesterday"], "is no hour"),
        (["--set", "R18.set=65", "--from", "2030-01-01T00"], "no telemetry in this span"),
        (["--set", "R18.set=high"], "high is no number"),
        (["--set", "R18.set=1.2.3"], "is not RULE.PARAMETER=VALUE"),
        (["--set", "R18.stage=on"], "'on' is no stage of a rule; there are off, shadow, live"),
        (["--set", "R18.stage=3"], "'3' is no stage"),
        (["--set", "R18.stage=live@fleet:north"], "a stage is the same for all vehicles"),
        (["--set", "R18.set=65", "--truth", "nowhere.ndjson"], "nowhere.ndjson cannot be read"),
        (["--catalogue", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_cause(
    asked: typer.Typer, words: list[str], cause: str
) -> None:
    with pytest.raises(FleetError, match=cause):
        CliRunner().invoke(asked, words, catch_exceptions=False)
