"""All models of a fleet together, and judging windows by them in bulk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from fleet_assets.models.bank import Bank
from fleet_assets.models.detector import NOBODY, Detector
from fleet_assets.models.evidence import GROUP, evidence
from fleet_assets.models.isolation import Isolation, isolation_scores
from fleet_assets.models.mixing import Settling
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
_OWN, _SETTLED, _STRANGE = "own", "settled", "strange"


@dataclass(frozen=True)
class FleetModel:
    """What serves.

    Attributes:
        isolations: Isolation Forests by vehicle type, and of the fleet.
        types: vehicle type by vehicle.
        vehicles: healthy vehicles by id, and GROUP.
        own: judges vehicles that were trained on.
        settled: judges those that came to be known afterwards, see `settling`; None: the fleet had
            too few vehicles, `own` judges them.
        strange: judges those that are not known; None: the fleet had too few vehicles, they have no
            score.
        bank: faults of the fleet, for vehicles that come to be known.
        settlings: how vehicles are judged that came to be known after the training, by id.
    """

    isolations: Mapping[str, Isolation]
    types: Mapping[str, str]
    vehicles: Mapping[str, Vehicle]
    own: Detector
    settled: Detector | None
    strange: Detector | None
    bank: Bank
    settlings: Mapping[str, Settling] = field(default_factory=dict)

    def judged(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Judges windows.

        Args:
            frame: a model frame in order of vehicle and time.

        Returns:
            Rows of SCORE_SCHEMA in the same order.
        """
        rows = frame.with_row_index("row").with_columns(by=self._judge())
        parts = [
            self._judged(str(by), part.drop("row", "by")).with_columns(
                row=part["row"], is_known=pl.lit(by != _STRANGE)
            )
            for (by,), part in rows.group_by("by", maintain_order=True)
        ]
        if not parts:
            return SCORE_SCHEMA.to_frame()
        return (
            pl.concat(parts)
            .sort("row")
            .with_columns(isolation=pl.Series(isolation_scores(self.isolations, frame, self.types)))
            .select(SCORE_SCHEMA.names())
        )

    def _judge(self) -> pl.Expr:
        """Which detector judges a window."""
        known = [name for name in self.vehicles if name != GROUP]
        return (
            pl.when(~pl.col("vehicle_id").is_in(known))
            .then(pl.lit(_STRANGE))
            .when(pl.col("vehicle_id").is_in(list(self.settlings)))
            .then(pl.lit(_SETTLED))
            .otherwise(pl.lit(_OWN))
        )

    def _judged(self, by: str, frame: pl.DataFrame) -> pl.DataFrame:
        if by == _STRANGE:
            return _with(self.strange, frame, self.vehicles, plain=True)
        if by == _OWN:
            return _with(self.own, frame, self.vehicles, plain=True)
        is_alone = self.settled is None
        judge = self.settled or self.own
        return _with(judge, frame, self.vehicles, self.settlings, plain=is_alone)


def _with(
    detector: Detector | None,
    frame: pl.DataFrame,
    vehicles: Mapping[str, Vehicle],
    settlings: Mapping[str, Settling] = NOBODY,
    *,
    plain: bool = False,
) -> pl.DataFrame:
    if detector is not None:
        return detector.judged(evidence(frame, vehicles, plain=plain), settlings)
    return frame.select(
        "vehicle_id", "window_end", score=pl.lit(None, pl.Float64),
        confidence=pl.lit(None, pl.Float64), fault=pl.lit(None, pl.String),
    )  # fmt: skip
