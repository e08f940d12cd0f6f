"""Replaces whole hours in the warehouse's tables, all tables and the ledger in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.fault_points import fault_point
from fleet_assets.warehouse.connection import LOAD_TRIES, transact
from fleet_assets.warehouse.copying import copy_rows
from fleet_assets.warehouse.ledger import LedgerEntry, record
from partitions.hours import hour_start, windows
from partitions.local_days import AHEAD, BEHIND

LoadedTable = Literal[
    "vehicle_hours", "vehicle_outcomes", "telemetry_outcomes",
    "anomalies", "rule_anomalies", "rule_eligibility", "trips", "vehicle_codes",
    "model_hours", "model_anomalies",
]  # fmt: skip

# Tables that are partitioned by month, each with the marts that dbt fills from it.
PARTITIONED: Final[Mapping[str, Sequence[str]]] = {
    "vehicle_hours": (
        "warehouse.vehicle_hours", "marts.fct_vehicle_hours", "marts.fct_vehicle_days"
    ),
    "vehicle_outcomes": ("warehouse.vehicle_outcomes",),
    "anomalies": ("warehouse.anomalies", "marts.fct_anomalies", "marts.fct_fuel_events"),
    "trips": ("warehouse.trips", "marts.fct_fuel_events"),
    **{
        table: (f"warehouse.{table}",)
        for table in (
            "rule_anomalies",
            "rule_eligibility",
            "vehicle_codes",
            "model_hours",
            "model_anomalies",
        )
    },
}  # fmt: skip
BY_LOCAL_DAY: Final = {"marts.fct_vehicle_days"}
NONE: Final = timedelta(0)
GENERATED: Final = {"vehicle_outcomes": ["unknown_vehicle"]}  # PostgreSQL computes these
EPOCH_HOUR = 3600


def replace_hours(
    postgres_url: str,
    frames: Mapping[LoadedTable, pl.DataFrame],
    hours: Sequence[str],
    ledger: Iterable[LedgerEntry] = (),
    before: Callable[[psycopg.Connection], None] | None = None,
) -> int:
    """Make ``frames`` everything that these hours hold; readers see all of it or none of it.

    Args:
        postgres_url: the warehouse.
        frames: rows by table, with ``event_hour``; ``hour_start`` is derived where it is missing.
            An hour without rows ends empty.
        hours: keys of the hours that are replaced.
        ledger: entries written in the same transaction.
        before: called within the transaction while the hours still hold what they held.

    Returns:
        The number of rows loaded.

    Raises:
        ValueError: a frame has rows of other hours.
        WarehouseError: the server refuses, or stays out of reach through all tries.
    """
    if not hours:
        return 0
    entries = list(ledger)
    ready = {table: _prepared(table, frame, hours) for table, frame in frames.items()}
    bounds = (hour_start(min(hours)), hour_start(max(hours)))
    transact(
        postgres_url, lambda connection: make_months(connection, ready, *bounds), tries=LOAD_TRIES
    )

    def work(connection: psycopg.Connection) -> int:
        _take_turns(connection, hours)
        if before is not None:
            before(connection)
        for table, frame in ready.items():
            connection.execute(
                sql.SQL("delete from {} where {}").format(_name(table), hours_predicate(hours))
            )
            fault_point("load.hour_deleted")
            copy_rows(connection, _name(table), frame)
        record(connection, entries)
        fault_point("load.before_commit")
        return sum(frame.height for frame in ready.values())

    loaded = transact(postgres_url, work, tries=LOAD_TRIES)
    fault_point("load.committed")
    return loaded


def hours_predicate(hours: Iterable[str]) -> sql.Composed:
    """``hour_start`` in these hours, as literal windows: PostgreSQL then plans only the
    partitions that hold them."""
    return sql.SQL(" or ").join(
        sql.SQL("(hour_start >= {} and hour_start < {})").format(*map(sql.Literal, window))
        for window in windows(hours)
    )


def _prepared(table: LoadedTable, frame: pl.DataFrame, hours: Sequence[str]) -> pl.DataFrame:
    foreign = frame.filter(~pl.col("event_hour").is_in(list(hours)))
    if not foreign.is_empty():
        raise ValueError(f"{table}: rows of {foreign['event_hour'][0]}, which is not replaced")
    frame = frame.drop(GENERATED.get(table, []), strict=False)
    if "hour_start" in frame.columns:
        return frame
    starts = {hour: hour_start(hour) for hour in hours}
    return frame.with_columns(
        hour_start=pl.col("event_hour").replace_strict(starts, return_dtype=UTC_MICROSECONDS)
    )


def make_months(
    connection: psycopg.Connection, tables: Iterable[str], first: datetime, last: datetime
) -> None:
    """Makes what is missing of the months of these hours, in the tables and in marts of them.

    Give it a transaction of its own: the lock on the parent is held for a moment only.

    Args:
        connection: a transaction.
        tables: names of loaded tables; those that have no months are passed over.
        first: beginning of the first hour.
        last: beginning of the last hour.
    """
    for table in tables:
        for parent in PARTITIONED.get(table, ()):
            ahead, behind = (AHEAD, BEHIND) if parent in BY_LOCAL_DAY else (NONE, NONE)
            connection.execute(
                "select warehouse.ensure_month_partitions(%s::regclass, %s, %s)",
                (parent, first - behind, last + ahead),
            )


def _take_turns(connection: psycopg.Connection, hours: Iterable[str]) -> None:
    """Two loads of one hour would both delete the old rows and collide on the new ones."""
    for hour in sorted(hours):
        number = int(hour_start(hour).timestamp()) // EPOCH_HOUR
        connection.execute("select pg_advisory_xact_lock(hashtext('load'), %s)", (number,))


def _name(table: str) -> sql.Identifier:
    return sql.Identifier("warehouse", table)
