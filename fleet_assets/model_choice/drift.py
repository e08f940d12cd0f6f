"""Drift: features of now against those that the champion was trained on, by vehicle type.

Two questions for each feature and type. Have the vehicles that the champion knows changed
(`known`)? Are the vehicles that have come since unlike those (`new`)? Drift asks for training,
never for promotion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fleet_assets.model_choice.policy import Drift, policy
from fleet_assets.model_choice.season import Season, Source, season_of
from fleet_assets.model_choice.two_samples import adjusted, cliffs_delta, paired_p, unpaired_p
from fleet_assets.model_choice.vehicle_means import a_year_before, changes, vehicle_means

Numbers = NDArray[np.float64]
DRIFT_SCHEMA: Final = pl.Schema(
    {
        "feature": pl.String(),
        "vehicle_type": pl.String(),
        "vehicles": pl.String(),
        "count": pl.Int64(),
        "reference_count": pl.Int64(),
        "reference_center": pl.Float64(),
        "current_center": pl.Float64(),
        "season_shift": pl.Float64(),
        "season_by": pl.String(),
        "effect": pl.Float64(),
        "effect_with_season": pl.Float64(),
        "p": pl.Float64(),
        "q": pl.Float64(),
        "alarm": pl.Boolean(),
        "why": pl.String(),
    }
)
"""One test: `vehicles` is known or new. Known vehicles are compared with themselves as they were in
training; new ones with known ones on the same days, so that no season lies between (with all of
training where too few known ones are left). `reference_…` is what was compared with; centres are
medians over vehicles, as measured. Effects are Cliff's delta, of new vehicles times their share."""


@dataclass(frozen=True)
class DriftReport:
    """All tests, and what they rest on.

    Attributes:
        rows: rows of DRIFT_SCHEMA, alarms first, largest effects first.
        vehicles: `feature`, `vehicle_type`, `vehicle_id`, `reference`, `current`: means of each
            vehicle; null where it was not there.
        numbers: what was asked.
    """

    rows: pl.DataFrame
    vehicles: pl.DataFrame
    numbers: Drift

    @property
    def alarms(self) -> pl.DataFrame:
        """Rows that alarm."""
        return self.rows.filter("alarm")

    @property
    def types_to_train(self) -> list[str]:
        """Vehicle types whose models should be trained anew."""
        return sorted(self.alarms["vehicle_type"].unique())


def drift(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    features: Sequence[str],
    history: pl.DataFrame | None = None,
    numbers: Drift | None = None,
) -> DriftReport:
    """Compares vehicle-days of now with those that the champion was trained on.

    Args:
        reference: `vehicle_id`, `vehicle_type`, `day` and features, of the training set.
        current: the same, of now.
        features: which are compared.
        history: the same, of older days; what lies a year before either span tells the season.
        numbers: what alarms; those of `policy.yaml` if None.

    Raises:
        FleetError: a column is missing, or a vehicle-day is there twice.
    """
    asked = numbers or policy().drift
    then, now = (vehicle_means(each, features, asked.least_days) for each in (reference, current))
    changed = changes(then, now, features)
    past = changed.clear()
    if history is not None and reference.height and current.height:
        before, after = (
            vehicle_means(a_year_before(history, each), features, asked.least_days)
            for each in (reference, current)
        )
        past = changes(before, after, features)
    vehicles = _long(then, now, features)
    parts = vehicles.partition_by("feature", "vehicle_type", as_dict=True)
    rows = []
    for feature in features:
        movements = _by_type(changed, feature), _by_type(past, feature)
        for vehicle_type in sorted(set(now["vehicle_type"])):
            if (means := parts.get((feature, vehicle_type))) is not None:
                season = season_of(vehicle_type, *movements, asked.least_vehicles)
                names = {"feature": feature, "vehicle_type": vehicle_type}
                rows += [names | _known(means, season, asked), names | _new(means, asked)]
    return DriftReport(_judged(rows, asked), vehicles, asked)


def _known(means: pl.DataFrame, season: Season, asked: Drift) -> dict[str, Any]:
    """Vehicles in both: each is compared with itself, the effect with how far they lie apart."""
    both = means.drop_nulls()
    before, after = _pair(both)
    row = _row("known", before, after, season)
    if len(before) < asked.least_vehicles:
        return row | {"why": f"{len(before)} vehicles, at least {asked.least_vehicles}"}
    return row | {
        "p": paired_p(after - season.shift - before),
        "effect": cliffs_delta(before, after - season.shift),
        "effect_with_season": cliffs_delta(before, after),
    }


