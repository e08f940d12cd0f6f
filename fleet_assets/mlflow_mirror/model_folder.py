"""A model as MLflow knows models: its file, its signature, and who reads it. Nothing is pickled."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from fleet_assets.models.fleet_model import SCORE_SCHEMA
from fleet_assets.models.frame import INPUTS

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LOADER: Final = "fleet_assets.mlflow_mirror.loader"
MODEL_FILE: Final = "model.zip"
_KINDS: Final = {
    pl.String(): "string", pl.Float64(): "double", pl.Boolean(): "boolean",
    pl.Datetime("us", "UTC"): "datetime",
}  # fmt: skip


def model_folder(data: bytes) -> dict[str, bytes]:
    """Files of an MLflow model, by their names in it.

    Args:
        data: the model's file.
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no example is given: the signature is stated
        file, folder = Path(place, MODEL_FILE), Path(place, "model")
        file.write_bytes(data)
        mlflow.pyfunc.save_model(
            path=str(folder),
            loader_module=LOADER,
            data_path=str(file),
            signature=signature(),
            pip_requirements=[],  # this platform reads it, nothing else does
        )
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def signature() -> ModelSignature:
    """What models take, row by row (a model frame), and what they give.

    Numbers are doubles here, though models take 32 bits: MLflow refuses to shorten what pandas has.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    keys = ColSpec("string", "vehicle_id"), ColSpec("datetime", "window_end")
    inputs = (ColSpec("double", name, required=False) for name in INPUTS)
    given = (ColSpec(_KINDS[kind], name) for name, kind in SCORE_SCHEMA.items())
    regime = ColSpec("string", "regime", required=False)
    return ModelSignature(Schema([*keys, regime, *inputs]), Schema([*given]))
