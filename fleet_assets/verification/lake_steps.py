"""What follows from telemetry: each step once more, its commits caught and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from fleet_assets.lake.anomalies import collect_anomalies
from fleet_assets.lake.by_onset import ByOnset, stitch_hours
from fleet_assets.lake.feature_windows import refresh_feature_windows
from fleet_assets.lake.model_anomalies import by_models
from fleet_assets.lake.model_segments import refresh_model_segments
from fleet_assets.lake.rule_anomalies import by_rules
from fleet_assets.lake.rule_history import by_history, over_id
from fleet_assets.lake.segments import refresh_segments
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import by_travel, refresh_trip_segments
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.rules.book import RuleBook
from fleet_assets.scoring.book import ModelBook
from fleet_assets.verification.differences import Difference, difference
from fleet_assets.verification.proposed import Proposal, ProposedLake

_ALWAYS_NEW: Final = ("found/", "states-")
"""Marks that each commit of an hour's step changes."""
_NEW_WITH_ROWS: Final = ("rows/", "stitch", "looked/", "over/")
"""Marks that each commit of what spans hours changes: all but the numbers of its pieces."""


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        differences: what differs.
        waiting: tables and hours that are not in line with their inputs yet: not compared.
        compared: so many tables times hours were compared.
    """

    differences: tuple[Difference, ...] = ()
    waiting: tuple[tuple[str, str], ...] = ()
    compared: int = 0

    def and_(self, other: Compared) -> Compared:
        """Both."""
        return Compared(
            (*self.differences, *other.differences),
            (*self.waiting, *other.waiting),
            self.compared + other.compared,
        )


@dataclass(frozen=True)
class Books:
    """What steps know besides the lake: rules, models, sizes of tanks by hour."""

    rules: RuleBook
    models: ModelBook
    tanks: Callable[[str], pl.DataFrame]


def hour_differences(lake: Lake, event_hour: str, books: Books) -> Compared:
    """Compares the tables of one hour that are made from its telemetry."""
    steps: Mapping[str, Callable[[Lake], object]] = {
        "vehicle_hours": lambda here: refresh_vehicle_hours(
            here, event_hour, books.tanks(event_hour), force=True
        ),
        "segments": lambda here: refresh_segments(here, event_hour, books.rules, force=True),
        "trip_segments": lambda here: refresh_trip_segments(here, event_hour, force=True),
        "feature_windows": lambda here: refresh_feature_windows(here, event_hour, force=True),
        "model_segments": lambda here: refresh_model_segments(
            here, event_hour, books.models, force=True
        ),
    }
    found = Compared()
    for name, step in steps.items():
        table = lake.find(name)
        if table is None or table.committed(f"hour/{event_hour}") is None:
            continue  # never made: nothing is stored that could be wrong
        caught = ProposedLake(lake.url)
        step(caught)
        for proposal in caught.proposals:
            found = found.and_(_of_hour(proposal, event_hour))
    return found


def onset_differences(lake: Lake, event_hours: Sequence[str], books: Books) -> Compared:
    """Compares what spans hours, as far as it takes part in some of them."""
    found = Compared()
    for what in (
        by_rules(books.rules), by_travel(), *by_history(lake, books.rules), by_models()
    ):  # fmt: skip
        if lake.find(what.table) is None or lake.find(what.follows.pieces) is None:
            continue
        left = set(what.follows.hours_left(lake))
        hours = [hour for hour in event_hours if hour not in left]
        caught = ProposedLake(lake.url)
        stitch_hours(caught, hours, _as_of_then(lake, what))
        found = found.and_(_of_onsets(caught.proposals))
        waiting = tuple((what.table, hour) for hour in event_hours if hour in left)
        found = found.and_(Compared(waiting=waiting, compared=len(hours)))
    if lake.find("anomalies") is not None:
        caught = ProposedLake(lake.url)
        collect_anomalies(caught, event_hours)
        found = found.and_(_of_onsets(caught.proposals))
        found = found.and_(Compared(compared=len(event_hours)))
    return found


def _of_hour(proposal: Proposal, event_hour: str) -> Compared:
    name = proposal.table.contract.name
    if not proposal.in_line(*_ALWAYS_NEW):
        return Compared(waiting=((name, event_hour),))
    by = proposal.table.contract.key
    made = difference(name, event_hour, proposal.stored(), proposal.made(), by)
    return Compared(() if made is None else (made,), compared=1)


def _of_onsets(proposals: Sequence[Proposal]) -> Compared:
    """By hour of onset; what is open goes on with each message and is left out."""
    found = Compared()
    for proposal in proposals:
        name = proposal.table.contract.name
        if not proposal.in_line(*_NEW_WITH_ROWS):
            hours = tuple((name, str(hour)) for hour in proposal.added)
            found = found.and_(Compared(waiting=hours))
            continue
        by = proposal.table.contract.key
        stored, made = proposal.stored(), proposal.made()
        is_open = stored.filter(state="open").select(by)
        stored = stored.join(is_open, on=by, how="anti")
        made = made.filter(pl.col("state") != "open").join(is_open, on=by, how="anti")
        for hour in sorted({*stored["event_hour"], *made["event_hour"]}):
            mine = pl.col("event_hour") == hour
            differs = difference(name, hour, stored.filter(mine), made.filter(mine), by)
            found = found.and_(Compared(() if differs is None else (differs,)))
    return found


def _as_of_then(lake: Lake, what: ByOnset) -> ByOnset:
    """The same as of the newest event that the stored rows were made with, where that is known."""
    table = lake.find(what.table)
    then = None if table is None else table.committed(over_id(what.follows.pieces))
    if then is None:
        return what
    horizon = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=then)
    return replace(what, make=lambda rows, now: what.make(rows, min(now, horizon)))
