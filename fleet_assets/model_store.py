"""Models as files of the lake: saved under the hash of what they are, read without pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Final

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.models.artifact import card_of, from_bytes, to_bytes
from fleet_assets.models.fleet_model import FleetModel

_ID_LENGTH: Final = 12
_KEPT: Final = 4
"""Models in memory: champion and challenger of two recipes; each takes some 100 MB."""


def model_file(version_id: str) -> str:
    """Name of a model's artifact."""
    return f"models/{version_id}.zip"


def save_model(artifacts: Artifacts, model: FleetModel, card: Mapping[str, Any]) -> str:
    """Saves a model with its card.

    Args:
        artifacts: of the lake.
        model: what was trained.
        card: what is told of it (`models.card.model_card`).

    Returns:
        Its version id; the same file has the same one.
    """
    data = to_bytes(model, card)
    version_id = f"fm-{hashlib.sha256(data).hexdigest()[:_ID_LENGTH]}"
    artifacts.write(model_file(version_id), data)
    return version_id


def load_model(artifacts: Artifacts, version_id: str) -> tuple[FleetModel, dict[str, Any]]:
    """A model and its card; those that were read last stay in memory.

    Raises:
        FleetError: its file is missing, is not what was saved, or cannot be used by this release.
    """
    model, card = _loaded(artifacts.lake_url, version_id)
    return model, dict(card)


@lru_cache(maxsize=_KEPT)
def _loaded(lake_url: str, version_id: str) -> tuple[FleetModel, dict[str, Any]]:
    return read_model(Artifacts(lake_url), version_id)


def read_model(artifacts: Artifacts, version_id: str) -> tuple[FleetModel, dict[str, Any]]:
    """As `load_model`, from the file itself: tells what has become of it since."""
    data = _saved(artifacts, version_id)
    try:
        return from_bytes(data, FleetModel)
    except FleetError as error:
        raise FleetError(f"{version_id} cannot be used: {error}") from None


def read_card(artifacts: Artifacts, version_id: str) -> tuple[dict[str, Any], str | None]:
    """What is told of a model, and why it cannot be used, if so; its forests are not read."""
    try:
        card, problem = card_of(_saved(artifacts, version_id))
    except FleetError as error:
        return {}, str(error)
    return card, None if problem is None else f"{version_id} cannot be used: {problem}"


def _saved(artifacts: Artifacts, version_id: str) -> bytes:
    data = artifacts.read(model_file(version_id))
    if not version_id.endswith(hashlib.sha256(data).hexdigest()[:_ID_LENGTH]):
        raise FleetError(
            f"{artifacts.uri(model_file(version_id))} is damaged: it is not what was saved. Restore"
            " it from a backup of the lake, or roll the model back."
        )
    return data


def save_plots(artifacts: Artifacts, version_id: str, plots: Mapping[str, bytes]) -> None:
    """Keeps what a training has plotted.

    Args:
        artifacts: of the lake.
        version_id: of the model.
        plots: PNG by name, such as `reliability`.
    """
    for name, png in plots.items():
        artifacts.write(f"{_plots(version_id)}/{name}.png", png, overwrite=True)


def plots_of(artifacts: Artifacts, version_id: str) -> dict[str, bytes]:
    """PNG by name; empty if nothing was plotted."""
    found = artifacts.names(_plots(version_id))
    return {PurePosixPath(name).stem: artifacts.read(name) for name in found}


def _plots(version_id: str) -> str:
    return f"models/{version_id}/plots"
