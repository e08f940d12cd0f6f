"""MLflow shows what is known of models; whatever becomes of it, no version is lost."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
import pytest
from installation import Installation
from model_rows import BEGIN, request, verdict, version_of
from warehouse_data import fresh_warehouse

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.local.databases import database_name
from fleet_assets.mlflow_mirror import mirror as mirroring
from fleet_assets.mlflow_mirror.mirror import mirror
from fleet_assets.mlflow_mirror.register import Register
from fleet_assets.mlflow_mirror.store import NAME, mlflow_client
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow
from fleet_assets.model_store import load_model, model_file, save_model, save_plots
from fleet_assets.warehouse.model_registry import (
    Compared,
    change_audit,
    note_decision,
    note_version,
    versions,
)
from tests.model_data import healthy_days
from tests.small_model import small_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
NUMBERS = itertools.count()
CARD = {"recipe": {"seed": 1}, "data": {"from": "2026-10-03", "windows": 17304}, "limits": ["one"]}


@dataclass(frozen=True)
class Place:
    """A warehouse and a lake with two versions."""

    url: str
    lake: str
    ids: tuple[str, ...]

    @property
    def client(self) -> MlflowClient:
        return mlflow_client(self.url)

    def registered(self) -> dict[str, Any]:
        found = self.client.search_model_versions(f"name = '{NAME}'")
        return {each.tags["version_id"]: each for each in found}


@pytest.fixture(scope="module")
def tables(services: Installation) -> str:
    """A database with MLflow's tables: making them takes ten times as long as copying them."""
    url = fresh_warehouse(services, "mirrored")
    mlflow_client(url)
    return url


@pytest.fixture
def place(services: Installation, tables: str, tmp_path: Path) -> Place:
    url = fresh_warehouse(services, f"mirrored_{next(NUMBERS)}")
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            ["mirrored_mlflow"],
        )
        connection.execute(f"create database {database_name(url)}_mlflow template mirrored_mlflow")
    artifacts = Artifacts(str(tmp_path / "a lake"))
    ids = []
    for seed in (1, 2):
        ids.append(save_model(artifacts, small_model(seed), CARD))
        later = BEGIN + timedelta(days=7 * seed)
        note_version(url, version_of(ids[-1], trained_at=later))
    save_plots(artifacts, ids[0], {"reliability": b"a picture"})
    return Place(url, artifacts.lake_url, tuple(ids))


def serve_first(place: Place) -> AuditRow | None:
    return change_audit(place.url, lambda rows: rollout.first(rows, request(), place.ids[0]))


def test_each_training_is_a_run_and_each_version_is_registered(place: Place) -> None:
    done = mirror(place.url, place.lake)
    assert done.failed == {}
    assert (done.added, done.known) == (place.ids, 2)
    client, first = place.client, place.registered()[place.ids[0]]
    run = client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.start_time == (BEGIN + timedelta(days=7)).timestamp() * 1000
    assert run.data.params == {"seed": "1", "alarms_per_vehicle_day": "0.7"}
    assert run.data.metrics["known.recall"] == 0.84
    assert run.data.metrics["counts.windows"] == 17_304
    assert run.data.tags["data_version"] == "dv-1"
    assert run.inputs.dataset_inputs[0].dataset.name == "ts-0123456789ab"
    listed = {file.path for folder in ("", "plots") for file in client.list_artifacts(
        first.run_id, folder)}  # fmt: skip
    assert listed == {"card.json", "card.md", "plots", "plots/reliability.png"}
    assert first.description.startswith(f"{place.ids[0]} for truck, van, on 2026-10-03 to")
    assert "windows: 17,304" in first.description
    assert not [name for name in Artifacts(place.lake).names("mlflow") if name.endswith(".pkl")]


def test_a_model_that_mlflow_loads_judges_as_the_platform_does(place: Place) -> None:
    """Nothing of it is pickled; the signature takes what pandas has."""
    import mlflow

    mirror(place.url, place.lake)
    number = place.registered()[place.ids[0]].version
    mlflow.set_tracking_uri(place.client.tracking_uri)
    mlflow.set_registry_uri(place.client.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}/{number}")
    assert "rpm_mean_60s" in loaded.metadata.get_input_schema().input_names()
    assert "score" in loaded.metadata.get_output_schema().input_names()
    frame = healthy_days("T-2", 1).head(20)
    told = frame.with_columns(pl.col("window_end").dt.replace_time_zone(None)).to_pandas()
    judged = pl.DataFrame(loaded.predict(told).to_dict("list"))
    same = load_model(Artifacts(place.lake), place.ids[0])[0].judged(frame)
    assert judged["vehicle_id"].to_list() == same["vehicle_id"].to_list()
    assert judged["isolation"].to_list() == pytest.approx(same["isolation"].to_list())


