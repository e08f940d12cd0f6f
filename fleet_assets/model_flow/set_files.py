"""Training sets as files: tables as Parquet, and the card, which is written last."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.models.training import Copy


@dataclass(frozen=True)
class TrainingSet:
    """A set as trainings read it.

    Attributes:
        healthy: a model frame in order of vehicle and time.
        copies: windows with faults.
        labels: rows of LABEL_SCHEMA of all three sources.
        card: what it is.
    """

    healthy: pl.DataFrame
    copies: Sequence[Copy]
    labels: pl.DataFrame
    card: Mapping[str, Any]

    @property
    def types(self) -> dict[str, str]:
        """Group by vehicle."""
        return dict(self.card["vehicles"])


def write_training_set(
    artifacts: Artifacts, set_id: str, tables: Mapping[str, pl.DataFrame], card: Mapping[str, Any]
) -> None:
    """Writes `healthy`, `copies`, `truths` and `labels`, then the card: a set with one is whole."""
    for name, table in tables.items():
        artifacts.write(f"{folder(set_id)}/{name}.parquet", _parquet(table), overwrite=True)
    artifacts.write(f"{folder(set_id)}/card.json", json.dumps(card).encode(), overwrite=True)


def read_training_set(lake_url: str, set_id: str) -> TrainingSet:
    """A training set.

    Raises:
        FleetError: there is none of this id.
    """
    artifacts = Artifacts(lake_url)
    card = read_card(lake_url, set_id)
    tables = {
        name: pl.read_parquet(io.BytesIO(artifacts.read(f"{folder(set_id)}/{name}.parquet")))
        for name in ("healthy", "copies", "truths", "labels")
    }
    copies, truths = tables["copies"], tables["truths"]
    numbers = sorted({*copies["copy"].unique(), *truths["copy"].unique()})
    return TrainingSet(
        tables["healthy"],
        [
            Copy(copies.filter(copy=number).drop("copy"), truths.filter(copy=number).drop("copy"))
            for number in numbers
        ],
        tables["labels"],
        card,
    )


def read_card(lake_url: str, set_id: str) -> dict[str, Any]:
    """The card of a training set.

    Raises:
        FleetError: there is none of this id.
    """
    artifacts, name = Artifacts(lake_url), f"{folder(set_id)}/card.json"
    if not artifacts.exists(name):
        known = sorted({each.split("/")[1] for each in artifacts.names("training_sets")})
        raise FleetError(
            f"There is no training set {set_id}; there are {', '.join(known) or 'none'}."
        )
    told: dict[str, Any] = json.loads(artifacts.read(name))
    return told


def folder(set_id: str) -> str:
    """Where a set lies among the artifacts."""
    return f"training_sets/{set_id}"


def _parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file, compression="zstd", compression_level=3)
    return file.getvalue()
