"""The history of hours that changed after they were shown: when, why, by how much.

Append-only, written in the transaction that loads the hour. History, so exempt from the law that a
rebuild gives the same rows. Growth is no revision: an hour that still fills is not revised.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import polars as pl
import psycopg

from fleet_assets.warehouse.connection import transact
from partitions.hours import hour_start

Cause = Literal["late", "registered", "rebuild", "repair"]
COUNTS: Final = ("read", "accepted", "duplicate", "rejected", "late")


@dataclass(frozen=True)
class HourCounts:
    """What is shown of one hour.

    Attributes:
        read, accepted, duplicate, rejected, late: messages, summed over the outcomes.
        unknown_vehicle: messages refused because their vehicle is not registered.
        rows: rows of vehicle_hours.
    """

    read: int
    accepted: int
    duplicate: int
    rejected: int
    late: int
    unknown_vehicle: int
    rows: int


@dataclass(frozen=True)
class Revision:
    """One change of an hour that had been shown; counts before → after."""

    event_hour: str
    revision: int
    revised_at: datetime
    run_id: str | None
    cause: Cause
    messages_added: int
    late_added: int
    accepted_before: int
    accepted_after: int
    duplicate_before: int
    duplicate_after: int
    rejected_before: int
    rejected_after: int
    rows_before: int
    rows_after: int


def cause_of(before: HourCounts, after: HourCounts, *, by_hand: bool) -> Cause:
    """Why the counts differ.

    Args:
        before: what was shown.
        after: what is loaded now.
        by_hand: somebody asked for the hour to be made anew.
    """
    if after.read > before.read:
        return "late"
    if after.unknown_vehicle < before.unknown_vehicle:
        return "registered"
    return "rebuild" if by_hand else "repair"


def counts_of(outcomes: pl.DataFrame, vehicle_outcomes: pl.DataFrame, rows: int) -> HourCounts:
    """Counts of one hour from its outcomes by range and by vehicle."""
    read, accepted, duplicate, rejected, late = outcomes.select(pl.col(COUNTS).sum()).row(0)
    refused = vehicle_outcomes.filter(pl.col("rejected_by_reason").str.contains("unknown_vehicle"))
    unknown = sum(
        json.loads(reasons).get("unknown_vehicle", 0) for reasons in refused["rejected_by_reason"]
    )
    return HourCounts(read, accepted, duplicate, rejected, late, unknown, rows)


def shown_counts(connection: psycopg.Connection, event_hour: str) -> HourCounts | None:
    """Counts of the hour as it is loaded; None: the marts have never shown it."""
    given = {"hour": event_hour, "start": hour_start(event_hour)}
    found = connection.execute(_SHOWN, given).fetchone()
    return None if found is None else HourCounts(*found)


def note_revision(
    connection: psycopg.Connection,
    event_hour: str,
    before: HourCounts,
    after: HourCounts,
    cause: Cause,
    run_id: str | None,
) -> None:
    """Adds a row if anything changed."""
    if before == after:
        return
    values = {
        "hour": event_hour,
        "start": hour_start(event_hour),
        "run_id": run_id,
        "cause": cause,
        "messages_added": after.read - before.read,
        "late_added": after.late - before.late,
    }
    for name in ("accepted", "duplicate", "rejected", "rows"):
        values[f"{name}_before"] = getattr(before, name)
        values[f"{name}_after"] = getattr(after, name)
    connection.execute(_NOTE, values)


def read_revisions(postgres_url: str, hours: Iterable[str] | None = None) -> list[Revision]:
    """Revisions by hour and number.

    Args:
        postgres_url: the warehouse.
        hours: only of these hours.
    """
    given = {"hours": None if hours is None else list(hours)}
    found = transact(postgres_url, lambda c: c.execute(_READ, given).fetchall())
    return [Revision(*row) for row in found]


def first_shown(postgres_url: str, hours: Iterable[str]) -> dict[str, datetime]:
    """When the marts first showed each hour."""
    given = {"hours": list(hours)}
    return dict(transact(postgres_url, lambda c: c.execute(_FIRST, given).fetchall()))


_SHOWN = """
select
    coalesce(sum(read), 0)::bigint,
    coalesce(sum(accepted), 0)::bigint,
    coalesce(sum(duplicate), 0)::bigint,
    coalesce(sum(rejected), 0)::bigint,
    coalesce(sum(late), 0)::bigint,
    (
        select coalesce(sum(unknown_vehicle), 0)::bigint from warehouse.vehicle_outcomes
        where hour_start = %(start)s
    ),
    (select count(*) from warehouse.vehicle_hours where hour_start = %(start)s)
from warehouse.telemetry_outcomes
where
    hour_start = %(start)s
having exists (
    select from warehouse.stage_ledger
    where stage = 'marts' and event_hour = %(hour)s and first_processed_at is not null
)
"""
_NOTE = """
insert into warehouse.hour_revisions (
    event_hour, revision, hour_start, run_id, cause, messages_added, late_added,
    accepted_before, accepted_after, duplicate_before, duplicate_after,
    rejected_before, rejected_after, rows_before, rows_after
)
select
    %(hour)s,
    coalesce(max(revision), 0) + 1,
    %(start)s, %(run_id)s, %(cause)s, %(messages_added)s, %(late_added)s,
    %(accepted_before)s, %(accepted_after)s, %(duplicate_before)s, %(duplicate_after)s,
    %(rejected_before)s, %(rejected_after)s, %(rows_before)s, %(rows_after)s
from warehouse.hour_revisions
where event_hour = %(hour)s
"""
_READ = """
select
    event_hour, revision, revised_at, run_id, cause, messages_added, late_added,
    accepted_before, accepted_after, duplicate_before, duplicate_after,
    rejected_before, rejected_after, rows_before, rows_after
from warehouse.hour_revisions
where %(hours)s::text[] is null or event_hour = any(%(hours)s)
order by event_hour, revision
"""
_FIRST = """
select event_hour, first_processed_at from warehouse.stage_ledger
where stage = 'marts' and event_hour = any(%(hours)s) and first_processed_at is not null
"""
