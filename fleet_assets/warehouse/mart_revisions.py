"""Builds of the marts: as of when they are, and which figures of history they changed.

A build is opened before dbt's first commit and closed after its last; while one is open, or was cut
off, tables may be of different loads, and `marts.mart_as_of` says so. Closing it compares the
figures of all touched days with those that were noted before. What still fills is no revision: a
day that is not over in the fleet's time zones or has trips or anomalies that are open, and hours
that the marts have never shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.mart_causes import causes_of
from fleet_assets.warehouse.mart_figures import (
    FOLLOWED,
    OPEN,
    FollowedMart,
    days_of,
    figures_of,
    is_built,
)
from fleet_assets.warehouse.mart_marks import Topic
from partitions.hours import HOUR, hour_start
from partitions.local_days import AHEAD, BEHIND

TOLERANCE: Final = 1e-9
"""Share of a figure by which sums of floats may differ with the order of adding."""

KEPT: Final = timedelta(days=7)
"""Builds are a log of that length; revisions stay."""


@dataclass(frozen=True)
class Made:
    """Hours that a build makes anew.

    Attributes:
        hours: their keys; None: all.
        settled: those of them that were over and shown before: a change of theirs is a revision.
    """

    hours: list[str] | None
    settled: list[str]


@dataclass(frozen=True)
class Build:
    """A build under way.

    Attributes:
        build_id: of `warehouse.mart_builds`.
        as_of: what was loaded before is in the marts once the build is finished.
        made: by what the marts follow; None: the hours that are loaded.
        late_after: how long after its end an hour, or day, still fills.
    """

    build_id: int
    as_of: datetime
    made: Mapping[Topic | None, Made]
    late_after: timedelta


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
    marked: Mapping[Topic, Sequence[str]] | None = None,
) -> Build:
    """Opens a build.

    Args:
        postgres_url: the warehouse.
        as_of: the warehouse's clock before the loads that the build will show were asked for.
        hours: that will be made anew; None: all, of trips and findings, too.
        late_after: how long after its end an hour still fills.
        run_id: Dagster's.
        marked: hours by topic of what follows trips and findings; None: none.
    """
    wanted = None if hours is None else sorted(hours)
    asked: dict[Topic | None, list[str] | None] = {None: wanted}
    for mart in FOLLOWED:
        if mart.follows is not None:
            mine = (marked or {}).get(mart.follows, ())
            asked[mart.follows] = None if hours is None else sorted(mine)

    def begin(connection: psycopg.Connection) -> Build:
        made = {}
        for follows, some in asked.items():
            given = {"stage": follows or "marts", "hours": some, "follows": follows}
            shown = [hour for (hour,) in connection.execute(_SHOWN, given).fetchall()]
            settled = [h for h in shown if hour_start(h) + HOUR + late_after <= as_of]
            made[follows] = Made(some, settled)
        for mart in FOLLOWED:  # it may have been there before it was followed
            known = connection.execute(_IS_NOTED, [mart.name]).fetchone()
            if known is None and is_built(connection, mart):
                _compare(connection, mart, None)
                connection.execute(_KEEP, {"mart": mart.name})
        row = connection.execute(_BEGIN, [as_of, wanted, run_id]).fetchone()
        assert row is not None
        return Build(row[0], as_of, made, late_after)

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
        changed = sum(_note(connection, build, mart) for mart in FOLLOWED)
        connection.execute(_FINISH, [is_whole, build.build_id])
        connection.execute(_FORGET, [KEPT])
        return changed

    return transact(postgres_url, finish)


def _note(connection: psycopg.Connection, build: Build, mart: FollowedMart) -> int:
    made = build.made[mart.follows]
    is_anew = made.hours is None or _is_made_anew(connection, mart, build)
    if not is_built(connection, mart) or not (is_anew or made.hours):
        return 0
    _compare(connection, mart, None if is_anew else days_of(mart, made.hours or ()))
    given = {
        "mart": mart.name,
        "build": build.build_id,
        "as_of": build.as_of,
        "late_after": build.late_after,
        "cause": causes_of(
            connection, build.build_id, mart.name, mart.follows, made.settled, anew=is_anew
        ),
        "settled": made.settled,
        "days": None if is_anew else days_of(mart, made.settled),
        "is_local": mart.is_local,
        "ahead": AHEAD if mart.is_local else timedelta(0),
        "behind": BEHIND if mart.is_local else timedelta(0),
        "open": OPEN,
        "over_with": mart.over_with,
    }
    changed = connection.execute(_REVISE, given).rowcount
    connection.execute(_KEEP, given)
    return changed


def _is_made_anew(connection: psycopg.Connection, mart: FollowedMart, build: Build) -> bool:
    """All of its rows, because what they depend on has changed: `meta.anew_when` of the model."""
    found = connection.execute(_MADE_ANEW, [f"marts.{mart.name}", build.as_of]).fetchone()
    return found is not None


def _compare(
    connection: psycopg.Connection, mart: FollowedMart, days: Sequence[date] | None
) -> None:
    """Leaves figures that differ from those noted in the temporary table `changed_figures`."""
    connection.execute("drop table if exists pg_temp.changed_figures")
    statement = sql.SQL(_COMPARE).format(
        now=figures_of(mart, days), mart=sql.Literal(mart.name), tolerance=sql.Literal(TOLERANCE),
        days=sql.SQL("true") if days is None else sql.SQL("date_day = any({})").format(list(days)),
    )  # fmt: skip
    connection.execute(statement)


# trips and findings are shown by the build after their load
_SHOWN = """
select event_hour from warehouse.stage_ledger
where
    stage = %(stage)s and first_processed_at is not null
    and (%(hours)s::text[] is null or event_hour = any(%(hours)s))
    and (
        %(follows)s::text is null
        or first_processed_at < (
            select max(as_of) from warehouse.mart_builds where finished_at is not null and is_whole
        )
    )
order by event_hour
"""
_MADE_ANEW = "select from warehouse.dbt_relations where relation = %s and made_at >= %s"
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
with zones as materialized (
    select distinct
        coalesce(fleet_id, '(none)') as fleet_id,
        coalesce(time_zone, 'UTC') as time_zone
    from warehouse.vehicles
    where %(is_local)s
)
insert into warehouse.mart_revisions (
    build_id, as_of, mart, date_day, fleet_id, measure, value_before, value_after, cause, hours
)
select
    %(build)s, %(as_of)s, %(mart)s,
    date_day, fleet_id, measure, value_before, value_after, %(cause)s,
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
    measure <> %(open)s
    and (%(days)s::date[] is null or date_day = any(%(days)s))
    -- over in all time zones of the fleet
    and coalesce(
        (
            select max((date_day + 1)::timestamp at time zone zones.time_zone)
            from zones where zones.fleet_id = changed.fleet_id
        ),
        (date_day + 1)::timestamp at time zone 'UTC' + %(behind)s
    ) + %(late_after)s <= %(as_of)s
    and exists (
        select from warehouse.mart_figures as noted
        where noted.mart = %(mart)s and noted.date_day = changed.date_day
    )
    and not exists (
        select from warehouse.mart_figures as noted
        where
            noted.mart = %(over_with)s
            and noted.date_day = changed.date_day
            and noted.fleet_id = changed.fleet_id
            and noted.measure = %(open)s
            and noted.value > 0
    )
"""
_KEEP = """
insert into warehouse.mart_figures (mart, date_day, fleet_id, measure, value)
select %(mart)s, date_day, fleet_id, measure, value_after from changed_figures
on conflict (mart, date_day, fleet_id, measure) do update set value = excluded.value
"""
