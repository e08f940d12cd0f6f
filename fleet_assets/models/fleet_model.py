"""All models of a fleet together, and judging windows by them in bulk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from fleet_assets.models.detector import Detector
from fleet_assets.models.evidence import GROUP, evidence
from fleet_assets.models.isolation import Isolation, isolation_scores
from fleet_assets.models.vehicle import Vehicle

SCORE_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(), "window_end": pl.Datetime("us", "UTC"), "score": pl.Float64(),
        "confidence": pl.Float64(), "fault": pl.String(), "isolation": pl.Float64(),
        "is_known": pl.Boolean(),
    }
)  # fmt: skip
"""`score`: an alarm from 1 on; `confidence`: that the window is faulty; `fault`: the likeliest, as
kind/subject; `isolation`: how unusual it is for the fleet; `is_known`: judged by the vehicle's own
forests, not by its group's."""


@dataclass(frozen=True)
class FleetModel:
    """What serves.

    Attributes:
        isolations: Isolation Forests by vehicle type, and of the fleet.
        types: vehicle type by vehicle.
        vehicles: healthy vehicles by id, and GROUP.
        own: judges vehicles that are known.
        strange: judges those that are not; None: the fleet had too few vehicles, they have no
            score.
        offsets: by vehicle and aspect, what is taken from the odds of vehicles that the detector
            was not trained on; see `settling`.
    """

    isolations: Mapping[str, Isolation]
    types: Mapping[str, str]
    vehicles: Mapping[str, Vehicle]
    own: Detector
    strange: Detector | None
    offsets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def judged(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Judges windows.

        Args:
            frame: a model frame in order of vehicle and time.

        Returns:
            Rows of SCORE_SCHEMA in the same order.
        """
        known = pl.col("vehicle_id").is_in([name for name in self.vehicles if name != GROUP])
        rows = frame.with_row_index("row").with_columns(is_known=known)
        parts = [
            _with(
                self.own if is_known else self.strange,
                part.drop("row", "is_known"),
                self.vehicles,
                self.offsets,
            ).with_columns(row=part["row"], is_known=pl.lit(bool(is_known)))
            for (is_known,), part in rows.group_by("is_known", maintain_order=True)
        ]
        if not parts:
            return SCORE_SCHEMA.to_frame()
        return (
            pl.concat(parts)
            .sort("row")
            .with_columns(isolation=pl.Series(isolation_scores(self.isolations, frame, self.types)))
            .select(SCORE_SCHEMA.names())
        )


def _with(
    detector: Detector | None,
    frame: pl.DataFrame,
    vehicles: Mapping[str, Vehicle],
    offsets: Mapping[str, Mapping[str, float]],
) -> pl.DataFrame:
    if detector is not None:
        return detector.judged(evidence(frame, vehicles), offsets)
    return frame.select(
        "vehicle_id", "window_end", score=pl.lit(None, pl.Float64),
        confidence=pl.lit(None, pl.Float64), fault=pl.lit(None, pl.String),
    )  # fmt: skip
