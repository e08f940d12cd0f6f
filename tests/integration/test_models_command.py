"""`fleet models`: lists, cards, promotion refused and granted, rollback, history, MLflow's UI."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from installation import Installation
from model_rows import BEGIN, GOOD, verdict, version_of
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse

from fleet_assets.commands.models import models as app
from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.mlflow_mirror.mirror import Mirrored
from fleet_assets.model_choice.audit import Serving, state_of
from fleet_assets.model_choice.decision import Verdict
from fleet_assets.model_choice.pins import serving_at
from fleet_assets.model_flow import choose as choosing
from fleet_assets.model_flow.choose import choose_models
from fleet_assets.model_store import model_file, save_model
from fleet_assets.warehouse.model_registry import (
    Compared,
    note_decision,
    note_version,
    read_audit,
)
from tests.small_model import small_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
NUMBERS = itertools.count()
CARD = {"recipe": {"seed": 1}, "limits": ["Faults are injected."], "importance": {"gear": 0.25}}


@dataclass(frozen=True)
class Fleet:
    """A warehouse and a lake with three versions, the oldest first."""

    url: str
    lake: str
    ids: tuple[str, ...]

    def say(self, *words: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result.output

    def decide(self, of: Verdict, challenger: str, champion: str, *groups: str) -> None:
        where = dict.fromkeys(groups, champion)
        about = Compared(challenger, where, BEGIN, "me@here", set_name="2026Q4")
        note_decision(self.url, verdict(of, *groups), about)

    def serving(self, group: str) -> Serving | None:
        return state_of(read_audit(self.url), group)


@pytest.fixture
def fleet(services: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    url = fresh_warehouse(services, f"models_command_{next(NUMBERS)}")
    artifacts = Artifacts(str(tmp_path / "lake"))
    ids = []
    for seed in (1, 2, 3):
        ids.append(save_model(artifacts, small_model(seed), CARD))
        later = BEGIN + timedelta(days=7 * seed)
        note_version(url, version_of(ids[-1], trained_at=later))
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_LAKE_URL", artifacts.lake_url)
    monkeypatch.setenv("COLUMNS", "250")
    # MLflow has tests of its own, and takes its time
    monkeypatch.setattr("fleet_assets.mlflow_mirror.mirror.mirror", lambda *_: Mirrored())
    return Fleet(url, artifacts.lake_url, tuple(ids))


def test_the_first_model_serves_all_groups_that_it_knows(fleet: Fleet) -> None:
    first = fleet.ids[0]
    told = fleet.say("promote", first[:8], "--why", "the first")
    assert f"Change 1: {first} serves in truck from" in told
    assert f"{first} serves in van from" in told
    assert fleet.serving("truck") == fleet.serving("van") == Serving(first)
    listed = fleet.say("list")
    for part in (*fleet.ids, "truck, van", "recall 0.84, precision 0.95", "rc-"):
        assert part in listed
    by_id = {each["version_id"]: each for each in json.loads(fleet.say("list", "--json"))}
    assert by_id[first]["serves"] == "truck, van"
    assert by_id[fleet.ids[1]]["serves"] is None


def test_without_a_verdict_nothing_is_promoted(fleet: Fleet) -> None:
    first, second, third = fleet.ids
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    told = fleet.say("promote", second, "--why", "newer", "--group", "truck", exit_code=1)
    assert f"was not compared with {first}, which serves truck: `fleet models evaluate" in told
    fleet.decide("serve", second, third, "truck")
    told = fleet.say("promote", second, "--why", "newer", "--group", "truck", exit_code=1)
    assert f"was not compared with {first}" in told, "a verdict about another champion is none"
    assert fleet.serving("truck") == Serving(first)
    assert len(read_audit(fleet.url)) == 1


def test_a_promotion_is_refused_with_reasons_and_is_a_row_all_the_same(fleet: Fleet) -> None:
    first, second, _ = fleet.ids
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    fleet.decide("stay", second, first, "truck")
    told = fleet.say("promote", second, "--why", "newer", "--group", "truck", exit_code=1)
    assert f"refused in truck, {first} goes on to serve" in told
    assert "recall says stay" in told
    assert fleet.serving("truck") == Serving(first)
    shown = fleet.say("show", second)
    assert f"truck: stay against {first} (refresh, evaluation set 2026Q4)" in shown
    assert "recall says stay" in shown
    newest = json.loads(fleet.say("history", "--json"))[0]
    assert (newest["action"], newest["group"]) == ("refuse", "truck")


def test_a_promotion_is_granted_and_rolled_back(fleet: Fleet) -> None:
    first, second, _ = fleet.ids
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    fleet.decide("stay", second, first, "truck")
    fleet.decide("serve", second, first, "truck")
    told = fleet.say("promote", second, "--why", "better", "--group", "truck")
    assert f"{first}, {second} in the shadow in truck from" in told
    assert "recall says serve" in told
    assert fleet.serving("truck") == Serving(first, second, "shadow")
    assert "truck: shadow" in fleet.say("list")
    told = fleet.say("rollback", "--group", "truck", "--why", "too loud")
    assert f"{first} serves in truck from" in told
    assert fleet.serving("truck") == Serving(first)
    told = fleet.say("promote", second, "--why", "again", "--group", "truck", exit_code=1)
    assert "was rolled back in truck: train another version" in told
    told = fleet.say("rollback", "--group", "truck", "--why", "more", exit_code=1)
    assert "No model has served truck before" in told
    shown = fleet.say("history", "--group", "truck")
    for part in ("roll_back", "too loud", "challenge", "first"):
        assert part in shown
    assert "first" not in fleet.say("history", "--group", "van")


def test_groups_are_asked_one_by_one(fleet: Fleet) -> None:
    first, second, _ = fleet.ids
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    told = fleet.say("promote", second, "--why", "for all", exit_code=1)
    assert f"{second} serves in van from" in told
    assert "truck: " in told
    assert (fleet.serving("truck"), fleet.serving("van")) == (Serving(first), Serving(second))


def test_an_earlier_hour_pins_anew_and_says_what_is_to_be_scored(fleet: Fleet) -> None:
    first, at = fleet.ids[0], datetime(2026, 1, 5, 7, tzinfo=UTC)
    told = fleet.say(
        "promote", first, "--group", "van", "--why", "history", "--from", "2026-01-05T07"
    )
    assert "Hours from 2026-01-05 07:00 to" in told
    assert "are scored anew with it" in told
    assert serving_at(read_audit(fleet.url), "van", at) == Serving(first)
    assert serving_at(read_audit(fleet.url), "van", at - timedelta(hours=1)) is None


def test_a_model_that_cannot_be_read_does_not_come_to_serve(fleet: Fleet) -> None:
    first, second, _ = fleet.ids
    artifacts = Artifacts(fleet.lake)
    artifacts.write(model_file(second), b"rubbish", overwrite=True)
    told = fleet.say("promote", second, "--why", "the first", "--group", "van", exit_code=1)
    assert "is damaged: it is not what was saved" in told
    assert fleet.serving("van") is None
    shown = fleet.say("show", second)
    assert "is damaged" in shown
    assert "trained: 2026-11-16 03:00 UTC by me@here" in shown
    assert "Limits" in fleet.say("show", first)


def test_a_champion_that_cannot_be_read_any_more_is_replaced(fleet: Fleet) -> None:
    """Without a comparison, which needs both: else its group would be without a model for good."""
    first, second, third = fleet.ids
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    fleet.decide("serve", second, first, "truck")
    fleet.say("promote", second, "--why", "newer", "--group", "truck")
    Artifacts(fleet.lake).write(model_file(first), b"rubbish", overwrite=True)
    told = fleet.say("promote", third, "--why", "needed", "--group", "truck")
    assert f"{third} serves in truck from" in told
    assert "is damaged" in told
    assert fleet.serving("truck") == Serving(third), "the trial is over, too"
    newest = json.loads(fleet.say("history", "--json"))[0]
    assert newest["action"] == "replace"
    assert newest["why"].startswith("needed; ")
    told = fleet.say("rollback", "--group", "truck", "--why", "back", exit_code=1)
    assert "is damaged" in told
    told = fleet.say("promote", second, "--why", "now this", "--group", "truck", exit_code=1)
    assert "was not compared with" in told, "whoever serves can be read again"


def test_the_daily_choice_replaces_a_champion_that_cannot_be_read(fleet: Fleet) -> None:
    first, second, third = fleet.ids
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    fleet.say("promote", second, "--why", "the first", "--group", "van")
    Artifacts(fleet.lake).write(model_file(first), b"rubbish", overwrite=True)
    choose = partial(choose_models, Lake(fleet.lake), fleet.url, "schedule")
    assert [row.action for row in choose().rows] == ["replace"]
    assert fleet.serving("truck") == Serving(third)
    assert fleet.serving("van") == Serving(second)
    Artifacts(fleet.lake).write(model_file(third), b"rubbish", overwrite=True)
    assert choose().rows == [], "nothing newer would judge"
    assert fleet.serving("truck") == Serving(third)


LOUD = {"hours": 60.0, "false_alarms": 30, "clear_faults": 50, "clear_found": 42}


def test_a_first_model_that_is_not_good_enough_serves_nobody(fleet: Fleet) -> None:
    known = save_model(Artifacts(fleet.lake), small_model(4), CARD)
    figures = {"by_group": {"truck": LOUD, "van": GOOD}}
    at = BEGIN + timedelta(days=70)
    note_version(fleet.url, version_of(known, trained_at=at, figures=figures))
    choose = partial(choose_models, Lake(fleet.lake), fleet.url, "schedule")
    done = choose()
    assert [(row.group, row.action) for row in done.rows] == [("truck", "refuse"), ("van", "first")]
    assert "stays unserved because 0.500 false alarms" in done.told["truck"]
    assert (
        f"first: {known} serves from {done.rows[1].valid_from:%Y-%m-%d %H}:00 UTC on"
        in (done.told["van"])
    )
    assert (fleet.serving("truck"), fleet.serving("van")) == (None, Serving(known))
    again = choose()
    assert again.rows == [], "the refusal stands in the audit once"
    assert "stays unserved" in again.told["truck"]
    told = fleet.say("promote", known, "--why", "all the same", "--group", "truck", exit_code=1)
    assert "refused in truck, no model serves it:" in told
    assert "stays unserved because 0.500 false alarms" in told
    fleet.say("promote", fleet.ids[0], "--why", "a better one", "--group", "truck")
    assert fleet.serving("truck") == Serving(fleet.ids[0])


def test_what_cannot_be_read_costs_its_own_group_only(fleet: Fleet) -> None:
    first, second, third = fleet.ids
    artifacts = Artifacts(fleet.lake)
    suv = save_model(artifacts, small_model(4), CARD)
    note_version(
        fleet.url,
        version_of(suv, groups=("suv",), figures={"by_group": {"suv": GOOD}}),
    )
    artifacts.write(model_file(third), b"rubbish", overwrite=True)
    fleet.say("promote", first, "--why", "the first", "--group", "truck")
    choose = partial(choose_models, Lake(fleet.lake), fleet.url, "schedule")
    done = choose()
    assert [(row.group, row.action) for row in done.rows] == [("suv", "first")]
    assert "is damaged" in done.told["truck"], "it is not compared"
    assert "stays unserved because" in done.told["van"]
    fleet.decide("serve", second, first, "truck")
    fleet.say("promote", second, "--why", "newer", "--group", "truck")
    artifacts.write(model_file(second), b"rubbish", overwrite=True)
    done = choose()
    assert [(row.group, row.action) for row in done.rows] == [("truck", "roll_back")]
    assert "is damaged" in done.rows[0].why
    assert fleet.serving("truck") == Serving(first), "the trial is over"


def test_each_model_is_read_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, third = fleet.ids
    fleet.say("promote", first, "--why", "the first")
    read: list[str] = []
    monkeypatch.setattr(choosing, "unusable", lambda _, version: read.append(version))
    choose_models(Lake(fleet.lake), fleet.url, "schedule")
    assert sorted(read) == sorted({first, third})


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["show", "fm-nothing"], "no model fm-nothing"),
        (["show", "fm-"], "may be any of"),
        (["promote", "fm-", "--why", "x"], "may be any of"),
        (["rollback", "--group", "truck", "--why", " "], "Say why"),
    ],
)
def test_what_is_not_understood_is_said(fleet: Fleet, words: list[str], cause: str) -> None:
    with pytest.raises(FleetError, match=cause):
        fleet.say(*words)


def test_what_cannot_be_promoted_is_said(fleet: Fleet) -> None:
    first = fleet.ids[0]
    told = fleet.say("promote", first, "--why", "x", "--group", "suv", exit_code=1)
    assert "was not trained for suv: it knows truck, van" in told
    with pytest.raises(FleetError, match="'soon' is no hour"):
        fleet.say("promote", first, "--why", "x", "--from", "soon")
    told = fleet.say("promote", first, "--why", "x", "--from", "2026-01-05T07:30", exit_code=1)
    assert "is no whole hour" in told
    told = fleet.say("rollback", "--group", "bus", "--why", "x", exit_code=1)
    assert "No model serves bus yet" in told
    told = fleet.say("rollback", "--group", "all", "--why", "x", exit_code=1)
    assert "No model serves yet: there is nothing to roll back." in told


def test_a_set_that_is_there_is_not_given_another_span(fleet: Fleet) -> None:
    words = ["train", "--training-set", "ts-0123456789ab", "--span-days", "3", "--hours", "5"]
    told = fleet.say(*words, exit_code=2)
    assert "--span-days, --hours: for a new training set only" in " ".join(told.split())


def test_the_pages_of_mlflow_are_there_until_ctrl_c(fleet: Fleet) -> None:
    from fleet_assets.local.ports import free_port

    program = "from fleet_assets.cli import main; main()"
    port = free_port()
    pages = subprocess.Popen(
        [sys.executable, "-c", program, "models", "ui", "--port", str(port)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert pages.stdout
    try:
        assert "MLflow has 3 versions, 3 of them new" in pages.stdout.readline()
        told = pages.stdout.readline()
        assert f"Open http://127.0.0.1:{port}/#/models/fleet-anomalies" in told
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"<title>MLflow</title>" in page.read()
        telemetry = f"http://127.0.0.1:{port}/ajax-api/3.0/mlflow/ui-telemetry"
        with urllib.request.urlopen(telemetry) as answer:
            assert json.load(answer)["disable_ui_telemetry"] is True
        arguments = Path(f"/proc/{pages.pid}/cmdline").read_text()
        assert "postgresql" not in arguments
        pages.send_signal(signal.SIGINT)
        assert pages.wait(20) == 0
        assert "Stopped." in pages.stdout.read()
    finally:
        pages.kill()
