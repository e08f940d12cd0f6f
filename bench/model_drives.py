"""Real drives for training and judging models: later days apart, with faults in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from bench.real_rules import real_telemetry, real_vehicles
from fleet_assets.features.kernel import feature_windows
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.model_flow.incidents import NOTHING
from fleet_assets.model_flow.set_frames import SetFrames, share_with_faults, whole_days
from fleet_assets.model_flow.training_sets import SetSettings
from fleet_assets.models.frame import model_frame
from fleet_assets.models.steps import steps_of
from fleet_assets.models.training import Copy
from fleet_assets.models.virtual import how_many, real_of, virtual_vehicles

LATER_SHARE: Final = 0.4
"""About so much of each vehicle's messages, in whole days, are the later days."""
UNTOUCHED: Final = 0.3
"""Share of vehicle-hours of the later days that stay healthy while others have a fault."""
SEED: Final = 1
"""Of virtual vehicles and of faults to train on."""


@dataclass(frozen=True)
class Drives:
    """Telemetry of real vehicles.

    Attributes:
        early: days to learn from.
        later: days after all of those, by vehicle.
        types: vehicle type by vehicle.
        vehicles: the register, as rules know it.
    """

    early: pl.DataFrame
    later: pl.DataFrame
    types: Mapping[str, str]
    vehicles: pl.DataFrame

    def of(self, vehicle_ids: Sequence[str]) -> Drives:
        """Some of the vehicles."""
        mine = pl.col("vehicle_id").is_in(list(vehicle_ids))
        return Drives(self.early.filter(mine), self.later.filter(mine), self.types, self.vehicles)

    @property
    def vehicle_ids(self) -> list[str]:
        return self.early["vehicle_id"].unique().sort().to_list()


@dataclass(frozen=True)
class Faulty:
    """Telemetry with faults, as models see it and as it is."""

    copy: Copy
    telemetry: pl.DataFrame


def real_drives() -> Drives:
    """All real drives; no rows without them."""
    telemetry = real_telemetry()
    vehicles = real_vehicles()
    types = dict(vehicles.select("vehicle_id", "vehicle_type").iter_rows())
    later = _later(telemetry)
    return Drives(telemetry.filter(~later), telemetry.filter(later), types, vehicles)


def _later(telemetry: pl.DataFrame) -> pl.Series:
    """Rows of days after the one that cuts a vehicle's messages nearest to LATER_SHARE."""
    day = pl.col("event_time").dt.date()
    days = telemetry.group_by("vehicle_id", day=day).len().sort("vehicle_id", "day")
    left = 1 - pl.col("len").cum_sum() / pl.col("len").sum()
    cuts = (
        days.with_columns(off=(left - LATER_SHARE).abs().over("vehicle_id"))
        .sort("off", maintain_order=True)
        .unique("vehicle_id", keep="first", maintain_order=True)
        .select("vehicle_id", cut="day")
    )
    marked = telemetry.select("vehicle_id", day=day).join(
        cuts, on="vehicle_id", how="left", maintain_order="left"
    )
    return marked["day"] > marked["cut"]


@dataclass(frozen=True)
class Material:
    """What models are trained on: windows of real and virtual vehicles, healthy and with faults."""

    healthy: pl.DataFrame
    copies: Sequence[Copy]

    def of(self, vehicle_ids: Sequence[str]) -> Material:
        """That of some real vehicles, with their virtual ones."""
        return Material(
            _of(self.healthy, vehicle_ids),
            [Copy(_of(c.frame, vehicle_ids), _of(c.truth, vehicle_ids)) for c in self.copies],
        )


def _of(rows: pl.DataFrame, vehicle_ids: Sequence[str]) -> pl.DataFrame:
    return rows.filter(real_of(rows["vehicle_id"]).is_in(list(vehicle_ids)))


def material(drives: Drives, passes: tuple[int, int] = SetSettings.passes) -> Material:
    """The early days as a training set has them, with virtual vehicles."""
    numbers = how_many({who: drives.types[who] for who in drives.vehicle_ids})
    found = SetFrames(SEED, passes, NOTHING.incidents)
    for telemetry in (drives.early, virtual_vehicles(drives.early, numbers, SEED)):
        chunk = whole_days(telemetry)
        hours = sum(each.driven_hours for each in chunk.days)
        found.add(chunk, share_with_faults(hours, SetSettings.faulty_hours, passes))
    return Material(*found.whole())


def frame_of(telemetry: pl.DataFrame) -> pl.DataFrame:
    """What models look at."""
    return model_frame(feature_windows(telemetry), steps_of(telemetry))


def with_faults(telemetry: pl.DataFrame, seed: int, untouched: float) -> Faulty:
    """The same drives with faults whose sizes and lengths training never has.

    Days were dealt before, so all of these count as those of evaluation.
    """
    every_day = read_catalogue().model_copy(update={"evaluation_share": 1.0})
    chosen = Chosen(split="evaluate", untouched=untouched)
    changed, truth = inject(telemetry, plan(telemetry, seed, chosen, every_day))
    return Faulty(Copy(frame_of(changed), truth), changed)
