"""One version into MLflow: its training as a run, the model with its signature, a version of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.mlflow_mirror.model_folder import model_folder
from fleet_assets.mlflow_mirror.store import NAME, artifact_root
from fleet_assets.model_store import model_file, plots_of, read_card
from fleet_assets.models.card_text import card_text, numbers_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as Registered

    from fleet_assets.warehouse.model_versions import ModelVersion

ID: Final = "version_id"
"""Tag that says which version something is about."""
_LONGEST: Final = 4_500
"""Characters of a text that a tag takes."""


@dataclass(frozen=True)
class Register:
    """Where versions are copied to.

    Attributes:
        client: of MLflow.
        experiment_id: whose runs trainings are.
        artifacts: of the lake, MLflow's own among them.
    """

    client: MlflowClient
    experiment_id: str
    artifacts: Artifacts

    def add(self, version: ModelVersion) -> None:
        """Copies a version; what an earlier attempt has left of it goes first.

        Raises:
            FleetError: its file is missing or damaged.
        """
        card, problem = read_card(self.artifacts, version.version_id)
        if problem is not None:
            raise FleetError(problem)
        self._remove_remains(version.version_id)
        run_id = self._run(version, card)
        model_id, uri = self._model(version, card, run_id)
        self.client.create_model_version(
            NAME, source=uri, run_id=run_id, model_id=model_id, tags=_tags(version),
            description=_told(version, card),
        )  # fmt: skip
        self._finished(run_id, version)

    def _run(self, version: ModelVersion, card: Mapping[str, Any]) -> str:
        from mlflow.entities import Param

        told = {"mlflow.note.content": _told(version, card), "mlflow.user": version.trained_by}
        run = self.client.create_run(
            self.experiment_id, start_time=_milliseconds(version.trained_at),
            run_name=version.version_id, tags=_tags(version) | told,
        )  # fmt: skip
        run_id = str(run.info.run_id)
        recipe = [Param(name, str(value)) for name, value in version.recipe.items()]
        self.client.log_batch(run_id, params=recipe)
        self._note_data(run_id, version)
        place = str(run.info.artifact_uri)
        self._put(place, "card.json", json.dumps(card, indent=2, default=str).encode())
        self._put(place, "card.md", card_text(card).encode())
        for name, png in plots_of(self.artifacts, version.version_id).items():
            self._put(place, f"plots/{name}.png", png)
        return run_id

    def _finished(self, run_id: str, version: ModelVersion) -> None:
        """What says that the copy is whole; nothing comes after it."""
        self.client.set_terminated(run_id, "FINISHED", end_time=_milliseconds(version.trained_at))

    def _note_data(self, run_id: str, version: ModelVersion) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = self.artifacts.uri(f"training_sets/{version.training_set}")
        span = {"from": version.first_event_time, "to": version.last_event_time}
        profile = span | dict(version.counts)
        data = Dataset(
            name=version.training_set, digest=version.data_version[:36], source_type="local",
            source=json.dumps({"uri": source}), profile=json.dumps(profile, default=str),
        )  # fmt: skip
        used = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(run_id, [used])

    def _model(
        self, version: ModelVersion, card: Mapping[str, Any], run_id: str
    ) -> tuple[str, str]:
        """The model as MLflow knows models; its id and where it lies."""
        from mlflow.entities import LoggedModelOutput, Metric

        model = self.client.create_logged_model(
            self.experiment_id, name=version.version_id, source_run_id=run_id, model_type="anomaly",
            tags=_tags(version), params={name: str(v) for name, v in version.recipe.items()},
        )  # fmt: skip
        data = self.artifacts.read(model_file(version.version_id))
        for name, part in model_folder(data).items():
            self._put(model.artifact_location, name, part)
        self.client.finalize_logged_model(model.model_id, "READY")
        when = _milliseconds(version.trained_at)
        self.client.log_batch(
            run_id,
            metrics=[
                Metric(name, value, when, 0, model_id=model.model_id, run_id=run_id)
                for name, value in _figures(version)
            ],
        )
        self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return str(model.model_id), str(model.artifact_location)

    def _put(self, place: str, name: str, data: bytes) -> None:
        """Writes among MLflow's artifacts, by the lake's own means: any store that it knows."""
        root = artifact_root(self.artifacts.lake_url)
        if not place.startswith(f"{root}/"):
            raise FleetError(f"MLflow wants to keep files at {place}, not below {root}.")
        self.artifacts.write(f"mlflow/{place.removeprefix(f'{root}/')}/{name}", data)

    def _remove_remains(self, version_id: str) -> None:
        chosen = f"tags.{ID} = '{version_id}'"
        for run in self.client.search_runs([self.experiment_id], chosen):
            self.client.delete_run(run.info.run_id)
        for model in self.client.search_logged_models([self.experiment_id], chosen):
            self.client.delete_logged_model(model.model_id)
        for known in registered(self.client):
            if known.tags.get(ID) == version_id:
                self.client.delete_model_version(NAME, known.version)


def complete(client: MlflowClient, experiment_id: str) -> dict[str, Registered]:
    """Version id → what is registered of it, of versions that were copied whole."""
    finished = {
        run.info.run_id
        for run in client.search_runs(
            [experiment_id], "attributes.status = 'FINISHED'", max_results=50_000
        )
    }
    return {each.tags[ID]: each for each in registered(client) if each.run_id in finished}


def registered(client: MlflowClient) -> list[Registered]:
    """All that is registered, whole or not."""
    found: list[Registered] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{NAME}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _tags(version: ModelVersion) -> dict[str, str]:
    return {
        ID: version.version_id,
        "recipe_id": version.recipe_id,
        "training_set": version.training_set,
        "data_version": version.data_version,
        "groups": ", ".join(version.groups),
    }


def _figures(version: ModelVersion) -> list[tuple[str, float]]:
    return [*numbers_of(version.figures), *numbers_of(version.counts, "counts.")]


def _told(version: ModelVersion, card: Mapping[str, Any]) -> str:
    """The card, below a line that says what it is about: lists show nothing but that."""
    span = f"{version.first_event_time:%Y-%m-%d} to {version.last_event_time:%Y-%m-%d}"
    text = f"{version.version_id} for {', '.join(version.groups)}, on {span}\n\n{card_text(card)}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n…"


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
