"""Bringing MLflow in line with the warehouse and the lake, as often as one likes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.mlflow_mirror.aliases import follow_audit
from fleet_assets.mlflow_mirror.register import Register, complete
from fleet_assets.mlflow_mirror.store import NAME, experiment_of, mlflow_client
from fleet_assets.warehouse.connection import connect
from fleet_assets.warehouse.model_audit import read_audit
from fleet_assets.warehouse.model_versions import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK: Final = 0x_F1EE7_0002  # pg_advisory_xact_lock of the warehouse: one copies at a time
_WAITS: Final = "60s"
"""For another that copies; then the next change, or `fleet models sync`, tries again."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mirrored:
    """What was done.

    Attributes:
        added: version ids that MLflow did not have.
        known: how many it has now.
        aliases: with their version ids.
        failed: by version id, or `MLflow` for all of it, why.
    """

    added: tuple[str, ...] = ()
    known: int = 0
    aliases: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """One line for logs and people."""
        told = f"MLflow has {self.known} versions, {len(self.added)} of them new"
        wrong = "; ".join(f"{name}: {why}" for name, why in self.failed.items())
        return f"{told}; not copied: {wrong}; `fleet models sync` tries again" if wrong else told


def mirror(postgres_url: str, lake_url: str) -> Mirrored:
    """Copies to MLflow what it lacks: versions, who serves. Cheap if there is nothing to do.

    Nothing depends on it, so what goes wrong is logged and returned, never raised; the next call
    tries again.
    """
    try:
        with connect(postgres_url) as alone:
            alone.execute("select set_config('lock_timeout', %s, true)", [_WAITS])
            alone.execute("select pg_advisory_xact_lock(%s)", [LOCK])
            done = _mirror(postgres_url, lake_url)
    except Exception as error:
        done = Mirrored(failed={"MLflow": _words(error)})
    if done.failed:
        _LOG.warning("%s", done.in_words)
    return done


def _mirror(postgres_url: str, lake_url: str) -> Mirrored:
    client = mlflow_client(postgres_url)
    register = Register(client, experiment_of(client, lake_url), Artifacts(lake_url))
    _ensure_name(client)
    known = complete(client, register.experiment_id)
    added, failed = [], {}
    for version in reversed(versions(postgres_url)):
        if version.version_id in known:
            continue
        try:
            register.add(version)
            added.append(version.version_id)
        except Exception as error:
            failed[version.version_id] = _words(error)
    if added:
        known = complete(client, register.experiment_id)
    aliases = follow_audit(client, known, read_audit(postgres_url))
    return Mirrored(tuple(added), len(known), aliases, failed)


def _ensure_name(client: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(NAME)
    except MlflowException:
        client.create_registered_model(
            NAME, description="Models of the fleet. `fleet models list` is the truth."
        )


def _words(error: Exception) -> str:
    if isinstance(error, FleetError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
