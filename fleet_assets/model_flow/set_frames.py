"""Windows of a training set, healthy and with faults: chosen vehicle-days, and virtual vehicles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from fleet_assets.injection.catalogue import Catalogue, read_catalogue
from fleet_assets.injection.draws import chance
from fleet_assets.injection.plan import Chosen
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.training_data import Chunk, VehicleDay, chunks
from fleet_assets.model_flow.frames import faulty_frame, healthy_frame
from fleet_assets.models.frame import KEY
from fleet_assets.models.training import Copy
from fleet_assets.models.virtual import MOST_HOURS, real_of, virtual_vehicles
from partitions.hours import hour_key

SENSOR_KINDS: Final = ("bias", "stuck", "dropout", "gps_jump")
"""Drawn on top: what has to be found is one in many of all kinds and signals."""
_UNBOUNDED: Final = 2**62


@dataclass
class SetFrames:
    """Gathers windows, chunk by chunk.

    Attributes:
        seed: of the faults.
        passes: with faults of all kinds, and with those of SENSOR_KINDS.
        incidents: `vehicle_id`, `started_at`, `ended_at`: what is known to have been wrong.
        healthy: model frames so far.
        copies: by pass, windows with faults so far.
    """

    seed: int
    passes: tuple[int, int]
    incidents: pl.DataFrame
    healthy: list[pl.DataFrame] = field(default_factory=list)
    copies: dict[int, list[Copy]] = field(default_factory=dict)

    def add(self, chunk: Chunk, share: float) -> None:
        """Takes healthy windows of all days of a chunk, and in each pass faults of some of them.

        Args:
            chunk: days for training.
            share: of its days that get faults in a pass.
        """
        incidents = _incidents_of(chunk, self.incidents)
        self.healthy.append(healthy_frame(chunk, incidents))
        for number in range(sum(self.passes)):
            days = _of_pass(chunk, number, share, self.seed)
            if days:
                kinds = None if number < self.passes[0] else SENSOR_KINDS
                chosen = Chosen(kinds, split="train", untouched=0.0)
                copy = faulty_frame(
                    chunk, days, 1000 * self.seed + number, chosen, incidents,
                    around_faults=True, catalogue=_every_day(),
                )  # fmt: skip
                self.copies.setdefault(number, []).append(copy)

    @property
    def faults(self) -> int:
        """How many there are so far."""
        return sum(copy.truth.height for copies in self.copies.values() for copy in copies)

    def whole(self) -> tuple[pl.DataFrame, list[Copy]]:
        """All healthy windows, and each pass, in order of vehicle and time."""
        merged = [
            Copy(
                pl.concat([copy.frame for copy in self.copies[number]]).sort(KEY),
                pl.concat([copy.truth for copy in self.copies[number]]),
            )
            for number in sorted(self.copies)
        ]
        return pl.concat(self.healthy).sort(KEY), merged


def share_with_faults(hours: float, faulty_hours: float, passes: tuple[int, int]) -> float:
    """The share of days that gets faults in each pass, so that all passes keep to a bound.

    Args:
        hours: vehicle-hours that there are.
        faulty_hours: wanted over all passes.
        passes: how many.
    """
    return min(1.0, faulty_hours / max(sum(passes) * hours, 1))


def virtual_hours(chosen: Sequence[VehicleDay], numbers: Mapping[str, int]) -> float:
    """About how many vehicle-hours `virtual_chunks` gives."""
    driven: dict[str, int] = {}
    for each in chosen:
        driven[each.vehicle_id] = driven.get(each.vehicle_id, 0) + each.driven_hours
    return sum(number * min(driven[who], MOST_HOURS) for who, number in numbers.items())


def virtual_chunks(
    lake: Lake,
    telemetry: TableSnapshot,
    chosen: Sequence[VehicleDay],
    numbers: Mapping[str, int],
    seed: int,
) -> Iterator[Chunk]:
    """Virtual vehicles of real ones, one real one at a time: its drives have to change alike.

    Args:
        lake: the lake.
        telemetry: the same snapshot that the real days are read from.
        chosen: days of real vehicles.
        numbers: how many virtual ones, by real vehicle.
        seed: of the virtual ones.

    Yields:
        A chunk without context; usual intervals are not known.
    """
    for who in sorted(numbers):
        mine = [each for each in chosen if each.vehicle_id == who]
        for real in chunks(lake, mine, _UNBOUNDED, telemetry=telemetry):
            told = virtual_vehicles(real.core(), numbers, seed)
            if not told.is_empty():
                yield whole_days(told)


def whole_days(telemetry: pl.DataFrame) -> Chunk:
    """Telemetry that lies beside no other as a chunk: without context or usual intervals."""
    hour = pl.col("event_time").dt.truncate("1h")
    days = telemetry.group_by("vehicle_id", day=pl.col("event_time").dt.date()).agg(
        first=hour.min(), last=hour.max(), driven=hour.n_unique()
    )
    told = days.sort("day", "vehicle_id").iter_rows()
    each = (VehicleDay(who, day, hour_key(a), hour_key(b), hours) for who, day, a, b, hours in told)
    return Chunk(tuple(each), telemetry, {})


def _incidents_of(chunk: Chunk, incidents: pl.DataFrame) -> pl.DataFrame:
    """Incidents of a chunk's vehicles; those of virtual ones are those of their real ones."""
    mine = pl.Series("mine", sorted({each.vehicle_id for each in chunk.days}), pl.String)
    names = pl.DataFrame([mine, real_of(mine).alias("vehicle_id")])
    return incidents.join(names, on="vehicle_id").with_columns(vehicle_id="mine").drop("mine")


def _of_pass(chunk: Chunk, number: int, share: float, seed: int) -> list[VehicleDay]:
    """Days that a pass puts faults into."""
    return [
        each
        for each in chunk.days
        if chance("pass", seed, number, each.vehicle_id, each.day) < share
    ]


def _every_day() -> Catalogue:
    """The catalogue where all days are for training: who chose them left the others out."""
    return read_catalogue().model_copy(update={"evaluation_share": 0.0})
