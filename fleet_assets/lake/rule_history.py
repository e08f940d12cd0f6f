"""`rule_anomalies` of rules that look at local days, at trips and at trouble codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

import polars as pl

from fleet_assets.anomalies.from_history import code_anomalies, day_anomalies, trip_anomalies
from fleet_assets.anomalies.local_days import LONGEST_DAY, in_local_days
from fleet_assets.lake.by_onset import (
    ByOnset,
    Following,
    Gather,
    Stitched,
    by_chains,
    newest_event,
    stitch_hours,
)
from fleet_assets.lake.chains import Chains, Gathered, hours_of, read_groups
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.marks import by_hour, rows_id
from fleet_assets.lake.rule_anomalies import LONGEST_SILENT, RULE_ANOMALIES, of_history
from fleet_assets.lake.segments import CODES, SEGMENTS, rules_id
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.trips import TRIPS
from fleet_assets.rules.book import RuleBook
from partitions.hours import HOUR, hour_key, hour_start

VEHICLE_HOURS: Final = "vehicle_hours"
TRIP_COLUMNS: Final = (
    "event_hour", "vehicle_id", "trip_kind", "started_at", "ended_at", "state", "signals",
    "fuel_start_percent", "fuel_end_percent", "fuel_noise_percent",
)  # fmt: skip
DAY_COLUMNS: Final = ("event_hour", "vehicle_id", "idle_seconds", "engine_seconds")
_LOOKED_BACK: Final = timedelta(days=62)
"""Twice the days that the rules on trips look back: what precedes and what follows a change."""
_GROUP: Final = ("vehicle_id",)


def _judged(pieces: str) -> Callable[[Lake], dict[str, int]]:
    """By hour what changes with the rows of a table, and with the rules that count in the hour."""

    def numbers(lake: Lake) -> dict[str, int]:
        table, segments = lake.find(pieces), lake.find(SEGMENTS)
        rows = {} if table is None else by_hour(all_marks(table.delta), rows_id)
        rules = {} if segments is None else by_hour(all_marks(segments.delta), rules_id)
        return {hour: _mixed(number, rules.get(hour, 0)) for hour, number in rows.items()}

    return numbers


def _mixed(rows: int, rules: int) -> int:
    """One number that fits into the version of a Delta transaction."""
    return int.from_bytes(sha256(f"{rows}/{rules}".encode()).digest()[:6])


FOLLOWS: Final = (
    Following.of_found(RULE_ANOMALIES, CODES),
    Following(RULE_ANOMALIES, TRIPS, _judged(TRIPS)),
    Following(RULE_ANOMALIES, VEHICLE_HOURS, _judged(VEHICLE_HOURS)),
)


def history_left(lake: Lake, every: timedelta, now: datetime) -> set[str]:
    """Hours that the rules on days, trips and codes have still to look at, where it is time to."""
    return {
        hour
        for follows in FOLLOWS
        if _is_due(lake, follows, every, now)
        for hour in follows.hours_left(lake)
    }


def stitch_history(
    lake: Lake, book: RuleBook, every: timedelta, now: datetime
) -> Iterator[Stitched]:
    """Brings `rule_anomalies` in line with trouble codes, trips and local days.

    Trips and days are looked at no more often than `every`: each time a month is read.

    Args:
        lake: the lake.
        book: the rules.
        every: least time between two looks.
        now: the moment.
    """
    for what in by_history(lake, book):
        if _is_due(lake, what.follows, every, now):
            hours = {*what.follows.hours_left(lake), *_hours_of_days_over(lake, what.follows)}
            horizon = newest_event(lake, what.clock)
            marks = {
                looked_id(what.follows.pieces): int(now.timestamp()),
                over_id(what.follows.pieces): int(horizon.timestamp()),
            }
            yield stitch_hours(lake, sorted(hours), what, marks)


def by_history(lake: Lake, book: RuleBook) -> tuple[ByOnset, ...]:
    """How `rule_anomalies` follow from trouble codes, trips and local days."""
    return (_by_codes(lake, book), _by_trips(book), _by_days(book))


def looked_id(pieces: str) -> str:
    """When the rules that look at these pieces have last done so, in s since 1970."""
    return f"looked/{pieces}"


def over_id(pieces: str) -> str:
    """The newest event as it was then."""
    return f"over/{pieces}"


def _is_due(lake: Lake, follows: Following, every: timedelta, now: datetime) -> bool:
    table = lake.find(follows.table)
    looked = None if table is None else table.committed(looked_id(follows.pieces))
    if looked is None or follows.pieces == CODES:
        return True
    return now.timestamp() - looked >= every.total_seconds()


def _hours_of_days_over(lake: Lake, follows: Following) -> list[str]:
    """Hours of days that may have ended since they were last looked at, without a new message."""
    table, pieces = lake.find(follows.table), lake.find(follows.pieces)
    if follows.pieces != VEHICLE_HOURS or table is None or pieces is None:
        return []
    over = table.committed(over_id(VEHICLE_HOURS)) or 0
    now = newest_event(lake, SEGMENTS)
    before = datetime.fromtimestamp(over, UTC)
    if hour_key(before) == hour_key(now):
        return []
    return _between(hours_of(pieces), before - LONGEST_DAY, now)


def _by_codes(lake: Lake, book: RuleBook) -> ByOnset:
    """Whether a code is new depends on all of a vehicle's history: read if it has any code."""

    def chains(codes: TableSnapshot) -> Chains:
        def read(some: Sequence[str], groups: pl.DataFrame | None) -> pl.DataFrame:
            return read_groups(codes.scan(codes.files_of(some)), groups, _GROUP)

        def everywhere(rows: pl.DataFrame, _: datetime) -> pl.DataFrame:
            return rows.filter(pl.col("code").is_not_null()).select(_GROUP).unique()

        return Chains(_GROUP, hours_of(codes), read, everywhere, everywhere)

    def make(rows: pl.DataFrame, horizon: datetime) -> pl.DataFrame:
        whose = rows.filter(pl.col("code").is_not_null())["vehicle_id"].unique()
        trips = lake.open(TRIPS).read(
            columns=["vehicle_id", "started_at", "ended_at"],
            where=(pl.col("trip_kind") == "motion") & pl.col("vehicle_id").is_in(whose.implode()),
        )
        told = rows.filter(pl.col("vehicle_id").is_in(whose.implode()))
        return code_anomalies(told, trips, book, horizon)

    return _of("codes", CODES, by_chains(chains), make, book, HOUR)


