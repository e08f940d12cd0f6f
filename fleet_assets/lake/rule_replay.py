"""Running catalogues over the lake's history, as a backtest does: nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.episodes.stitch import PIECE_SCHEMA
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.usual_intervals import usual_intervals
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.detect import pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.resolve import InForce, resolve
from fleet_assets.rules.samples import samples_of
from partitions.hours import hour_start

CONTEXT: Final = timedelta(minutes=10)
"""How far a detector may look back beyond the hour."""
UNKNOWN_INTERVAL_S: Final = 1.0
Intervals = Callable[[str, pl.Series], Mapping[str, float]]
"""Usual time between messages (s) in an hour, by vehicle, of those that are asked for."""
WANTED: Final = [s.name for s in SIGNALS if s.kind in ("number", "boolean")]


@dataclass(frozen=True)
class Variant:
    """A catalogue and what its numbers depend on."""

    catalogue: Catalogue
    known: InForce


@dataclass(frozen=True)
class Replayed:
    """What catalogues find in a span of the lake.

    Attributes:
        findings: for each variant, rows of FINDING_SCHEMA.
        rows: rows of telemetry that were read.
        vehicle_days: days of vehicles with telemetry, an hour counted as 1/24.
    """

    findings: tuple[pl.DataFrame, ...]
    rows: int
    vehicle_days: float


def replay(
    telemetry: TableSnapshot,
    event_hours: Sequence[str],
    variants: Sequence[Variant],
    *,
    intervals: Intervals = lambda *_: {},
    advance: Callable[[int], None] = lambda _: None,
    most_rows: int = PART_ROWS,
) -> Replayed:
    """Judges hours by several catalogues, reading telemetry once.

    Args:
        telemetry: the table.
        event_hours: keys of the hours, in any order.
        variants: the catalogues.
        intervals: what `pinned_intervals` gives; without it vehicles send each second.
        advance: is told how many rows have been judged since it was last called.
        most_rows: about how many rows are held at a time.
    """
    found: list[list[pl.DataFrame]] = [[PIECE_SCHEMA.to_frame()] for _ in variants]
    rows = vehicle_hours = 0
    for event_hour in event_hours:
        start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
        for part in vehicle_parts(
            telemetry, event_hour, WANTED, context=CONTEXT, most_rows=most_rows
        ):
            samples = samples_of(part, WANTED, start_us)
            usual = intervals(event_hour, samples.vehicle_ids)
            for pieces, variant in zip(found, variants, strict=True):
                known = replace(variant.known, interval_s=usual) if usual else variant.known
                limits = resolve(variant.catalogue, samples, known)
                pieces.append(pieces_of(samples, limits, DETECTORS))
            inside = ~samples.is_context
            rows += int(inside.sum())
            vehicle_hours += len(set(samples.vehicle[inside].tolist()))
            advance(int(inside.sum()))
    return Replayed(
        tuple(
            findings_of(pl.concat(pieces), variant.catalogue)
            for pieces, variant in zip(found, variants, strict=True)
        ),
        rows,
        vehicle_hours / 24,
    )


def pinned_intervals(lake: Lake) -> Intervals:
    """By what the pipeline has judged an hour, or would judge one that it has not got to yet."""
    eligibility, states = lake.find("rule_eligibility"), lake.find("vehicle_hour_states")
    by_day: dict[str, dict[str, float]] = {}

    def before(event_hour: str, vehicle_ids: pl.Series) -> dict[str, float]:
        if states is None or vehicle_ids.is_empty():
            return {}
        known = by_day.setdefault(hour_start(event_hour).date().isoformat(), {})
        new = vehicle_ids.filter(~vehicle_ids.is_in(list(known)))
        if new.len():
            found = usual_intervals(states, event_hour, new)
            known.update({name: found.get(name, UNKNOWN_INTERVAL_S) for name in new})
        return known

    def intervals(event_hour: str, vehicle_ids: pl.Series) -> dict[str, float]:
        pins: dict[str, float] = {}
        if eligibility is not None:
            rows = eligibility.read(event_hour, ["vehicle_id", "usual_interval_seconds"])
            pins = dict(rows.iter_rows())
        return before(event_hour, vehicle_ids.filter(~vehicle_ids.is_in(list(pins)))) | pins

    return intervals
