"""Running catalogues over the lake's history, as a backtest does: nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from fleet_assets.episodes.stitch import PIECE_SCHEMA
from fleet_assets.lake.segments import WANTED
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.usual_intervals import intervals_by
from fleet_assets.lake.vehicle_parts import PART_ROWS, vehicle_parts
from fleet_assets.rules.book import LOOK_BACK
from fleet_assets.rules.catalogue import Catalogue
from fleet_assets.rules.detect import pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.repeated import findings_of
from fleet_assets.rules.resolve import InForce, resolve
from fleet_assets.rules.samples import samples_of
from partitions.hours import hour_start

WORKERS: Final = 2
Intervals = Callable[[str, pl.Series], Mapping[str, float]]
"""Usual time between messages (s) in an hour, by vehicle, of those that are asked for."""


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

    def with_more(self, findings: Sequence[pl.DataFrame]) -> Replayed:
        """With further findings of each variant."""
        both = zip(self.findings, findings, strict=True)
        return replace(self, findings=tuple(pl.concat(pair) for pair in both))


def replay(
    telemetry: TableSnapshot,
    event_hours: Sequence[str],
    variants: Sequence[Variant],
    *,
    intervals: Intervals = lambda *_: {},
    advance: Callable[[int], None] = lambda _: None,
    most_rows: int = PART_ROWS,
    workers: int = WORKERS,
) -> Replayed:
    """Judges hours by several catalogues, reading telemetry once.

    Args:
        telemetry: the table.
        event_hours: keys of the hours, in any order.
        variants: the catalogues.
        intervals: what `pinned_intervals` gives; without it vehicles send each second.
        advance: is told how many rows have been judged since it was last called.
        most_rows: about how many rows a worker holds at a time.
        workers: how many hours are judged side by side.
    """
    found: list[list[pl.DataFrame]] = [[PIECE_SCHEMA.to_frame()] for _ in variants]
    rows = vehicle_hours = 0

    def judge(event_hour: str) -> _HourJudged:
        return _judged(telemetry, event_hour, variants, intervals, most_rows)

    pool = ThreadPoolExecutor(workers)  # numpy and Polars let go of the interpreter
    try:
        for judged in pool.map(judge, event_hours):
            for pieces, more in zip(found, judged.pieces, strict=True):
                pieces += more
            rows += judged.rows
            vehicle_hours += judged.vehicles
            advance(judged.rows)
    finally:
        pool.shutdown(cancel_futures=True)
    return Replayed(
        tuple(
            findings_of(pl.concat(pieces), variant.catalogue)
            for pieces, variant in zip(found, variants, strict=True)
        ),
        rows,
        vehicle_hours / 24,
    )


@dataclass(frozen=True)
class _HourJudged:
    """Pieces of an hour by variant, its rows and its vehicles."""

    pieces: list[list[pl.DataFrame]]
    rows: int
    vehicles: int


def _judged(
    telemetry: TableSnapshot,
    event_hour: str,
    variants: Sequence[Variant],
    intervals: Intervals,
    most_rows: int,
) -> _HourJudged:
    start_us = int(hour_start(event_hour).timestamp()) * 1_000_000
    found: list[list[pl.DataFrame]] = [[] for _ in variants]
    rows = vehicles = 0
    for part in vehicle_parts(
        telemetry, event_hour, WANTED, context=LOOK_BACK, most_rows=most_rows
    ):
        samples = samples_of(part, WANTED, start_us)
        usual = intervals(event_hour, samples.vehicle_ids)
        for pieces, variant in zip(found, variants, strict=True):
            known = replace(variant.known, interval_s=usual) if usual else variant.known
            limits = resolve(variant.catalogue, samples, known)
            pieces.append(pieces_of(samples, limits, DETECTORS))
        inside = ~samples.is_context
        rows += int(inside.sum())
        vehicles += len(set(samples.vehicle[inside].tolist()))
    return _HourJudged(found, rows, vehicles)


def pinned_intervals(lake: Lake) -> Intervals:
    """By what the pipeline has judged an hour, or would judge one that it has not got to yet."""
    eligibility, states = lake.find("rule_eligibility"), lake.find("vehicle_hour_states")
    by_day: dict[str, dict[str, float]] = {}

    def intervals(event_hour: str, vehicle_ids: pl.Series) -> dict[str, float]:
        of_day = by_day.setdefault(hour_start(event_hour).date().isoformat(), {})
        pins: dict[str, float] = {}
        if eligibility is not None:
            rows = eligibility.read(event_hour, ["vehicle_id", "usual_interval_seconds"])
            pins = dict(rows.iter_rows())
        if states is None:
            return pins
        found = intervals_by(states, event_hour, vehicle_ids, of_day | pins)
        of_day |= {name: value for name, value in found.items() if name not in pins}
        return found

    return intervals
