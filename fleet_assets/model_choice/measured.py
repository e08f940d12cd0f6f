"""What was measured of champion and challenger in one group, with bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fleet_assets.injection.draws import generator
from fleet_assets.model_choice.bootstrap import Interval, Numbers, interval, resampled
from fleet_assets.model_choice.paired import COUNTS
from fleet_assets.model_choice.policy import Comparison


@dataclass(frozen=True)
class Measured:
    """Numbers of one group; None where there were no events or no hours.

    Attributes:
        vehicles_with_events: vehicles that recall rests on.
        gain: recall of the challenger less that of the champion (0.01 is one point).
        over: false alarms of the challenger per vehicle-hour, less those that are allowed. Less,
            not a ratio: a champion without false alarms has none to divide by.
        more: false alarms of the challenger per vehicle-hour, less those of the champion.
    """

    vehicles: int
    vehicles_with_events: int
    vehicle_days: int
    events: int
    hours: float
    champion_recall: float | None
    challenger_recall: float | None
    champion_alarms: float | None
    challenger_alarms: float | None
    gain: Interval | None
    over: Interval | None
    more: Interval | None


def measured(group: str, vehicles: pl.DataFrame, growth: float, numbers: Comparison) -> Measured:
    """Measures one group.

    Args:
        group: its name; other groups get other draws.
        vehicles: rows of `by_vehicle` of this group.
        growth: how many more false alarms are allowed, as a share of the champion's.
        numbers: confidence, draws and seed.
    """
    sums = vehicles.select(*COUNTS, "hours").to_numpy().astype(np.float64)
    total = sums.sum(axis=0)
    draws = resampled(sums, numbers.resamples, generator("bootstrap", numbers.seed, group))
    events, champion, challenger, quiet, loud, hours = total.tolist()

    def bounded(of: Numbers, base: int) -> Interval | None:
        """Of a weighted sum of columns for each event or hour."""
        if not total[base]:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = (draws @ of) / draws[:, base]
        estimate, behind = float(total @ of / total[base]), int((sums[:, base] > 0).sum())
        return interval(estimate, spread, numbers.confidence, behind)

    return Measured(
        vehicles=vehicles.height,
        vehicles_with_events=int((sums[:, 0] > 0).sum()),
        vehicle_days=int(vehicles["days"].sum()),
        events=int(events),
        hours=hours,
        champion_recall=champion / events if events else None,
        challenger_recall=challenger / events if events else None,
        champion_alarms=quiet / hours if hours else None,
        challenger_alarms=loud / hours if hours else None,
        gain=bounded(np.array([0.0, -1, 1, 0, 0, 0]), 0),
        over=bounded(np.array([0.0, 0, 0, -(1 + growth), 1, 0]), 5),
        more=bounded(np.array([0.0, 0, 0, -1, 1, 0]), 5),
    )
