"""MLflow's own pages, for whoever sits at this machine."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING

from fleet_assets.errors import FleetError
from fleet_assets.local.ports import LOOPBACK
from fleet_assets.mlflow_mirror.store import NAME, QUIET, artifact_root, mlflow_url

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer


def pages_at(port: int) -> str:
    """Where to look first: trained models, not the tools for language models."""
    return f"http://{LOOPBACK}:{port}/#/models/{NAME}?workflowType=machine_learning"


def ui_server(postgres_url: str, lake_url: str, port: int) -> BaseWSGIServer:
    """Serves the pages on the loopback, in this process, once `serve_forever` is called.

    MLflow's own command adds an assistant that runs commands on the host, a gateway and job
    queues; this is its application for experiments and models alone. Addresses and passwords are
    on no command line.

    Raises:
        FleetError: the port is taken.
    """
    os.environ.update(QUIET)
    warnings.filterwarnings("ignore", module=r"mlflow\.")  # of what its releases deprecate
    from mlflow import server
    from mlflow.server import constants
    from werkzeug.serving import make_server

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = mlflow_url(postgres_url)
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = artifact_root(lake_url)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # requests are not told
    try:
        return make_server(LOOPBACK, port, server.app, threaded=True)
    except (OSError, SystemExit) as error:
        raise FleetError(
            f"Port {port} cannot be used ({error}): give --port another one."
        ) from None
