"""Refreshing hours: new raw messages become telemetry, rejects and counts.

The commit to `telemetry` is the truth: it carries the version of `raw_telemetry` up to which the
hour's messages are taken in. Rejects and both tables of outcomes follow, each with the same
mark. When a crash comes between, the marks differ and `repair` brings the followers in line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import polars as pl

from fleet_assets.lake.hour_step import Made, take_in, totals
from fleet_assets.lake.hour_tables import FOLLOWERS, HourTables
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.messages import Span, newest_raw_versions, step_end
from fleet_assets.lake.present import readmissions
from fleet_assets.lake.rebuild import rebuild_hour
from fleet_assets.lake.redecode import redecode_hour
from fleet_assets.lake.repair import redo
from fleet_assets.lake.sealed import is_frozen
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from fleet_assets.telemetry.validation import Verdict

STEP_MESSAGES: Final = 1_000_000
"""Most messages that one step takes in; a landing is never divided."""


@dataclass(frozen=True)
class HourRefreshed:
    """What became of one hour.

    Attributes:
        processed_version: version of `raw_telemetry` whose messages are now included.
        new_messages: messages taken in by this refresh (all of the hour's, for a rebuild).
        rebuilt: the hour was made anew from all its messages.
        verdicts: the checks that ran before the commits.
        totals: the hour's outcomes, by name of the count.
    """

    event_hour: str
    processed_version: int
    new_messages: int
    rebuilt: bool
    verdicts: tuple[Verdict, ...]
    totals: dict[str, int]


def refresh_hour(
    lake: Lake,
    event_hour: str,
    known_vehicles: frozenset[str],
    late_after: timedelta,
    *,
    force_rebuild: bool = False,
    raw: TableSnapshot | None = None,
) -> HourRefreshed:
    """Takes an hour's new messages in, or rebuilds it.

    Args:
        lake: the lake.
        event_hour: key of the hour.
        known_vehicles: ids of all registered vehicles.
        late_after: age at arrival from which on a message counts as late.
        force_rebuild: make the hour anew from its raw messages even if nothing says that it must
            be. Where they have expired, what was made of them stands and new ones are taken in.
        raw: snapshot of `raw_telemetry` to read; the newest if not given.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
    """
    snapshot = raw or lake.open("raw_telemetry")
    landed = newest_raw_versions(snapshot).get(event_hour, -1)
    taken_in, rebuild_it = 0, force_rebuild

    def attempt() -> tuple[HourRefreshed, bool]:
        tables = HourTables.open(lake)
        lagging = tables.lagging(event_hour)
        if landed < 0 and tables.mark(event_hour).version is None:
            return _unchanged(tables, event_hour), False  # nothing has ever come
        frozen = is_frozen(tables.telemetry, event_hour)
        if frozen and not lagging and landed <= _since(tables, event_hour):
            return _unchanged(tables, event_hour), False
        if tables.raw_is_complete(event_hour) and (rebuild_it or lagging):
            made, upto = rebuild_hour(tables, event_hour, known_vehicles, late_after, STEP_MESSAGES)
            return _refreshed(event_hour, upto, made, rebuilt=True), False
        if lagging:
            redo(lake, tables, event_hour, known_vehicles, late_after)
            return _unchanged(tables, event_hour), True
        if rebuild_it and redecode_hour(tables, event_hour):
            return replace(_unchanged(tables, event_hour), rebuilt=True), True
        return _take_in(tables, event_hour, known_vehicles, late_after)

    anew = False
    while True:
        refreshed, more = retrying(f"refresh of {event_hour}", attempt)
        taken_in += refreshed.new_messages
        anew = anew or refreshed.rebuilt
        rebuild_it = rebuild_it and more and not anew
        if not more and refreshed.processed_version >= landed:
            return replace(refreshed, new_messages=taken_in, rebuilt=anew)


def refresh_together(
    lake: Lake,
    event_hours: Iterable[str],
    known_vehicles: frozenset[str],
    late_after: timedelta,
) -> dict[str, HourRefreshed]:
    """Takes in the new messages of many small hours with a few commits.

    Each hour has its own mark, as if it were refreshed alone. Hours that need more than that
    (a repair, a registered vehicle), and all hours of a set that fails, are left out: they are to
    be refreshed one by one.
    """
    done: dict[str, HourRefreshed] = {}
    for spans in _small_sets(HourTables.open(lake), event_hours, known_vehicles):
        tables = HourTables.open(lake)
        try:
            made = take_in(tables, spans, known_vehicles, late_after)
        except Exception:  # whatever it is, the hour that is to blame will tell it when alone
            continue
        done |= {hour: _refreshed(hour, span.upto, made) for hour, span in spans.items()}
    return done


def _small_sets(
    tables: HourTables, event_hours: Iterable[str], known_vehicles: frozenset[str]
) -> list[dict[str, Span]]:
    """Sets of hours whose messages fit into one step, with what each has to take in."""
    newest = newest_raw_versions(tables.raw)
    if not newest:
        return []
    sizes = dict(tables.raw.files.group_by("event_hour").agg(pl.col("num_records").sum()).rows())
    plain = {}
    for hour in event_hours:
        since, upto = _since(tables, hour), newest.get(hour, -1)
        if upto > since and not tables.lagging(hour) and sizes[hour] <= STEP_MESSAGES:
            plain[hour] = Span(since, upto)
    registered = tables.registered(plain, known_vehicles)
    sets: list[dict[str, Span]] = [{}]
    size = 0
    for hour, span in plain.items():
        if hour in registered:
            continue
        if size + sizes[hour] > STEP_MESSAGES:
            sets.append({})
            size = 0
        sets[-1][hour] = span
        size += sizes[hour]
    return [spans for spans in sets if len(spans) > 1]


def _take_in(
    tables: HourTables, event_hour: str, known_vehicles: frozenset[str], late_after: timedelta
) -> tuple[HourRefreshed, bool]:
    """One step of one hour, and whether another has to follow."""
    since = _since(tables, event_hour)
    newest = max(newest_raw_versions(tables.raw).get(event_hour, -1), since)
    upto = step_end(tables.raw, event_hour, since, newest, STEP_MESSAGES)
    registered = tables.registered([event_hour], known_vehicles).get(event_hour)
    back = None
    if registered:
        back = readmissions(tables, event_hour, registered, most=STEP_MESSAGES)
    if upto == since and back is None:
        return _unchanged(tables, event_hour), False
    made = take_in(tables, {event_hour: Span(since, upto)}, known_vehicles, late_after, back)
    return _refreshed(event_hour, upto, made), upto < newest or back is not None


def _since(tables: HourTables, event_hour: str) -> int:
    version = tables.mark(event_hour).version
    return -1 if version is None else version


def _refreshed(event_hour: str, upto: int, made: Made, *, rebuilt: bool = False) -> HourRefreshed:
    return HourRefreshed(
        event_hour,
        upto,
        made.read.get(event_hour, 0),
        rebuilt,
        made.verdicts(event_hour),
        made.totals(event_hour),
    )


def _unchanged(tables: HourTables, event_hour: str) -> HourRefreshed:
    outcomes = tables.telemetry_outcomes.read(event_hour)
    return HourRefreshed(event_hour, _since(tables, event_hour), 0, False, (), totals(outcomes))


__all__ = [
    "FOLLOWERS",
    "HourRefreshed",
    "app_id",
    "newest_raw_versions",
    "refresh_hour",
    "refresh_together",
    "rows_id",
]
