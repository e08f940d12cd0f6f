"""Evidence: what speaks for a fault in a window, in numbers that mean the same on every vehicle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from fleet_assets.models.devices import RESIDUALS_OF, inputs_of
from fleet_assets.models.frame import INPUTS
from fleet_assets.models.habits import AGAINST, added_up, said
from fleet_assets.models.healthy import TARGETS
from fleet_assets.models.vehicle import MOST_AWAY, Vehicle

RESIDUALS: Final = (*(f"{name}_residual" for name in TARGETS), "gear_support")
SPANS: Final = ("60s", "180s")
"""What residuals are averaged over, so that small ones that last count."""
TRAILED: Final = tuple(f"{name}_{span}" for span in SPANS for name in RESIDUALS)
AWAY: Final = tuple(f"{name}_away" for name in INPUTS)
FOR_SETTLED: Final = ("coolant_trend", "coolant", "throttle")
"""Quantities that only detectors of settled vehicles look at."""
BASIC: Final = tuple(name for name in TARGETS if name not in FOR_SETTLED)
MOST: Final = ("most_residual", "most_residual_60s")
"""The residual of BASIC that is furthest off, whichever it is."""
EVIDENCE: Final = (*RESIDUALS, *TRAILED, *MOST, *AWAY)
"""Columns of evidence that forests look at. Residuals are in units of what is usual for the
vehicle; `…_away` is the input against the vehicle's healthy range."""
_GEARED: Final = ("engine_rpm", "speed")
GROUP: Final = "group"
"""Stands for vehicles that are not known."""


def evidence_of(device: str) -> tuple[str, ...]:
    """Columns of EVIDENCE that a device has a part in."""
    told = [f"{name}_residual" for name in RESIDUALS_OF.get(device, ())]
    told += ["gear_support"] if device in _GEARED else []
    trailed = (f"{name}_{span}" for span in SPANS for name in told)
    return (*told, *trailed, *(f"{name}_away" for name in inputs_of(device)))


def evidence(
    frame: pl.DataFrame, vehicles: Mapping[str, Vehicle], *, plain: bool = False
) -> pl.DataFrame:
    """Compares windows with their vehicles.

    Args:
        frame: a model frame in order of vehicle and time; context before the wanted windows makes
            the trailing means whole.
        vehicles: healthy vehicles by id, and GROUP for those without one.
        plain: numbers go on beyond the usual range as within it, and FOR_SETTLED is left out: who
            trains on a vehicle learns its tails, and those of a group are of many.

    Returns:
        `vehicle_id`, `window_end`, EVIDENCE and AGAINST, in the order of the frame.
    """
    known = list(vehicles)
    groups = frame.with_row_index("row").with_columns(
        who=pl.when(pl.col("vehicle_id").is_in(known)).then("vehicle_id").otherwise(pl.lit(GROUP))
    )
    parts = [
        _of_vehicle(part, vehicles[str(name)], plain=plain)
        for (name,), part in groups.group_by("who", maintain_order=True)
    ]
    if not parts:
        return pl.DataFrame(
            schema={"vehicle_id": pl.String(), "window_end": frame.schema["window_end"]}
            | dict.fromkeys((*EVIDENCE, *AGAINST), pl.Float32())
        )
    every = parts[0] if len(parts) == 1 else pl.concat(parts).sort("row")
    return added_up(_trailed(every)).select("vehicle_id", "window_end", *EVIDENCE, *AGAINST)


def _of_vehicle(frame: pl.DataFrame, vehicle: Vehicle, *, plain: bool) -> pl.DataFrame:
    tails = not plain
    away = vehicle.away(frame, tails=tails)
    residuals = {
        f"{name}_residual": np.clip(one.residuals(frame, tails=tails), -MOST_AWAY, MOST_AWAY)
        for name, one in vehicle.expectations.items()
        if not plain or name in BASIC
    }
    lacking = np.full(frame.height, np.nan, np.float32)
    told = {"gear_support": vehicle.gear_support(frame)} | residuals
    columns = {name: told.get(name, lacking).astype(np.float32) for name in RESIDUALS}
    columns |= {name: away[:, number] for number, name in enumerate(AWAY)}
    columns |= said(vehicle.habits, frame)
    return frame.select("row", "vehicle_id", "window_end").hstack(
        [pl.Series(name, values, nan_to_null=True) for name, values in columns.items()]
    )


def _trailed(frame: pl.DataFrame) -> pl.DataFrame:
    """With means of residuals over the time up to each window."""
    means = [
        pl.col(name).rolling_mean_by("window_end", span).over("vehicle_id").alias(f"{name}_{span}")
        for span in SPANS
        for name in RESIDUALS
    ]
    return frame.with_columns(means).with_columns(
        pl.max_horizontal(pl.col(f"{name}_residual{end}").abs() for name in BASIC).alias(most)
        for most, end in zip(MOST, ("", "_60s"), strict=True)
    )
