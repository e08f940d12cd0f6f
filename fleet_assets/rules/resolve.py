"""From the catalogue to numbers for vehicles and times: types, overrides, exemptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.episodes.stitch import TIME
from fleet_assets.rules.catalogue import Catalogue, Parameter
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.reasons import reasons
from fleet_assets.rules.samples import Samples

VEHICLE_SCHEMA: Final = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "valid_from": TIME,
        "vehicle_type": pl.String(),
        "fleet_id": pl.String(),
        "model": pl.String(),
        "status": pl.String(),
        "refrigerated": pl.Boolean(),
        "redline_rpm": pl.Float64(),
        "nominal_voltage": pl.Float64(),
        "tank_gallons": pl.Float64(),
        "has_pto": pl.Boolean(),
        "time_zone": pl.String(),
    }
)
"""Attributes of vehicles from a time on, until the vehicle's next row."""
OVERRIDE_SCHEMA: Final = pl.Schema(
    {
        "rule_id": pl.String(),
        "parameter": pl.String(),
        "scope": pl.String(),
        "scope_value": pl.String(),
        "valid_from": TIME,
        "value": pl.Float64(),
    }
)
"""Numbers in place of the catalogue's, from an event time on. `scope`: fleet, model or vehicle."""
SCOPES: Final = {"fleet": "fleet_id", "model": "model", "vehicle": "vehicle_id"}
"""By scope the attribute that `scope_value` is compared with; the later scope is more specific."""
_EVER: Final = -(2**62)
"""What is known first of a vehicle counts for all the time before, too."""
USUAL_GAP_S: Final = (3.0, 5.0, 60.0)
"""Largest gap: so many usual intervals, at least, at most (RULES, Gaps)."""


@dataclass(frozen=True)
class InForce:
    """What the numbers of the rules depend on, besides the catalogue.

    Attributes:
        vehicles: rows of VEHICLE_SCHEMA.
        overrides: rows of OVERRIDE_SCHEMA.
        stages: rule id → stage, where it is not the catalogue's.
        interval_s: vehicle id → its usual time between samples, from earlier days; 1 s if unknown.
    """

    vehicles: pl.DataFrame
    overrides: pl.DataFrame = field(default_factory=OVERRIDE_SCHEMA.to_frame)
    stages: Mapping[str, str] = field(default_factory=dict)
    interval_s: Mapping[str, float] = field(default_factory=dict)


def resolve(catalogue: Catalogue, samples: Samples, known: InForce) -> Limits:
    """Numbers and exemptions of all rules for some samples."""
    regimes, regime = _regimes(samples, known)
    values: dict[tuple[str, str], NDArray[np.float64]] = {}
    overrides = known.overrides.sort(
        pl.col("scope").replace_strict({s: n for n, s in enumerate(SCOPES)}, return_dtype=pl.Int8),
        "valid_from",
    ).partition_by("rule_id", "parameter", as_dict=True, maintain_order=True)
    for rule_id, name in catalogue.in_order:
        number = _number(catalogue.by_id[rule_id].parameters[name], rule_id, values, regimes)
        if (rule_id, name) in overrides:
            number = _overridden(number, overrides[rule_id, name], regimes)
        values[rule_id, name] = number
    return Limits(regime, values, reasons(catalogue, samples, known.stages, values, regimes))


def regime_vehicles(samples: Samples, known: InForce) -> pl.Series:
    """Id of the vehicle of each regime, in the order of `Limits`."""
    return _regimes(samples, known)[0]["vehicle_id"]


def _regimes(samples: Samples, known: InForce) -> tuple[pl.DataFrame, NDArray[np.int32]]:
    """Regimes with the vehicle's attributes, and the number of each sample's."""
    vehicles = pl.DataFrame({"vehicle_id": samples.vehicle_ids}).with_row_index("code")
    first, last = (
        (int(samples.time_us.min()), int(samples.time_us.max())) if len(samples) else (0, 0)
    )
    start = pl.col("valid_from").dt.epoch("us")
    is_first = pl.col("valid_from") == pl.col("valid_from").min().over("vehicle_id")
    history = known.vehicles.with_columns(start=pl.when(is_first).then(_EVER).otherwise(start))
    within = pl.col("start").is_between(first, last, closed="right")
    changes = known.overrides["valid_from"].dt.epoch("us").unique()
    starts = pl.concat(
        [
            vehicles.with_columns(start=pl.lit(first)),
            vehicles.join(history.filter(within).select("vehicle_id", "start"), on="vehicle_id"),
            vehicles.join(pl.DataFrame({"start": changes}).filter(within), how="cross"),
        ],
        how="vertical_relaxed",
    ).unique(["code", "start"])
    regimes = (
        starts.sort("start")
        .join_asof(
            history.sort("start").drop("valid_from"),
            on="start",
            by="vehicle_id",
            strategy="backward",
            check_sortedness=False,
        )
        .sort("code", "start")
        .with_columns(
            interval_s=pl.col("vehicle_id").replace_strict(
                known.interval_s, default=1.0, return_dtype=pl.Float64
            )
            if known.interval_s
            else pl.lit(1.0)
        )
    )
    if regimes.height == vehicles.height:
        return regimes, samples.vehicle
    span = last - first + 1
    keys = regimes["code"].cast(pl.Int64).to_numpy() * span + (regimes["start"].to_numpy() - first)
    mine = samples.vehicle.astype(np.int64) * span + (samples.time_us - first)
    return regimes, (np.searchsorted(keys, mine, side="right") - 1).astype(np.int32)


def _number(
    parameter: Parameter,
    rule_id: str,
    values: Mapping[tuple[str, str], NDArray[np.float64]],
    regimes: pl.DataFrame,
) -> NDArray[np.float64]:
    """A parameter by regime; NaN where it has none."""
    if parameter.policy == "none":
        return np.full(regimes.height, np.inf)
    if parameter.policy == "usual":
        times, least, most = USUAL_GAP_S
        return np.clip(regimes["interval_s"].to_numpy() * times, least, most)
    if parameter.of is not None:
        other, _, name = parameter.of.rpartition(".")
        number = values[other or rule_id, name]
    elif parameter.by_type is not None:
        by_type = {str(kind): number for kind, number in parameter.by_type.items()}
        number = (
            regimes["vehicle_type"]
            .replace_strict(by_type, default=None, return_dtype=pl.Float64)
            .fill_null(np.nan)
            .to_numpy()
        )
    else:
        number = np.full(regimes.height, parameter.value)
    number = number * parameter.times + parameter.plus
    if parameter.scale is not None:
        by = regimes[parameter.scale.attribute].fill_null(parameter.scale.over).to_numpy()
        number = number * by / parameter.scale.over
    if parameter.at_most is not None:
        most_of = regimes[parameter.at_most.attribute].fill_null(np.inf).to_numpy()
        number = np.minimum(number, most_of * parameter.at_most.times)
    return number


def _overridden(
    number: NDArray[np.float64], overrides: pl.DataFrame, regimes: pl.DataFrame
) -> NDArray[np.float64]:
    """The most specific override in force, of several the latest."""
    start = regimes["start"].to_numpy()
    for scope, of, valid_from, value in overrides.select(
        "scope", "scope_value", pl.col("valid_from").dt.epoch("us"), "value"
    ).iter_rows():
        meant = (regimes[SCOPES[scope]] == of).fill_null(False).to_numpy()
        number = np.where(meant & (start >= valid_from), value, number)
    return number
