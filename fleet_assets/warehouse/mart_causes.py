"""Why figures of history change from one build of the marts to the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import psycopg

from fleet_assets.warehouse.mart_marks import Topic
from partitions.hours import hour_start

FOLLOWS_WITHIN: Final = timedelta(hours=1)
"""Trips and findings follow the hours at a pace of their own: a revised hour is looked for as long
before the last build."""
REACHES: Final = timedelta(days=1)
"""How far from a trip's or anomaly's onset the hour may lie that changed it."""


def causes_of(
    connection: psycopg.Connection,
    build_id: int,
    mart: str,
    follows: Topic | None,
    settled: Sequence[str],
    *,
    anew: bool,
) -> str:
    """Causes in words, with commas between, of what has changed since the last build that ended.

    Args:
        connection: a transaction.
        build_id: the build that shows the changes.
        mart: whose figures have changed.
        follows: what the mart follows; None: the hours that are loaded.
        settled: keys of hours that were shown before and are made anew.
        anew: all hours are made anew, by hand or because of what all rows depend on.
    """
    judged = follows is not None
    given = {
        "build": build_id,
        "mart": mart,
        "settled": [hour_start(hour) for hour in settled],
        "anew": anew,
        "judged": judged,
        "within": FOLLOWS_WITHIN if judged else timedelta(0),
        "reaches": REACHES if judged else timedelta(0),
        "otherwise": "judged again" if judged else "loaded again",
    }
    row = connection.execute(_CAUSES, given).fetchone()
    assert row is not None
    return str(row[0])


_CAUSES: Final = """
with last as (
    select coalesce(max(as_of), '-infinity') as as_of from warehouse.mart_builds
    where finished_at is not null and build_id < %(build)s
),
told as (
    select coalesce(max(as_of), '-infinity') as as_of from warehouse.mart_revisions
    where mart = %(mart)s
),
causes as (
    select revised.cause from warehouse.hour_revisions as revised, last, told
    where
        revised.revised_at >= least(last.as_of, greatest(last.as_of - %(within)s, told.as_of))
        and exists (
            select from unnest(%(settled)s::timestamptz[]) as hours (hour_start)
            where
                revised.hour_start >= hours.hour_start - %(reaches)s
                and revised.hour_start <= hours.hour_start + %(reaches)s
        )
    union
    select lineage.cause from warehouse.anomaly_lineage as lineage, last
    where lineage.noted_at >= last.as_of and %(judged)s
    union
    select 'marks' from warehouse.anomaly_feedback as feedback, last
    where feedback.marked_at >= last.as_of and %(judged)s
    union
    select 'vehicles' from warehouse.vehicles_history as history, last
    where history.imported_at >= last.as_of
    union
    select case actions.action when 'erase' then 'erasure' else 'retention' end
    from warehouse.retention_actions as actions, last
    where
        actions.acted_at >= last.as_of
        and actions.action in ('erase', 'retire')
        and actions.place in ('warehouse', 'marts')
    union
    select 'full rebuild' where %(anew)s
)
select coalesce(string_agg(cause, ', ' order by cause), %(otherwise)s) from causes
"""
