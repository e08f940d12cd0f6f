"""Builds of the marts: as of when they are, and which figures of history they changed.

A build is opened before dbt's first commit and closed after its last; while one is open, or was cut
off, tables may be of different loads, and `marts.mart_as_of` says so. Closing it compares the
figures of all touched days with those that were noted before. What still fills is no revision:
an hour that is open, or that the marts have never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.mart_figures import (
    AHEAD,
    BEHIND,
    FOLLOWED,
    FollowedMart,
    days_of,
    figures_of,
    is_built,
)
from partitions.hours import hour_start

TOLERANCE: Final = 1e-9
"""Share of a figure by which sums of floats may differ with the order of adding."""

KEPT: Final = timedelta(days=7)
"""Builds are a log of that length; revisions stay."""


@dataclass(frozen=True)
class Build:
    """A build under way.

    Attributes:
        build_id: of `warehouse.mart_builds`.
        hours: the hours that it makes anew; None: all.
        settled: those of them that were over and shown before: a change of theirs is a revision.
    """

    build_id: int
    hours: list[str] | None
    settled: list[str]


def warehouse_clock(postgres_url: str) -> datetime:
    """What time it is for the warehouse."""
    row = transact(
        postgres_url, lambda connection: connection.execute("select clock_timestamp()").fetchone()
    )
    assert row is not None
    moment: datetime = row[0]
    return moment


def begin_build(
    postgres_url: str,
    as_of: datetime,
    hours: Sequence[str] | None,
    late_after: timedelta,
    run_id: str | None = None,
) -> Build:
    """Opens a build.

    Args:
        postgres_url: the warehouse.
        as_of: the warehouse's clock before the loads that the build will show were asked for.
        hours: that will be made anew; None: all.
        late_after: how long after its end an hour still fills.
        run_id: Dagster's.
    """
    wanted = None if hours is None else sorted(hours)

    def begin(connection: psycopg.Connection) -> Build:
        shown = [hour for (hour,) in connection.execute(_SHOWN, [wanted, wanted]).fetchall()]
        settled = [h for h in shown if hour_start(h) + timedelta(hours=1) + late_after <= as_of]
        for mart in FOLLOWED:  # it may have been there before it was followed
            known = connection.execute(_IS_NOTED, [mart.name]).fetchone()
            if known is None and is_built(connection, mart):
                _compare(connection, mart, None)
                connection.execute(_KEEP, {"mart": mart.name})
        row = connection.execute(_BEGIN, [as_of, wanted, run_id]).fetchone()
        assert row is not None
        return Build(row[0], wanted, settled)

    return transact(postgres_url, begin)


def finish_build(postgres_url: str, build: Build, *, is_whole: bool = True) -> int:
    """Closes a build: notes figures and revisions, and that the marts are of its time now.

    Args:
        postgres_url: the warehouse.
        build: which.
        is_whole: all marts were built, so that they are as of the build's beginning.

    Returns:
        How many figures of history it changed.
    """

    def finish(connection: psycopg.Connection) -> int:
        given = {"build": build.build_id, "settled": build.settled, "all": build.hours is None}
        told = connection.execute(_CAUSES, given).fetchone()
        assert told is not None
        changed = sum(_note(connection, build, mart, told[0]) for mart in FOLLOWED)
        connection.execute(_FINISH, [is_whole, build.build_id])
        connection.execute(_FORGET, [KEPT])
        return changed

    return transact(postgres_url, finish)


def _note(connection: psycopg.Connection, build: Build, mart: FollowedMart, cause: str) -> int:
    if not is_built(connection, mart):
        return 0
    _compare(connection, mart, None if build.hours is None else days_of(mart, build.hours))
    given = {
        "mart": mart.name,
        "build": build.build_id,
        "cause": cause,
        "settled": build.settled,
        "days": days_of(mart, build.settled),
        "ahead": AHEAD if mart.is_local else timedelta(0),
        "behind": BEHIND if mart.is_local else timedelta(0),
    }
    changed = connection.execute(_REVISE, given).rowcount
    connection.execute(_KEEP, given)
    return changed


def _compare(connection: psycopg.Connection, mart: FollowedMart, days: list[Any] | None) -> None:
    """Leaves figures that differ from those noted in the temporary table `changed_figures`."""
    connection.execute("drop table if exists pg_temp.changed_figures")
    statement = sql.SQL(_COMPARE).format(
        now=figures_of(mart, days), mart=sql.Literal(mart.name), tolerance=sql.Literal(TOLERANCE),
        days=sql.SQL("true") if days is None else sql.SQL("date_day = any({})").format(days),
    )  # fmt: skip
    connection.execute(statement)


_SHOWN = """
select event_hour from warehouse.stage_ledger
where
    stage = 'marts' and first_processed_at is not null
    and (%s::text[] is null or event_hour = any(%s))
