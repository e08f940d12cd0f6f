"""From telemetry to a model that serves: trainings, comparisons, trials, daily vehicles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest
import typer
from dagster._serdes import serialize_value
from installation import Installation
from model_rows import GOOD
from simulated_lake import START, simulated_lake
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse, query, vehicle

from fleet_assets.assets import models as model_assets
from fleet_assets.assets import training as training_assets
from fleet_assets.assets.models import build_feature_drift, build_model_choice, build_vehicle_models
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.training import CHECK, MODEL, SET, STEP, build_training
from fleet_assets.commands import model_training, models
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span
from fleet_assets.local.failing_checks import failing_verdicts
from fleet_assets.mlflow_mirror.mirror import Mirrored
from fleet_assets.model_choice.audit import Serving, state_of
from fleet_assets.model_choice.decision import decide
from fleet_assets.model_choice.evaluation_sets import evaluation_set
from fleet_assets.model_choice.first import FirstVerdict
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_flow import candidates, evaluate, trials
from fleet_assets.model_flow.choose import choose_models
from fleet_assets.model_flow.evaluate import compared, evaluate_challenger
from fleet_assets.model_flow.evaluation_data import NothingToCompareError
from fleet_assets.model_flow.incidents import NOTHING, feedback_of
from fleet_assets.model_flow.releases import indexes
from fleet_assets.model_flow.serving import model_for
from fleet_assets.model_flow.train import train_model
from fleet_assets.model_flow.training_sets import SetSettings, make_training_set
from fleet_assets.model_flow.vehicle_models import refresh_vehicles
from fleet_assets.model_flow.wanted import training_wanted
from fleet_assets.model_store import load_model, save_model
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.models.training import Recipe
from fleet_assets.settings import Settings
from fleet_assets.warehouse.model_registry import (
    ModelVersion,
    decisions,
    note_version,
    read_audit,
    uses,
    version,
    versions,
)
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
VEHICLES, DAYS = 5, 5
NOW = START + timedelta(days=4, hours=12)
SETTINGS = SetSettings(
    last_day=date(2026, 3, 4),
    hours=20,
    hours_of_vehicle=(4, 6),
    faulty_hours=60,
    passes=(3, 2),
    virtual_each=1,
)
SETS = policy().evaluation_sets.model_copy(update={"least_days": 3})
RECIPE = Recipe(folds=2, least_windows=200)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("training") / "lake"))
    simulated_lake(lake, VEHICLES, DAYS, hours_of_day=(12, 19), interval_ms=2000)
    return lake


@pytest.fixture(scope="module")
def ids(lake: Lake) -> list[str]:
    rows = lake.open("vehicle_hours").read(columns=["vehicle_id"])
    return rows["vehicle_id"].unique().sort().to_list()


def warehouse(services: Installation, name: str, ids: list[str]) -> str:
    url = fresh_warehouse(services, re.sub(r"\W+", "_", name[:60].lower()))
    rows = [vehicle(number, id=who, vehicle_type="truck") for number, who in enumerate(ids)]
    import_vehicles(url, rows, "test")
    return url


@pytest.fixture
def url(services: Installation, request: pytest.FixtureRequest, ids: list[str]) -> str:
    return warehouse(services, request.node.name, ids)


@pytest.fixture(scope="module")
def made(services: Installation, lake: Lake, ids: list[str]) -> ModelVersion:
    """A model, as it was noted in a warehouse of its own."""
    url = warehouse(services, "training_first", ids)
    return version(url, train(lake, url))


@pytest.fixture
def trained(url: str, made: ModelVersion) -> str:
    """The same model in the test's warehouse, with figures of a better one."""
    note_version(url, replace(made, figures={"by_group": {"truck": GOOD}}))
    return made.version_id


def train(lake: Lake, url: str) -> str:
    feedback = feedback_of(url)
    types = dict.fromkeys(query_ids(url), "truck")
    set_id = make_training_set(lake, types, feedback, SETTINGS)
    return train_model(lake, url, set_id, feedback, "test", RECIPE).version_id


