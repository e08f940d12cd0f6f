"""Analysts' questions on a real warehouse: each answers, with what was loaded, and is drawn."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import nbformat
import psycopg
import pytest
import typer
from dbt_runs import run_dbt
from installation import Installation
from nbclient import NotebookClient
from typer.testing import CliRunner
from warehouse_data import contract_rows, fresh_warehouse, outcomes, vehicle, vehicle_hours

from fleet_assets.commands import questions as command
from fleet_assets.errors import FleetError
from fleet_assets.local.databases import with_login
from fleet_assets.question_plot import plotted
from fleet_assets.questions import Question, answer, question, questions
from fleet_assets.warehouse.bi_logins import Limits, grant_login
from fleet_assets.warehouse.ledger import LedgerEntry
from fleet_assets.warehouse.load import LoadedTable, replace_hours
from fleet_assets.warehouse.vehicles import import_vehicles
from partitions.hours import hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "fleet_questions.ipynb"
HOURS = ("2026-01-05T05", "2026-01-06T05", "2026-01-12T05")
NUMBERS = range(1, 13)


@dataclass(frozen=True)
class Marts:
    url: str
    reader: str


def load(url: str, number: int, hour: str) -> None:
    """Each of two vehicles drives 60 miles with a driver and brakes hard once."""
    start = hour_start(hour)
    both = (("T-1", "anna"), ("T-2", "ben"))
    same = {"event_hour": hour, "started_at": start, "ended_at": start + timedelta(minutes=50)}
    told = {name: {"accepted": 100} for name, _ in both}
    frames: dict[LoadedTable, object] = dict(
        outcomes(hour, told | {"(none)": {"reasons": {"invalid_json": 5}}})
    )
    frames["vehicle_hours"] = vehicle_hours(
        *(
            {"event_hour": hour, "vehicle_id": name, "messages": 100, "distance_miles": 60.0,
             "seconds_seen": 3600.0, "engine_seconds": 3600.0, "idle_seconds": 360.0,
             "moving_seconds": 3000.0}
            for name, _ in both
        )
    )  # fmt: skip
    frames["trips"] = contract_rows(
        "trips",
        *(
            same | {"vehicle_id": name, "trip_id": f"{number}{name}".ljust(32, "0"),
                    "trip_kind": "motion", "state": "closed", "driver_id": driver, "samples": 9,
                    "gps_miles": 60.0, "speed_miles": 60.0, "fuel_used_percent": 5.0,
                    "is_private": False}
            for name, driver in both
        ),
    )  # fmt: skip
    frames["anomalies"] = contract_rows(
        "anomalies",
        *(
            same | {"vehicle_id": name, "anomaly_id": f"{number}{name}".ljust(32, "a"),
                    "finding_id": f"{number}{name}".ljust(32, "a"), "trip_id": None,
                    "anomaly_type": "harsh_braking", "condition": "R06", "rule_id": "R06",
                    "severity": "high", "state": "closed", "source": "rule",
                    "severity_history": "[]", "evidence": "{}", "detected_at": start,
                    "confidence": 1.0}
            for name, _ in both
        ),
    )  # fmt: skip
    frames["rule_eligibility"] = contract_rows(
        "rule_eligibility",
        *({"event_hour": hour, "vehicle_id": name, "ineligible": "{}"} for name, _ in both),
    )
    entry = LedgerEntry("warehouse", hour, number, rows=2)
    replace_hours(url, frames, [hour], [entry])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def marts(services: Installation, tmp_path_factory: pytest.TempPathFactory) -> Marts:
    url = fresh_warehouse(services, "questions")
    fleets = {1: "north", 2: "south"}
    known = [vehicle(n, fleet_id=fleet, tank_gallons=100.0) for n, fleet in fleets.items()]
    import_vehicles(url, known, "test.csv")
    for number, hour in enumerate(HOURS, 1):
        load(url, number, hour)
    run_dbt(url, tmp_path_factory.mktemp("dbt"), "run")
    password = grant_login(url, "analyst", ("north",), "test", Limits())
    assert password
    return Marts(url, with_login(url, "analyst", password))


def test_there_are_twelve_with_names_and_plots_of_their_own() -> None:
    known = questions()
    assert [each.number for each in known] == list(NUMBERS)
    assert len({each.title for each in known}) == 12


def test_a_file_without_its_comments_and_a_wrong_number_name_cause_and_cure(tmp_path: Path) -> None:
    (tmp_path / "01-x.sql").write_text("select 1\nfrom x\n")
    with pytest.raises(FleetError, match="the first line has to be a comment"):
        questions(tmp_path)
    with pytest.raises(FleetError, match="lists 1 to 12"):
        question(13)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_answers_within_its_columns_and_is_drawn(marts: Marts, number: int) -> None:
    asked: Question = question(number)
    rows = answer(marts.url, asked)
    plot = asked.plot
    assert {plot.across, plot.up, plot.by or plot.up} <= set(rows.columns)
    if rows.height:
        assert rows[plot.up].dtype.is_numeric()
    assert plotted(asked, rows).get_axes()


def test_answers_are_of_what_was_loaded(marts: Marts) -> None:
    miles = answer(marts.url, question(11))
    assert dict(miles.group_by("fleet_id").agg(miles["miles"].sum() / 2).iter_rows()) == {
        "north": 180.0, "south": 180.0,
    }  # fmt: skip
    assert miles["idle_share"].to_list() == [0.1] * 4
    cost = answer(marts.url, question(1))
    assert sorted(cost["idle_gallons"]) == [0.2, 0.2]  # 3 × 0.1 h at 0.64 gallons an hour
    drivers = answer(marts.url, question(2))
    assert drivers["driver_id"].to_list() == ["anna", "ben"]
    assert drivers["scored_miles"].to_list() == [180.0, 180.0]
    used = answer(marts.url, question(5))
    assert set(used["used_share"]) <= {1.0, None}
    refused = answer(marts.url, question(9))
    assert set(refused.filter(reason="invalid JSON")["share"].round(5)) == {round(5 / 205, 5)}
    types = answer(marts.url, question(4))
    assert types.row(0, named=True)["per_1000_miles"] == round(6 / 360 * 1000, 2)


def test_a_login_of_a_fleet_asks_the_same_of_its_own_fleet(marts: Marts) -> None:
    miles = answer(marts.reader, question(11))
    assert set(miles["fleet_id"]) == {"north"}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        answer(marts.reader, question(9))


def test_the_command_lists_answers_and_draws(
    marts: Marts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", marts.url)
    app, runner = typer.Typer(), CliRunner()
    command.register(app)  # a single command goes without its name
    listed = runner.invoke(app, [])
    assert listed.exit_code == 0
    assert listed.stdout.count("\n") >= 12
    picture = tmp_path / "miles.png"
    told = runner.invoke(app, ["11", "--csv", "--plot", str(picture)])
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[0] == "week_start,fleet_id,miles,engine_hours,idle_share"
    assert picture.stat().st_size > 5000
    assert runner.invoke(app, ["11", "--sql"]).stdout.startswith("with newest as")


def test_the_notebook_answers_all_of_them(
    marts: Marts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    monkeypatch.setenv("FLEET_POSTGRES_URL", marts.url)
    monkeypatch.setenv("FLEET_HOME", str(tmp_path / "none"))
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert sum("image/png" in out.get("data", {}) for out in shown) == 13
