"""MLflow's database beside the warehouse, and its place among the lake's artifacts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.local.databases import database_name, ensure_database, with_database
from fleet_assets.warehouse.connection import plain_url

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME: Final = "fleet-anomalies"
"""Of the experiment, and of the registered model."""
FOLDER: Final = "mlflow"
QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
"""MLflow reports to nobody and starts nothing that is not asked for."""


def mlflow_url(postgres_url: str) -> str:
    """Address of MLflow's database, on the warehouse's server, as MLflow reads it.

    Raises:
        FleetError: the warehouse's address names no database.
    """
    plain = plain_url(postgres_url)
    beside = with_database(plain, f"{database_name(plain)}_mlflow")
    return beside.replace("://", "+psycopg://", 1)


def artifact_root(lake_url: str) -> str:
    """Address of the folder that MLflow's own artifacts lie in."""
    root = Artifacts(lake_url).uri(FOLDER)
    return root if "://" in root else f"file://{root}"


def mlflow_client(postgres_url: str) -> MlflowClient:
    """MLflow on its database, which is made if it is missing.

    Raises:
        FleetError: the database cannot be made.
    """
    os.environ.update(QUIET)  # MLflow looks at them when it is imported
    from mlflow import MlflowClient

    url = mlflow_url(postgres_url)
    ensure_database(plain_url(url))
    return MlflowClient(tracking_uri=url, registry_uri=url)


def experiment_of(client: MlflowClient, lake_url: str) -> str:
    """Id of the experiment that trainings are runs of; made if it is missing.

    Raises:
        FleetError: it keeps its artifacts in another lake.
    """
    root = artifact_root(lake_url)
    found = client.get_experiment_by_name(NAME)
    if found is None:
        kind = {"mlflow.experimentKind": "custom_model_development"}  # not of language models
        return str(client.create_experiment(NAME, artifact_location=root, tags=kind))
    if found.artifact_location != root:
        raise FleetError(
            f"MLflow keeps its files at {found.artifact_location}, the lake is at {lake_url} now:"
            " drop MLflow's database, `fleet models sync` makes it anew."
        )
    return str(found.experiment_id)