def query_ids(url: str) -> list[str]:
    return [str(row[0]) for row in query(url, "select id from warehouse.vehicles order by id")]


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts of few vehicles and days, so that a small fleet tells them."""
    numbers = policy().comparison.model_copy(
        update={"least_vehicles": 2, "least_events": 5, "least_hours": 2.0, "resamples": 300}
    )
    monkeypatch.setattr(evaluate, "decide", partial(decide, numbers=numbers))
    monkeypatch.setattr(evaluate, "evaluation_set", partial(evaluation_set, numbers=SETS))
    on_trial = numbers.for_looks(3)
    monkeypatch.setattr(trials, "decide", lambda paired, kind, _: decide(paired, kind, on_trial))


def again(lake: Lake, url: str, model_id: str, change: Mapping[str, Any], at: datetime) -> str:
    """Another version of a model, with parts of it changed."""
    model, card = load_model(Artifacts(lake.url), model_id)
    other = replace(model, **change)
    new = save_model(Artifacts(lake.url), other, card | {"remark": str(change.keys()) + str(at)})
    note_version(url, replace(version(url, model_id), version_id=new, trained_at=at))
    return new


def deaf(model: FleetModel) -> dict[str, Any]:
    """Hears nothing."""
    return {"own": replace(model.own, threshold=99.0), "strange": None}


def test_a_training_is_a_version_with_card_figures_and_plots(
    lake: Lake, url: str, made: ModelVersion
) -> None:
    trained = train(lake, url)
    assert trained == made.version_id  # the same set and recipe: the same file
    (noted,) = versions(url)
    assert noted.version_id == trained
    assert noted.groups == ("truck",)
    assert noted.counts["vehicles"] == VEHICLES
    assert noted.figures["held_out_days"]["faults"] > 0
    whole, (of_truck,) = noted.figures["held_out_days"], noted.figures["by_group"].values()
    assert of_truck["hours"] == pytest.approx(whole["hours"], abs=0.05)
    assert of_truck["clear_faults"] == whole["clear_faults"]
    found, alarms = of_truck["clear_found"], of_truck["false_alarms"]
    assert found / of_truck["clear_faults"] == pytest.approx(whole["clear_recall"], rel=1e-4)
    assert alarms / of_truck["hours"] == pytest.approx(whole["false_alarms_per_hour"], rel=1e-4)
    assert noted.figures["of"] == "vehicles that it was trained on"
    names = Artifacts(lake.url).names(f"models/{trained}/plots")
    assert [name.rpartition("/")[2] for name in names] == [
        "faults_found.png", "importance.png", "precision_recall.png", "reliability.png",
        "scores.png",
    ]  # fmt: skip
    _, card = load_model(Artifacts(lake.url), trained)
    assert card["training_set"] == noted.training_set


def test_the_first_serves_a_worse_one_is_refused_an_equal_one_is_tried_and_serves(
    lake: Lake, url: str, trained: str, lenient: None
) -> None:
    first = choose_models(lake, url, "test", now=NOW)
    assert [row.action for row in first.rows] == ["first"]
    assert "nothing newer" in choose_models(lake, url, "test", now=NOW).told["truck"]

    model, _ = load_model(Artifacts(lake.url), trained)
    later = datetime.now(UTC) + timedelta(hours=1)
    worse = again(lake, url, trained, deaf(model), later)
    refused = choose_models(lake, url, "test", now=NOW)
    assert [row.action for row in refused.rows] == ["refuse"], refused.told
    assert state_of(read_audit(url), "truck") == Serving(trained)
    (noted,) = decisions(url, worse)
    assert noted.of.verdict == "stay"
    assert noted.kind == "refresh"
    assert worse in refused.rows[0].why
    assert [use.challenger for use in uses(url)] == [worse]
    assert choose_models(lake, url, "test", now=NOW).rows == []  # it is not compared again

    equal = again(lake, url, trained, {}, later + timedelta(hours=1))
    tried = choose_models(lake, url, "test", now=NOW)
    assert [row.action for row in tried.rows] == ["challenge"], tried.told
    assert state_of(read_audit(url), "truck") == Serving(trained, equal, "shadow")
    early = choose_models(lake, url, "test", now=NOW + timedelta(days=1))
    assert early.rows == []
    assert "no day is over yet" in early.told["truck"]


def test_trials_are_looked_at_on_the_days_since(
    lake: Lake, url: str, trained: str, lenient: None
) -> None:
    at = START + timedelta(hours=1)
    choose_models(lake, url, "test", now=at)
    equal = again(lake, url, trained, {}, datetime.now(UTC) + timedelta(hours=1))
    (row,) = choose_models(lake, url, "test", now=START + timedelta(days=3)).rows
    assert row.action == "challenge"
    steps = []
    for days in (5, 11, 12):
        done = choose_models(lake, url, "test", now=START + timedelta(days=days))
        steps.append([row.action for row in done.rows])
    assert steps == [[], ["to_part"], []]
    assert "no day is over yet" in done.told["truck"]  # since its stage has begun
    state = state_of(read_audit(url), "truck")
    assert state is not None
    assert (state.champion, state.challenger, state.stage) == (trained, equal, "part")
    assert {each.trial_stage for each in decisions(url, equal)} == {None, "shadow"}


def test_the_shell_compares_and_says_why(
    lake: Lake, url: str, trained: str, lenient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_models(lake, url, "test", now=NOW)
    worse = again(lake, url, trained, deaf(load_model(Artifacts(lake.url), trained)[0]), NOW)
    first_set = evaluation_set(NOW.date(), START.date(), SETS)
    monkeypatch.setattr(evaluate, "evaluation_set", lambda *_: first_set)
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    app = typer.Typer()
    models.register(app)
    model_training.register(app)
    shown = CliRunner().invoke(app, ["models", "evaluate", worse])
    assert shown.exit_code == 0, shown.output
    assert f"truck: stay against {trained}" in shown.output
    assert "1 refreshes were compared" in shown.output or "0 refreshes" in shown.output
    assert state_of(read_audit(url), "truck") == Serving(trained)


def test_too_early_to_compare_says_how_much_there_is(lake: Lake, url: str, trained: str) -> None:
    with pytest.raises(NothingToCompareError, match="no other model serves truck"):
        evaluate_challenger(lake, url, trained, "test", now=NOW)
    choose_models(lake, url, "test", now=NOW)
    newer = again(lake, url, trained, {}, datetime.now(UTC) + timedelta(hours=1))
    told = choose_models(lake, url, "test", now=NOW).told["truck"]
    assert "takes 28 days of data" in told
    assert "there are 4" in told
    assert newer not in str(read_audit(url))


def test_pairs_are_of_days_that_no_training_sees(lake: Lake, url: str, trained: str) -> None:
    span = Span(START.date(), START.date() + timedelta(days=4))
    paired = compared(lake, url, trained, {"truck": trained}, span, "try").paired
    assert paired["champion_found"].equals(paired["challenger_found"])
    assert paired["champion_alarms"].equals(paired["challenger_alarms"])
    assert paired["events"].sum() >= paired["champion_found"].sum() > 0
    again = compared(lake, url, trained, {"truck": trained}, span, "try")
    assert paired.equals(again.paired)


def test_a_champion_that_cannot_be_read_leaves_out_its_groups(
    lake: Lake, url: str, trained: str
) -> None:
    span = Span(START.date(), START.date() + timedelta(days=4))
    with pytest.raises(NothingToCompareError, match=r"fm-gone\.zip is missing"):
        compared(lake, url, trained, {"truck": "fm-gone"}, span, "try")


def test_days_within_incidents_leave_nothing_to_compare(
    lake: Lake, url: str, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = Span(START.date(), START.date() + timedelta(days=4))
    all_along = [(who, START, START + timedelta(days=9)) for who in query_ids(url)]
    incidents = pl.DataFrame(all_along, schema=NOTHING.incidents.schema, orient="row")
    known = replace(NOTHING, incidents=incidents)
    monkeypatch.setattr(evaluate, "known_of", lambda *_: known)
    with pytest.raises(NothingToCompareError, match="incidents cover all of their windows"):
        compared(lake, url, trained, {"truck": trained}, span, "try")


def test_vehicles_are_released_once_a_day_and_serve_from_the_next_on(
    lake: Lake, url: str, trained: str
) -> None:
    artifacts, day = Artifacts(lake.url), date(2026, 3, 5)
    model, _ = load_model(artifacts, trained)
    types, known = dict.fromkeys(query_ids(url), "truck"), NOTHING
    stranger = next(iter(types))
    fewer = {who: of for who, of in model.vehicles.items() if who != stranger}
    other = again(lake, url, trained, {"vehicles": fewer}, datetime.now(UTC))
    at = datetime(2026, 3, 6, 3, tzinfo=UTC)
    done = refresh_vehicles(lake, other, day, types, known, now=at)
    assert done.index is not None
    assert done.index.vehicles[stranger].what == "settled"
    assert set(done.counts) <= {"settled", "fitted", "recalibrated", "kept"}
    assert sum(done.counts.values()) == VEHICLES
    assert done.index.serves_from == date(2026, 3, 7)
    assert stranger not in model_for(artifacts, other, date(2026, 3, 6)).vehicles
    served = model_for(artifacts, other, date(2026, 3, 7))
    assert stranger in served.vehicles
    assert stranger in served.settlings
    assert stranger not in model_for(artifacts, other, date(2026, 3, 7), {"nobody"}).vehicles

    rerun = refresh_vehicles(lake, other, day, types, known, now=at + timedelta(days=9))
    assert rerun.is_old
    assert indexes(artifacts, other) == [done.index]
    refresh_vehicles(lake, other, date(2026, 3, 6), types, known, now=at)
    kept = refresh_vehicles(lake, other, date(2026, 3, 7), types, known, now=at)
    assert kept.index is None
    assert kept.counts == {"kept": VEHICLES}
    repinned = refresh_vehicles(lake, other, day, types, known, repin=date(2026, 3, 5), now=at)
    assert repinned.index is not None
    assert repinned.index.name.endswith("2026-03-05.2.json")
    assert repinned.index.vehicles == done.index.vehicles
    assert stranger in model_for(artifacts, other, date(2026, 3, 5)).vehicles


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, lake: Lake, url: str, tmp_path: Path) -> Platform:
    monkeypatch.setenv("FLEET_HOME", str(tmp_path))
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    return Platform()


def config(**more: Any) -> dict[str, Any]:
    small = {"last_day": "2026-03-04", "hours": 20.0, "faulty_hours": 60.0, "virtual_each": 0}
    small |= {"made_by": "test"}
    return {"ops": {STEP: {"config": small | more}}}


def check_of(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    assert found.check_name == CHECK
    return found


def test_a_training_failure_is_survived(
    lake: Lake, url: str, trained: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_models(lake, url, "test", now=NOW)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the forest burns")

    monkeypatch.setattr(training_assets, "train_model", broken)
    resources = {"platform": platform}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [build_training()], instance=instance, resources=resources, run_config=config(),
            raise_on_error=False,
        )  # fmt: skip
        assert not result.success
        found = check_of(result)
        assert not found.passed
        assert found.severity is dg.AssetCheckSeverity.ERROR
        assert "the forest burns" in str(found.metadata["why"].value)
        assert found.metadata["serving truck"].value == f"{trained} goes on"
        assert instance.get_latest_materialization_event(dg.AssetKey(SET)) is not None
        assert instance.get_latest_materialization_event(dg.AssetKey(MODEL)) is None
    row = read_audit(url)[-1]
    assert (row.action, row.after) == ("training_failed", Serving(trained))
    assert "the forest burns" in row.why
    assert "drift counts from" in training_wanted(lake, url).reason


def test_a_drift_report_that_fails_holds_up_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(model_assets, "drift_reports", broken)
    result = dg.materialize(
        [build_feature_drift(), build_vehicle_models()], resources={"platform": platform}
    )
    assert result.success
    found = check_of_name(result, "drift")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "the disk is gone" in str(found.metadata["why"].value)
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert dg.AssetKey("vehicle_models") in made


def test_a_mistyped_set_is_no_failed_training(url: str, trained: str, platform: Platform) -> None:
    result = dg.materialize(
        [build_training()], resources={"platform": platform},
        run_config=config(training_set="ts-mistyped"), raise_on_error=False,
    )  # fmt: skip
    assert not result.success
    assert "no training set ts-mistyped" in str(check_of(result).metadata["why"].value)
    assert read_audit(url) == []


def test_too_little_data_warns(url: str, platform: Platform, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "empty"))
    result = dg.materialize(
        [build_training()], resources={"platform": platform}, run_config=config()
    )
    found = check_of(result)
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no data yet" in str(found.metadata["why"].value)
    assert read_audit(url) == []
    assert not training_wanted(Lake(str(tmp_path / "empty")), url).is_wanted


def test_warnings_are_no_failures(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet with too little data for a training, or with drift, is well."""
    key = dg.AssetKey(MODEL)
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table asset_check_executions (id bigint generated always as identity,"
            " asset_key text, check_name text, partition text, execution_status text,"
            " evaluation_event text)"
        )
        for name, severity in (("warned", "WARN"), ("failed", "ERROR")):
            event = dg.AssetCheckEvaluation(
                asset_key=key, check_name=name, passed=False, metadata={},
                severity=dg.AssetCheckSeverity[severity],
            )  # fmt: skip
            connection.execute(
                "insert into asset_check_executions (asset_key, check_name, execution_status,"
                " evaluation_event) values (%s, %s, 'FAILED', %s)",
                [key.to_string(), name, serialize_value(event)],
            )
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    assert failing_verdicts(url, Settings(_env_file=None)) == [f"check {MODEL}:failed"]  # type: ignore[call-arg]