order by event_hour
"""
_IS_NOTED = "select from warehouse.mart_figures where mart = %s limit 1"
_BEGIN = """
insert into warehouse.mart_builds (as_of, hours, run_id) values (%s, %s, %s) returning build_id
"""
_FINISH = """
update warehouse.mart_builds
set finished_at = clock_timestamp(), is_whole = %s
where build_id = %s
"""
_FORGET = "delete from warehouse.mart_builds where finished_at < clock_timestamp() - %s"
# why settled hours changed, since the last build that ended
_CAUSES = """
with last as (
    select coalesce(max(as_of), '-infinity') as as_of from warehouse.mart_builds
    where finished_at is not null and build_id < %(build)s
),
causes as (
    select revised.cause from warehouse.hour_revisions as revised, last
    where revised.event_hour = any(%(settled)s) and revised.revised_at >= last.as_of
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
    select 'full rebuild' where %(all)s
)
select coalesce(string_agg(cause, ', ' order by cause), 'loaded again') from causes
"""
_COMPARE = """
create temporary table changed_figures on commit drop as
with figures_now as ({now}),
noted as (select * from warehouse.mart_figures where mart = {mart} and {days})
select
    coalesce(figures_now.day, noted.date_day) as date_day,
    coalesce(figures_now.fleet_id, noted.fleet_id) as fleet_id,
    coalesce(figures_now.measure, noted.measure) as measure,
    noted.value as value_before,
    figures_now.value as value_after
from figures_now
full join noted
    on
        figures_now.day = noted.date_day
        and figures_now.fleet_id = noted.fleet_id
        and figures_now.measure = noted.measure
where
    figures_now.value is distinct from noted.value
    and coalesce(
        abs(figures_now.value - noted.value)
        > {tolerance} * greatest(abs(figures_now.value), abs(noted.value)),
        true
    )
"""
_REVISE = """
insert into warehouse.mart_revisions (
    build_id, as_of, mart, date_day, fleet_id, measure, value_before, value_after, cause, hours
)
select
    %(build)s,
    (select as_of from warehouse.mart_builds where build_id = %(build)s),
    %(mart)s, date_day, fleet_id, measure, value_before, value_after, %(cause)s,
    (
        select array_agg(hour order by hour)
        from unnest(%(settled)s::text[]) as hours (hour)
        where
            to_timestamp(hour || 'Z', 'YYYY-MM-DD"T"HH24TZ')
            >= (date_day::timestamp - %(ahead)s) at time zone 'UTC'
            and to_timestamp(hour || 'Z', 'YYYY-MM-DD"T"HH24TZ')
            < (date_day + 1)::timestamp at time zone 'UTC' + %(behind)s
    )
from changed_figures as changed
where
    date_day = any(%(days)s)
    and exists (
        select from warehouse.mart_figures as noted
        where noted.mart = %(mart)s and noted.date_day = changed.date_day
    )
"""
_KEEP = """
insert into warehouse.mart_figures (mart, date_day, fleet_id, measure, value)
select %(mart)s, date_day, fleet_id, measure, value_after from changed_figures
on conflict (mart, date_day, fleet_id, measure) do update set value = excluded.value
"""
