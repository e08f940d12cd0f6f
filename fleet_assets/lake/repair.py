"""Bringing the tables that follow `telemetry` in line when its hour's raw messages have expired.

With its raw messages an hour is simply rebuilt. Without them the step that a crash cut off is
done once more from the versions that it began with, and written where it is missing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fleet_assets.errors import FleetError
from fleet_assets.lake.hour_step import check, counted, followers
from fleet_assets.lake.hour_tables import FOLLOWERS, HourTables
from fleet_assets.lake.marks import base_id, readmitted_id
from fleet_assets.lake.messages import Span, messages
from fleet_assets.lake.present import base_of, holders, readmissions
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.telemetry.hour import step
from fleet_assets.telemetry.resolve import KEY


def redo(
    lake: Lake,
    tables: HourTables,
    event_hour: str,
    known_vehicles: frozenset[str],
    late_after: timedelta,
) -> None:
    """Writes what the followers lack.

    Raises:
        FleetError: the versions that the step began with have been vacuumed.
    """
    truth = tables.mark(event_hour)
    lagging = tables.lagging(event_hour)
    began = {
        name: table if name in lagging else _base(lake, table, event_hour)
        for name in ("telemetry", *FOLLOWERS)
        if (table := tables.table(name))
    }
    before = replace(tables, **began)
    since = before.mark(event_hour).version
    span = {
        event_hour: Span(
            -1 if since is None else since, -1 if truth.version is None else truth.version
        )
    }
    new = messages(tables.raw, span)
    known = _known_then(tables, event_hour, new, before, known_vehicles)
    registered = before.registered([event_hour], known).get(event_hour)
    parts = tables.telemetry.committed(readmitted_id(event_hour)) or 0
    back = None
    if registered and parts:
        back = readmissions(before, event_hour, registered, most_files=parts)
    base = base_of(before, {event_hour: span[event_hour].since})
    change = step(new, known, base, None if back is None else back.messages)
    outcomes, vehicles = counted(before, span, change, late_after)
    check(telemetry_outcomes=outcomes, vehicle_outcomes=vehicles)
    writes = followers(before, span, change, back, outcomes, vehicles)
    tables.commit(
        {name: write for name, write in writes.items() if name in lagging},
        {event_hour: span[event_hour].upto},
        rows=truth.rows,
    )


def _base(lake: Lake, table: TableSnapshot, event_hour: str) -> TableSnapshot:
    """The version that the newest step of the hour began with."""
    version = table.committed(base_id(event_hour))
    try:
        return TableSnapshot(table.contract, DeltaTable(table.delta.table_uri, version=version))
    except (DeltaError, OSError) as error:
        raise FleetError(
            f"{event_hour}: a refresh was cut off, its raw messages have expired, and version"
            f" {version} of {table.contract.name} is gone: restore it from a backup ({error})"
        ) from error


def _known_then(
    tables: HourTables,
    event_hour: str,
    new: pl.DataFrame,
    before: HourTables,
    known_vehicles: frozenset[str],
) -> frozenset[str]:
    """Vehicles that the step knew: a vehicle may have been registered since.

    The step has left rows of each vehicle that it knew, if any of its messages could be decoded.
    """
    refused = before.registered([event_hour], known_vehicles).get(event_hour, frozenset())
    back = readmissions(before, event_hour, refused).messages if refused else new.clear()
    keys = pl.concat([new, back]).filter(pl.col("reject_reason").is_null()).select(KEY).unique()
    files = holders(tables.telemetry, [event_hour], keys)
    there = tables.telemetry.read_files(files, KEY).join(keys, on=KEY, how="semi")
    candidates = frozenset(keys["vehicle_id"])
    return (known_vehicles - candidates) | frozenset(there["vehicle_id"])