def _new(means: pl.DataFrame, asked: Drift) -> dict[str, Any]:
    """Vehicles that came since, against those that were there; the effect is theirs on the type."""
    known, before = _pair(means.drop_nulls())[1], _numbers(means["reference"].drop_nulls())
    there = means.filter(pl.col("current").is_not_null())
    after = _numbers(there.filter(pl.col("reference").is_null())["current"])
    source: Source = "not known"
    if len(known) >= asked.least_vehicles:
        before, source = known, "same days"
    row = _row("new", before, after, Season(0.0, source))
    if len(before) < asked.least_vehicles or len(after) < asked.least_new_vehicles:
        least = f"at least {asked.least_new_vehicles} and {asked.least_vehicles}"
        return row | {"why": f"{len(after)} new vehicles beside {len(before)}, {least}"}
    effect = len(after) / there.height * cliffs_delta(before, after)
    p = unpaired_p(before, after)
    return row | {"p": p, "effect": effect, "effect_with_season": effect}


def _row(vehicles: str, before: Numbers, after: Numbers, season: Season) -> dict[str, Any]:
    return {
        "vehicles": vehicles,
        "count": len(after),
        "reference_count": len(before),
        "reference_center": float(np.median(before)) if len(before) else None,
        "current_center": float(np.median(after)) if len(after) else None,
        "season_shift": season.shift,
        "season_by": season.source,
    }


def _judged(rows: list[dict[str, Any]], asked: Drift) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=DRIFT_SCHEMA)
    tested = frame.filter(pl.col("p").is_not_null())
    rest = frame.filter(pl.col("p").is_null()).with_columns(alarm=pl.lit(value=False))
    # Half a unit in the last place decides nothing: 0.2 is often 0.19999999999999998.
    large = pl.col("effect").abs() >= asked.least_effect - 1e-9
    judged = tested.with_columns(q=adjusted(_numbers(tested["p"]))).with_columns(
        alarm=(pl.col("q") <= asked.false_discovery_rate) & large
    )
    worded = judged.with_columns(
        why=pl.struct(pl.all()).map_elements(lambda row: _why(row, asked), return_dtype=pl.String)
    )
    order = ["alarm", "size", "feature", "vehicle_type", "vehicles"]
    return (
        pl.concat([worded, rest])
        .with_columns(size=pl.col("effect").abs())
        .sort(order, descending=[True, True, False, False, False], nulls_last=True)
        .drop("size")
    )


def _why(row: dict[str, Any], asked: Drift) -> str:
    moved = f"{row['reference_center']:.4g} → {row['current_center']:.4g}"
    told = f"{moved}, effect {row['effect']:+.2f}, q {row['q']:.2g}"
    if row["alarm"]:
        whose = "vehicles that the champion knows have changed"
        if row["vehicles"] == "new":
            whose = f"{row['count']} new vehicles are unlike those that the champion knows"
        doubt = "; may be the season" if row["season_by"] == "not known" else ""
        return f"{whose}: {told}{doubt}"
    if abs(row["effect_with_season"]) >= asked.least_effect > abs(row["effect"]):
        return f"taken for the season ({row['season_by']}): {told}"
    return told


def _long(then: pl.DataFrame, now: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Means by feature and vehicle; a vehicle stands under its newest type."""
    longs = [
        each.unpivot(features, index=["vehicle_type", "vehicle_id"], variable_name="feature",
                     value_name=name).drop_nulls(name)
        for each, name in ((then, "reference"), (now, "current"))
    ]  # fmt: skip
    keys = ["feature", "vehicle_id"]
    both = longs[0].join(longs[1], on=keys, how="full", coalesce=True)
    newest = pl.coalesce("vehicle_type_right", "vehicle_type").alias("vehicle_type")
    chosen = both.select("feature", newest, "vehicle_id", "reference", "current")
    return chosen.sort("feature", "vehicle_type", "vehicle_id")


def _by_type(changed: pl.DataFrame, feature: str) -> dict[str, Numbers]:
    known = changed.select("vehicle_type", feature).drop_nulls(feature)
    return {
        str(name): _numbers(of[feature])
        for (name,), of in known.partition_by("vehicle_type", as_dict=True).items()
    }


def _pair(both: pl.DataFrame) -> tuple[Numbers, Numbers]:
    return _numbers(both["reference"]), _numbers(both["current"])


def _numbers(column: pl.Series) -> Numbers:
    return np.asarray(column.to_numpy(), dtype=np.float64)