def test_once_more_adds_nothing(place: Place) -> None:
    mirror(place.url, place.lake)
    done = mirror(place.url, place.lake)
    assert (done.added, done.known, done.failed) == ((), 2, {})
    assert "2 versions, 0 of them new" in done.in_words


def test_aliases_follow_the_audit_there_and_back(place: Place) -> None:
    old, new = place.ids
    decided = verdict("serve", "truck")
    serve_first(place)
    assert mirror(place.url, place.lake).aliases == {"champion-truck": old}
    about = Compared(new, {"truck": old}, BEGIN, "me@here", set_name="2026Q4")
    note_decision(place.url, decided, about)
    change_audit(
        place.url, lambda rows: rollout.challenge(rows, request(), new, decided.of("truck"))
    )
    aliases = mirror(place.url, place.lake).aliases
    assert aliases == {"champion-truck": old, "challenger-truck": new}
    client = place.client
    assert client.get_model_version_by_alias(NAME, "challenger-truck").tags["version_id"] == new
    assert place.registered()[new].tags["serves"] == "truck: shadow"
    change_audit(place.url, lambda rows: rollout.roll_back(rows, request()))
    mirror(place.url, place.lake)
    assert set(client.get_registered_model(NAME).aliases) == {"champion-truck"}
    assert {v: each.tags["serves"] for v, each in place.registered().items()} == {
        old: "truck", new: "nowhere",
    }  # fmt: skip


def test_an_alias_that_somebody_has_moved_in_mlflow_is_put_right(place: Place) -> None:
    serve_first(place)
    mirror(place.url, place.lake)
    client, number = place.client, place.registered()[place.ids[1]].version
    client.set_registered_model_alias(NAME, "champion-truck", number)
    mirror(place.url, place.lake)
    found = client.get_model_version_by_alias(NAME, "champion-truck")
    assert found.tags["version_id"] == place.ids[0]


def test_a_failing_mlflow_loses_no_version_and_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(url: str) -> None:
        raise FleetError("Database mirrored_mlflow cannot be made")

    with monkeypatch.context() as broken:
        broken.setattr(mirroring, "mlflow_client", fails)
        done = mirror(place.url, place.lake)
    assert done.failed == {"MLflow": "Database mirrored_mlflow cannot be made"}
    assert "`fleet models sync` tries again" in done.in_words
    assert len(versions(place.url)) == 2
    assert mirror(place.url, place.lake).added == place.ids


def test_a_warehouse_that_does_not_answer_is_told_and_not_raised(place: Place) -> None:
    done = mirror("postgresql://nobody@127.0.0.1:1/none", place.lake)
    assert "127.0.0.1:1/none does not answer" in done.failed["MLflow"]


def test_what_was_copied_in_part_is_copied_anew_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("_model", "_finished"):
        whole = getattr(Register, step)

        def fails(*given: Any, whole: Any = whole) -> None:
            whole(*given) if whole.__name__ == "_model" else None
            raise OSError("the disk is gone")

        with monkeypatch.context() as broken:
            broken.setattr(Register, step, fails)
            assert set(mirror(place.url, place.lake).failed) == set(place.ids)
    assert mirror(place.url, place.lake).added == place.ids
    client = place.client
    experiment = client.get_experiment_by_name(NAME)
    assert experiment
    assert len(client.search_runs([experiment.experiment_id])) == 2
    assert len(client.search_logged_models([experiment.experiment_id])) == 2
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 2


def test_a_damaged_model_keeps_no_other_from_being_copied(place: Place) -> None:
    artifacts, (bad, good) = Artifacts(place.lake), place.ids
    artifacts.write(model_file(bad), b"rubbish", overwrite=True)
    done = mirror(place.url, place.lake)
    assert done.added == (good,)
    assert "is damaged" in done.failed[bad]
