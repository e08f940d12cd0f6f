"""Which faults go where: drawn by seed, at most one in a stretch, only where they can show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from fleet_assets.errors import FleetError
from fleet_assets.injection.catalogue import Catalogue, Kind, read_catalogue
from fleet_assets.injection.draws import Split, chance, digest, generator, split_of
from fleet_assets.injection.placing import Placed, place
from fleet_assets.injection.signals import signals_of
from fleet_assets.injection.stretches import Stretch, rows_of, stretches
from fleet_assets.injection.truth import PLAN_SCHEMA

UNTOUCHED: Final = 0.5
"""Share of vehicle-hours that stay healthy unless told otherwise."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Chosen:
    """What a plan may draw.

    Attributes:
        kinds: kinds of faults; None: all.
        split: draw what only training or only evaluation may see; None: everything.
        held_out: the family that training leaves out; None: the catalogue's.
        untouched: share of vehicle-hours without a fault, whatever could be drawn there.
    """

    kinds: Sequence[str] | None = None
    split: Split | None = None
    held_out: str | None = None
    untouched: float = UNTOUCHED

    def of(self, catalogue: Catalogue) -> tuple[Kind, ...]:
        """The kinds that are left.

        Raises:
            FleetError: a name is none of the catalogue, or nothing is left.
        """
        names = [kind.kind for kind in catalogue.kinds] if self.kinds is None else self.kinds
        held_out = catalogue.held_out if self.held_out is None else self.held_out
        if held_out not in catalogue.families:
            raise FleetError(
                f"There is no family {held_out}; there are {', '.join(catalogue.families)}."
            )
        wanted = [catalogue.of(name) for name in dict.fromkeys(names)]
        if self.split == "train":
            wanted = [kind for kind in wanted if kind.family != held_out]
        if not wanted:
            raise FleetError(
                f"No kind is left: training leaves out the family {held_out}. Name other kinds."
            )
        return tuple(wanted)


def plan(
    telemetry: pl.DataFrame,
    seed: int,
    chosen: Chosen | None = None,
    catalogue: Catalogue | None = None,
) -> pl.DataFrame:
    """Draws faults for healthy telemetry.

    The same rows, seed and choice give the same plan, whatever the order of the rows; vehicles do
    not depend on each other. Whole days are best: the end of the rows counts as the end of a drive.

    Args:
        telemetry: rows of `telemetry`: `vehicle_id`, `event_time` (unique together) and any
            signals.
        seed: another one draws other faults.
        chosen: what may be drawn; None: everything.
        catalogue: None: the platform's.

    Returns:
        Rows of PLAN_SCHEMA in order of vehicle and time.

    Raises:
        FleetError: the choice names what is not there.
    """
    chosen, catalogue = chosen or Chosen(), catalogue or read_catalogue()
    kinds = chosen.of(catalogue)
    found = [
        row
        for stretch in stretches(rows_of(telemetry), catalogue)
        for row in _of_stretch(stretch, seed, kinds, chosen)
    ]
    return pl.DataFrame(found, schema=PLAN_SCHEMA, orient="row")


def _of_stretch(
    stretch: Stretch, seed: int, kinds: tuple[Kind, ...], chosen: Chosen
) -> Iterator[dict[str, Any]]:
    """A fault for the stretch, or none where none fits."""
    hour = stretch.start_us // 3_600_000_000
    if chance("untouched", seed, stretch.vehicle_id, hour) < chosen.untouched:
        return
    start = _EPOCH + timedelta(microseconds=stretch.start_us)
    if chosen.split not in (None, split_of(stretch.vehicle_id, start.date(), stretch.catalogue)):
        return
    random = generator("fault", seed, stretch.vehicle_id, stretch.start_us)
    for number in random.permutation(len(kinds)):
        kind = kinds[number]
        subjects = [s for s in kind.subjects if all(n in stretch.signals for n in signals_of(s))]
        for subject in random.permutation(subjects).tolist():
            placed = place(stretch, kind, subject, random, chosen.split)
            if placed is not None:
                yield _row(stretch, kind, placed, seed)
                return


def _row(stretch: Stretch, kind: Kind, placed: Placed, seed: int) -> dict[str, Any]:
    first_us, last_us = (
        stretch.start_us + round(stretch.time_s[row] * 1e6) for row in (placed.first, placed.last)
    )
    group = kind.applied(placed.subject)
    return {
        "vehicle_id": stretch.vehicle_id,
        "fault_id": digest(stretch.vehicle_id, kind.kind, placed.subject, first_us, seed).hex(),
        "kind": kind.kind,
        "family": kind.family,
        "signal": placed.subject,
        "started_at": _EPOCH + timedelta(microseconds=first_us),
        "ended_at": _EPOCH + timedelta(microseconds=last_us),
        "magnitude": placed.magnitude,
        "unit": group.unit,
        "is_clear": group.clear_from is not None and placed.magnitude >= group.clear_from,
        "seed": seed,
        "amount": placed.amount,
        "is_up": placed.is_up,
        "steps": list(placed.steps),
    }
