"""How MLflow reads a model, as in `mlflow.pyfunc.load_model("models:/fleet-anomalies/1")`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fleet_assets.models.artifact import from_bytes
from fleet_assets.models.fleet_model import SCORE_SCHEMA, FleetModel
from fleet_assets.models.frame import CONSTANT_REGIME, INPUTS

if TYPE_CHECKING:
    from pandas import DataFrame


class Judge:
    """A model for MLflow: pandas in, pandas out."""

    def __init__(self, model: FleetModel) -> None:
        self.model = model

    def predict(self, model_input: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:
        """Scores of windows, rows of SCORE_SCHEMA.

        Args:
            model_input: a model frame in order of vehicle and time; NaN where a number is missing,
                times in UTC without a zone, because MLflow takes no others.
            params: none are known.
        """
        keys = [
            pl.col("vehicle_id").cast(pl.String),
            pl.col("window_end").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            pl.col("regime").cast(pl.String).fill_null(CONSTANT_REGIME),
        ]
        numbers = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in INPUTS]
        frame = pl.DataFrame(model_input.to_dict("series")).select(*keys, *numbers)
        return self.model.judged(frame).select(SCORE_SCHEMA.names()).to_pandas()


def _load_pyfunc(path: str) -> Judge:
    """What MLflow calls with the model's file."""
    return Judge(from_bytes(Path(path).read_bytes(), FleetModel)[0])