def _by_trips(book: RuleBook) -> ByOnset:
    """Of vehicles whose trips look suspicious around a change, all trips are looked at."""

    drops = [
        rule.parameters["drop"].value or 0.0
        for catalogue in book.catalogues
        for rule in catalogue.rules
        if rule.by_trip and "drop" in rule.parameters
    ]
    least_drop = min(drops, default=100.0)

    def gather(trips: TableSnapshot, first: str, last: str, seeds: pl.DataFrame) -> Gathered:
        hours = hours_of(trips)
        since = hour_start(first) - _LOOKED_BACK
        window = _between(hours, since, hour_start(last) + _LOOKED_BACK)
        near = _read(trips, window, TRIP_COLUMNS).filter(pl.col("trip_kind") == "motion")
        inside = pl.col("event_hour").is_between(pl.lit(first), pl.lit(last))
        here = near.filter(inside).select(_GROUP)
        had = seeds.group_by(_GROUP).agg(pl.col("first").min())
        odd = suspicious(near.join(here, on="vehicle_id", how="semi"), least_drop)
        who = pl.concat([odd, had.select(_GROUP)]).unique()
        rest = sorted(set(hours) - set(window))
        rows = [near.join(who, on="vehicle_id", how="semi")]
        if who.height and rest:
            far = _read(trips, rest, TRIP_COLUMNS, who)
            rows.append(far.filter(pl.col("trip_kind") == "motion"))
        covered = who.join(had, on="vehicle_id", how="left").select(
            "vehicle_id",
            first=pl.min_horizontal(pl.lit(hour_key(since)), "first"),
            last=pl.lit(max([last, *hours[-1:]])),
        )
        return Gathered(pl.concat(rows), covered)

    return _of(
        "trips",
        TRIPS,
        gather,
        lambda rows, horizon: trip_anomalies(rows, book, horizon),
        book,
        _LOOKED_BACK,
    )


def suspicious(trips: pl.DataFrame, least_drop: float) -> pl.DataFrame:
    """Vehicles whose trips name different signals, or that lost fuel between two of them.

    Args:
        trips: trips by motion.
        least_drop: so many percent of fuel, or more.
    """
    before = pl.col("fuel_end_percent").shift(1)
    falls = before - pl.col("fuel_start_percent") >= least_drop
    return (
        trips.sort("vehicle_id", "started_at")
        .group_by("vehicle_id")
        .agg(odd=(pl.col("signals").n_unique() > 1) | falls.any())
        .filter("odd")
        .select("vehicle_id")
    )


def _by_days(book: RuleBook) -> ByOnset:
    """Local days that any of the hours may belong to."""

    def gather(table: TableSnapshot, first: str, last: str, seeds: pl.DataFrame) -> Gathered:
        begins, ends = hour_start(first) - LONGEST_DAY, hour_start(last) + LONGEST_DAY
        rows = _read(table, _between(hours_of(table), begins, ends), DAY_COLUMNS)
        in_days = in_local_days(rows, book.vehicles)
        cover = {"first": hour_key(begins), "last": last}
        onset = pl.col("started_at").dt.strftime("%Y-%m-%dT%H")
        wholly = onset.is_between(pl.lit(cover["first"]), pl.lit(cover["last"]))
        who = pl.concat([rows.select(_GROUP), seeds.select(_GROUP)]).unique()
        return Gathered(
            in_days.filter(wholly),
            who.with_columns(pl.lit(hour).alias(name) for name, hour in cover.items()),
        )

    return _of(
        "days",
        VEHICLE_HOURS,
        gather,
        lambda rows, horizon: day_anomalies(rows, book, horizon),
        book,
        2 * LONGEST_DAY,
    )


def _of(
    what: str,
    pieces: str,
    gather: Gather,
    make: Callable[[pl.DataFrame, datetime], pl.DataFrame],
    book: RuleBook,
    together: timedelta,
) -> ByOnset:
    return ByOnset(
        next(follows for follows in FOLLOWS if follows.pieces == pieces),
        SEGMENTS,
        "anomaly_id",
        _GROUP,
        gather,
        make,
        silent_after=pl.col("closes_at"),
        longest=LONGEST_SILENT,
        mine=of_history(book)[what],
        together=together,
    )


def _between(hours: Sequence[str], since: datetime, until: datetime) -> list[str]:
    return [hour for hour in hours if hour_key(since) <= hour <= hour_key(until)]


def _read(
    table: TableSnapshot,
    hours: Sequence[str],
    columns: Sequence[str],
    groups: pl.DataFrame | None = None,
) -> pl.DataFrame:
    rows = table.scan(table.files_of(hours)).select(columns)
    return read_groups(rows, groups, _GROUP)
