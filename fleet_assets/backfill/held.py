"""Which hours of a span can be made anew, and from how many messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from fleet_assets.backfill.steps import Step
from fleet_assets.lake.expired import expired_hours
from fleet_assets.lake.log import all_marks
from fleet_assets.lake.sealed import frozen_hours
from fleet_assets.lake.store import Lake
from partitions.days import day_of
from partitions.hours import HOUR, hour_start


@dataclass(frozen=True)
class Held:
    """What the lake holds of the hours of a span.

    Attributes:
        raw: raw messages by hour.
        telemetry: rows of telemetry by hour.
        others: hours that have results in the lake without a row of telemetry.
        expired: hours whose raw messages are gone: they are made from what was kept of them.
        lost: hours whose telemetry, or that of the hour before, is gone, too: they stay as they
            are.
        open: hours that fill still: the refresh makes them anew all the time.
    """

    raw: Mapping[str, int] = field(default_factory=dict)
    telemetry: Mapping[str, int] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    expired: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


def held(lake: Lake, hours: Iterable[str], now: datetime, grace: timedelta) -> Held:
    """What there is to work with; nothing is read but file lists and the hours' outcomes.

    Args:
        lake: the lake.
        hours: keys of hours.
        now: the moment.
        grace: how long after its end an hour still fills.
    """
    wanted = set(hours)
    still_open = {hour for hour in wanted if hour_start(hour) + HOUR + grace > now}
    closed = wanted - still_open
    raw, telemetry = _rows(lake, "raw_telemetry", closed), _rows(lake, "telemetry", closed)
    results = _rows(lake, "vehicle_hours", closed)
    accepted = _accepted(lake, closed)
    lost = {hour for hour, rows in accepted.items() if rows and not telemetry.get(hour)}
    lost |= _frozen(lake) & closed
    kept = closed - lost
    expired = set(expired_hours(lake, lake.open("raw_telemetry"))) & kept
    return Held(
        raw={hour: rows for hour, rows in raw.items() if hour in kept},
        telemetry={hour: rows for hour, rows in telemetry.items() if hour in kept},
        others=frozenset((accepted.keys() & kept) | results.keys()),
        expired=tuple(sorted(expired)),
        lost=tuple(sorted(lost)),
        open=tuple(sorted(still_open & (_rows(lake, "raw_telemetry", still_open).keys()))),
    )


def messages_of(step: Step, has: Held) -> dict[str, int]:
    """Hours, or days, that a step can make anew, with how many messages each has."""
    if step.name == "refresh_telemetry":
        hours = {**has.telemetry, **dict.fromkeys(has.others - set(has.lost), 0)}
        fresh = {hour: rows for hour, rows in has.raw.items() if hour not in has.expired}
        return {**{h: has.telemetry.get(h, 0) for h in hours if h not in has.lost}, **fresh}
    if step.name == "refresh_vehicle_hours":
        kept = has.others - set(has.lost)
        return {hour: has.telemetry.get(hour, 0) for hour in kept | has.telemetry.keys()}
    if step.name == "load_warehouse":
        return {hour: has.telemetry.get(hour, 0) for hour in has.others | has.telemetry.keys()}
    if step.unit == "hour":
        return dict(has.telemetry)
    days: dict[str, int] = {}
    for hour, rows in has.telemetry.items():
        days[day_of(hour)] = days.get(day_of(hour), 0) + rows
    return days


def _rows(lake: Lake, name: str, hours: set[str]) -> dict[str, int]:
    """Rows of a table by hour, from its file list; hours without rows are left out."""
    table = lake.find(name)
    if table is None or table.files.is_empty():
        return {}
    files = table.files_of(hours)
    counted = files.group_by("event_hour").agg(pl.col("num_records").sum())
    return {hour: rows for hour, rows in counted.iter_rows() if rows}


def _frozen(lake: Lake) -> set[str]:
    """Hours that retention has sealed."""
    table = lake.find("telemetry")
    return set() if table is None else frozen_hours(all_marks(table.delta))


def _accepted(lake: Lake, hours: set[str]) -> dict[str, int]:
    """Messages that were accepted, by hour that has outcomes."""
    table = lake.find("telemetry_outcomes")
    if table is None or table.files.is_empty():
        return {}
    rows = table.read_files(table.files_of(hours), ["event_hour", "accepted"])
    return dict(rows.group_by("event_hour").agg(pl.col("accepted").sum()).iter_rows())