def test_assets_of_a_whole_round(
    lake: Lake, url: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (training_assets, model_assets):  # MLflow's own tests are elsewhere
        monkeypatch.setattr(module, "mirror", lambda *_: Mirrored(known=1))
    good = FirstVerdict(may_serve=True, reason="it is good")  # of so few hours it is too loud
    monkeypatch.setattr(candidates, "first_verdict", lambda *_: good)
    assert training_wanted(lake, url).is_wanted
    assets = [build_training(), build_vehicle_models(), build_model_choice(), build_feature_drift()]
    result = dg.materialize(assets, resources={"platform": platform}, run_config=config())
    assert result.success
    assert check_of_name(result, CHECK).passed
    told = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert list(told) == [SET, MODEL, "feature_drift", "vehicle_models", "model_choice"]
    assert "No model serves yet" in str(told["feature_drift"]["not tested"].value)
    for plot in ("scores", "precision recall", "reliability", "importance", "faults found"):
        assert str(told[MODEL][plot].value).startswith(f"![{plot.replace(' ', '_')}](data:image")
    state = state_of(read_audit(url), "truck")
    assert state is not None
    (row,) = read_audit(url)
    told_of_choice = str(told["model_choice"]["groups"].value)
    assert f"first: {state.champion} serves from {row.valid_from:%Y-%m-%d %H}:00" in told_of_choice


def check_of_name(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(e for e in result.get_asset_check_evaluations() if e.check_name == name)
