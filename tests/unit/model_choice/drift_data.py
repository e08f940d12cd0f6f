"""Vehicle-days of a made-up fleet: vehicles differ, days of one vehicle are alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
TYPES = {"sedan": 30, "suv": 25, "truck": 25, "van": 40}
FEATURES = ["coolant", "rpm", "idle_share", "harsh_count", "noise"]
TRAINED = date(2026, 9, 1)
NOW = date(2026, 10, 20)


class MadeFleet:
    """Draws vehicle-days; each vehicle keeps its own level from span to span."""

    def __init__(self, seed: int, types: dict[str, int] | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.vehicles = [
            (f"{kind}{n}", kind) for kind, many in (types or TYPES).items() for n in range(many)
        ]
        self.levels = self.random.normal(size=(len(self.vehicles), len(FEATURES)))

    def add(self, kind: str, many: int, level: float = 0.0) -> None:
        """New vehicles, whose levels may be others."""
        self.vehicles += [(f"new{kind}{n}", kind) for n in range(many)]
        more = self.random.normal(level, 1, size=(many, len(FEATURES)))
        self.levels = np.concatenate([self.levels, more])

    def days(self, first: date, count: int, weather: float = 0.1) -> pl.DataFrame:
        """Vehicle-days of a span; weather moves all vehicles of a day together."""
        shape = len(self.vehicles), count, len(FEATURES)
        own = self.levels[:, None, :] + self.random.normal(0, 0.8, shape)
        common = self.random.normal(0, weather, (1, count, len(FEATURES)))
        values = (own + common).reshape(-1, len(FEATURES))
        shaped: dict[str, Callable[[Numbers], Numbers]] = {
            "coolant": lambda x: 88 + 4 * x,
            "rpm": lambda x: 1500 * np.exp(0.3 * x),
            "idle_share": lambda x: 1 / (1 + np.exp(1 - x)),
            "harsh_count": lambda x: np.maximum(0, np.floor(2 * x - 1)),
            "noise": lambda x: x,
        }
        return pl.DataFrame(
            {
                "vehicle_id": np.repeat([name for name, _ in self.vehicles], count),
                "vehicle_type": np.repeat([kind for _, kind in self.vehicles], count),
                "day": [first + timedelta(days=n) for n in range(count)] * len(self.vehicles),
            }
            | {name: of(values[:, n]) for n, (name, of) in enumerate(shaped.items())}
        )


def shifted(days: pl.DataFrame, by: float, where: pl.Expr | None = None) -> pl.DataFrame:
    """Coolant that reads more, of some rows or of all."""
    chosen = pl.lit(value=True) if where is None else where
    moved = pl.col("coolant") + pl.when(chosen).then(by).otherwise(0.0)
    return days.with_columns(coolant=moved)
