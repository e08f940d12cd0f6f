"""Recent telemetry in PostgreSQL: hours of the lake, moved on by the rows that came and went.

Rows and the version of telemetry that they are of are committed together, so an hour that is loaded
again, or by two at once, holds each row once. The lake is the truth; this is a window on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.recent import RecentChange, recent_change, rows_of_minutes
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.telemetry.recent import KEY, Extent, first_of_minutes, minute
from fleet_assets.warehouse.connection import LOAD_TRIES, transact
from fleet_assets.warehouse.copying import copy_rows
from partitions.hours import hour_window

MOST_FIRSTS: Final = 2_000_000
"""First rows of minutes that are held before they are thinned out."""


@dataclass(frozen=True)
class NotedHour:
    """What of an hour is loaded.

    Attributes:
        telemetry_version: version of telemetry that its rows are of.
        rows_number: number of the hour's rows in that version.
    """

    telemetry_version: int
    rows_number: int


@dataclass(frozen=True)
class RecentLoaded:
    """What a load of an hour has done: rows of the lake that came and went, minutes written."""

    came: int = 0
    gone: int = 0
    minutes: int = 0


def noted_hours(connection: psycopg.Connection) -> dict[str, NotedHour]:
    """Hours that are loaded."""
    rows = connection.execute(
        "select event_hour, telemetry_version, rows_number from warehouse.telemetry_recent_hours"
    )
    return {hour: NotedHour(version, number) for hour, version, number in rows.fetchall()}


def noted_extent(connection: psycopg.Connection) -> Extent | None:
    """From when on readers see each level; None: nothing is there."""
    row = connection.execute(
        "select full_from, minutes_from from warehouse.telemetry_recent_extent"
    ).fetchone()
    return None if row is None else Extent(*row)


def load_recent_hour(
    postgres_url: str,
    telemetry: TableSnapshot,
    event_hour: str,
    rows_number: int,
    extent: Extent,
    run_id: str | None,
) -> RecentLoaded:
    """Brings an hour to this version of telemetry, in one transaction.

    Args:
        postgres_url: the warehouse.
        telemetry: the version.
        event_hour: key of the hour, whose slices are there.
        rows_number: of the hour in this version.
        extent: rows of before are not loaded.
        run_id: who loads, for the record.

    Raises:
        WarehouseError: the server refuses, or stays out of reach through all tries.
    """

    def work(connection: psycopg.Connection) -> RecentLoaded:
        connection.execute("select pg_advisory_xact_lock(hashtext('telemetry_recent'))")
        noted = noted_hours(connection).get(event_hour)
        if noted is not None and noted.telemetry_version >= telemetry.version:
            return RecentLoaded()  # somebody else was quicker
        since = None if noted is None else noted.telemetry_version
        change = recent_change(telemetry, since, event_hour, extent.minutes_from)
        loaded = _Hour(connection, telemetry, event_hour, extent).moved_on(change)
        given = (event_hour, telemetry.version, rows_number, run_id)
        connection.execute(_NOTE_HOUR, given)
        fault_point("recent.before_commit")
        return loaded

    return transact(postgres_url, work, tries=LOAD_TRIES)


def note_extent(
    postgres_url: str, extent: Extent, *, is_cut: bool, size: int, most_bytes: int
) -> None:
    """What readers see from now on; hours of before are forgotten."""

    def work(connection: psycopg.Connection) -> None:
        given = (extent.full_from, extent.minutes_from, is_cut, size, most_bytes)
        connection.execute(_NOTE_EXTENT, given)
        connection.execute(
            "delete from warehouse.telemetry_recent_hours where event_hour < %s",
            [f"{extent.minutes_from:%Y-%m-%dT%H}"],
        )

    transact(postgres_url, work, tries=LOAD_TRIES)


def forget_recent(postgres_url: str) -> None:
    """Nothing is kept: readers see no row, and a later load begins anew."""

    def work(connection: psycopg.Connection) -> None:
        connection.execute("delete from warehouse.telemetry_recent_extent")
        connection.execute("delete from warehouse.telemetry_recent_hours")

    transact(postgres_url, work, tries=LOAD_TRIES)


@dataclass(frozen=True)
class _Hour:
    """One hour within its transaction."""

    connection: psycopg.Connection
    telemetry: TableSnapshot
    event_hour: str
    extent: Extent

    def moved_on(self, change: RecentChange) -> RecentLoaded:
        if change.anew:
            self._forget()
        gone = change.gone.select(KEY)
        self._remove(gone)
        came, firsts = 0, [change.gone.clear()]
        for rows in change.came:
            came += rows.height
            copy_rows(
                self.connection,
                sql.Identifier("warehouse", "telemetry_full"),
                rows.filter(pl.col("event_time") >= self.extent.full_from),
            )
            firsts.append(first_of_minutes(rows))
            if sum(map(len, firsts)) > MOST_FIRSTS:
                firsts = [first_of_minutes(pl.concat(firsts))]
        if not gone.is_empty():  # the first rows of their minutes may have gone
            minutes = gone.select("vehicle_id", minute()).unique()
            again = rows_of_minutes(self.telemetry, self.event_hour, minutes)
            firsts.append(first_of_minutes(again))
        first = first_of_minutes(pl.concat(firsts))
        self._merge(first)
        return RecentLoaded(came, gone.height, first.height)

    def _forget(self) -> None:
        start, end = hour_window(self.event_hour)
        for table in ("telemetry_full", "telemetry_minutes"):
            self._run("delete from {table} where {within}", table, "event_time", start, end)

    def _remove(self, gone: pl.DataFrame) -> None:
        if gone.is_empty():
            return
        self.connection.execute(
            "create temporary table gone (vehicle_id text, event_time timestamptz) on commit drop"
        )
        copy_rows(self.connection, sql.Identifier("gone"), gone)
        start, end = hour_window(self.event_hour)
        for table, condition in (
            ("telemetry_full", _SAME_ROW),
            ("telemetry_minutes", _SAME_MINUTE),
        ):
            words = f"delete from {{table}} as known using gone where {{within}} and {condition}"
            self._run(words, table, "known.event_time", start, end)

    def _merge(self, first: pl.DataFrame) -> None:
        """One row stays of each vehicle and minute: the earliest."""
        if first.is_empty():
            return
        self.connection.execute(
            "create temporary table came (like warehouse.telemetry_minutes) on commit drop"
        )
        copy_rows(self.connection, sql.Identifier("came"), first)
        self.connection.execute("analyze came")
        start, end = hour_window(self.event_hour)
        self._run(_DROP_LATER, "telemetry_minutes", "known.event_time", start, end)
        self._run(_ADD_FIRST, "telemetry_minutes", "known.event_time", start, end)

    def _run(self, words: str, table: str, at: str, start: datetime, end: datetime) -> None:
        """With literal bounds: PostgreSQL then plans only the slices of the hour."""
        within = sql.SQL("{at} >= {start} and {at} < {end}").format(
            at=sql.Identifier(*at.split(".")), start=sql.Literal(start), end=sql.Literal(end)
        )
        self.connection.execute(
            sql.SQL(words).format(table=sql.Identifier("warehouse", table), within=within)
        )


_SAME_ROW: Final = "known.vehicle_id = gone.vehicle_id and known.event_time = gone.event_time"
_SAME_MINUTE: Final = """
known.vehicle_id = gone.vehicle_id
and known.event_time >= date_bin('1 minute', gone.event_time, timestamptz 'epoch')
and known.event_time
< date_bin('1 minute', gone.event_time, timestamptz 'epoch') + interval '1 minute'
"""
_DROP_LATER: Final = """
delete from {table} as known using came
where
    {within}
    and known.vehicle_id = came.vehicle_id
    and known.event_time > came.event_time
    and known.event_time
    < date_bin('1 minute', came.event_time, timestamptz 'epoch') + interval '1 minute'
"""
_ADD_FIRST: Final = """
insert into {table}
select came.* from came
where not exists (
    select from {table} as known
    where
        {within}
        and known.vehicle_id = came.vehicle_id
        and known.event_time >= date_bin('1 minute', came.event_time, timestamptz 'epoch')
        and known.event_time <= came.event_time
)
"""
_NOTE_HOUR: Final = """
insert into warehouse.telemetry_recent_hours (event_hour, telemetry_version, rows_number, run_id)
values (%s, %s, %s, %s)
on conflict (event_hour) do update set
    telemetry_version = excluded.telemetry_version,
    rows_number = excluded.rows_number,
    run_id = excluded.run_id,
    loaded_at = clock_timestamp()
"""
_NOTE_EXTENT: Final = """
insert into warehouse.telemetry_recent_extent (
    full_from, minutes_from, is_cut, bytes, most_bytes, loaded_at
)
values (%s, %s, %s, %s, %s, clock_timestamp())
on conflict (only_row) do update set
    full_from = excluded.full_from,
    minutes_from = excluded.minutes_from,
    is_cut = excluded.is_cut,
    bytes = excluded.bytes,
    most_bytes = excluded.most_bytes,
    loaded_at = excluded.loaded_at
"""
