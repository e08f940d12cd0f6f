"""The vehicle register in the warehouse: imports with history, and reading it.

Vehicles are never deleted: one that an import leaves out stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import psycopg

from fleet_assets.warehouse.connection import WarehouseError, transact
from fleet_assets.warehouse.vehicle import ATTRIBUTES, Vehicle

COLUMNS = ", ".join(ATTRIBUTES)

REGISTER_SCHEMA = pl.Schema(
    {
        "vehicle_id": pl.String(),
        "vin": pl.String(),
        "make": pl.String(),
        "model": pl.String(),
        "year": pl.Int16(),
        "vehicle_type": pl.String(),
        "fleet_id": pl.String(),
        "region": pl.String(),
        "status": pl.String(),
        "refrigerated": pl.Boolean(),
        "has_pto": pl.Boolean(),
        "tank_gallons": pl.Float64(),
        "redline_rpm": pl.Float64(),
        "nominal_voltage": pl.Int16(),
        "time_zone": pl.String(),
    }
)


@dataclass(frozen=True)
class ImportResult:
    """What an import did, in vehicles."""

    inserted: int
    updated: int
    unchanged: int


def import_vehicles(postgres_url: str, rows: Sequence[Vehicle], source: str) -> ImportResult:
    """Insert or update vehicles in one transaction; ``source`` names where they come from.

    Each change ends the current version in ``vehicles_history`` and begins another; a vehicle
    that does not change leaves no trace.

    Raises:
        WarehouseError: two vehicles would have one VIN, or the server refuses.
    """
    return transact(postgres_url, lambda connection: _import(connection, rows, source))


def known_vehicles(postgres_url: str) -> pl.DataFrame:
    """Every registered vehicle, whatever its status, by ``vehicle_id``."""
    vehicles = list_vehicles(postgres_url)
    return pl.DataFrame(
        [tuple(vehicle.model_dump().values()) for vehicle in vehicles],
        schema=REGISTER_SCHEMA,
        orient="row",
    )


def tanks_at(postgres_url: str, moment: datetime) -> pl.DataFrame:
    """Columns ``vehicle_id``, ``tank_gallons`` (null: unknown) as the register was at a moment."""
    found = transact(
        postgres_url, lambda connection: connection.execute(_TANKS, {"moment": moment}).fetchall()
    )
    schema = {name: REGISTER_SCHEMA[name] for name in ("vehicle_id", "tank_gallons")}
    return pl.DataFrame(found, schema=schema, orient="row")


def types_at(postgres_url: str, moment: datetime) -> pl.DataFrame:
    """Columns ``vehicle_id``, ``vehicle_type`` (null: none) as the register was at a moment."""
    found = transact(
        postgres_url, lambda connection: connection.execute(_TYPES, {"moment": moment}).fetchall()
    )
    schema = {name: REGISTER_SCHEMA[name] for name in ("vehicle_id", "vehicle_type")}
    return pl.DataFrame(found, schema=schema, orient="row")


def list_vehicles(postgres_url: str) -> list[Vehicle]:
    """The register, ordered by id."""
    query = f"select {COLUMNS} from warehouse.vehicles order by id"
    found = transact(postgres_url, lambda connection: connection.execute(query).fetchall())
    return [
        Vehicle.model_construct(**dict(zip(ATTRIBUTES, values, strict=True))) for values in found
    ]


def _import(connection: psycopg.Connection, rows: Sequence[Vehicle], source: str) -> ImportResult:
    # Imports take turns, so that a version begins after the one that it replaces.
    connection.execute("lock table warehouse.vehicles in share row exclusive mode")
    _stage(connection, rows)
    _refuse_shared_vins(connection)
    (moment,) = connection.execute(_MOMENT).fetchone() or (None,)
    given = {"moment": moment, "source": source}
    inserted = connection.execute(_INSERT, given).rowcount
    connection.execute(_FIRST_VERSION, given)
    updated = connection.execute(_UPDATE, given).rowcount
    connection.execute(_END_VERSION, given)
    connection.execute(_NEXT_VERSION, given)
    if updated:
        connection.execute(_STALE_MARTS, given)
        connection.execute(_MARKS, given)
    return ImportResult(inserted, updated, len(rows) - inserted - updated)


def _stage(connection: psycopg.Connection, rows: Sequence[Vehicle]) -> None:
    connection.execute(
        f"create temporary table incoming on commit drop as "
        f"select {COLUMNS} from warehouse.vehicles with no data"
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy incoming ({COLUMNS}) from stdin") as copy,
    ):
        for row in rows:
            copy.write_row(tuple(row.model_dump().values()))


def _refuse_shared_vins(connection: psycopg.Connection) -> None:
    shared = connection.execute(_SHARED_VINS).fetchall()
    if shared:
        found = "; ".join(f"{vin} would belong to {ids}" for vin, ids in shared[:10])
        raise WarehouseError(
            f"Two vehicles cannot have one VIN: {found}. Correct the file; nothing was imported."
        )


_SHARED_VINS = """
select vin, string_agg(id, ' and ' order by id)
from (
    select id, vin from incoming
    union all
    select id, vin from warehouse.vehicles where id not in (select id from incoming)
) as register
where vin in (select vin from incoming)
group by vin having count(*) > 1
order by vin
"""

_TANKS = """
select id, tank_gallons from warehouse.vehicles_history
where valid_from <= %(moment)s and valid_to > %(moment)s
order by id
"""

_TYPES = """
select id, vehicle_type from warehouse.vehicles_history
where valid_from <= %(moment)s and valid_to > %(moment)s
order by id
"""

# The clock may step back: a version still begins after the newest one.
_MOMENT = """
select greatest(clock_timestamp(), max(imported_at) + interval '1 microsecond')
from warehouse.vehicles_history
"""

_INSERT = f"""
insert into warehouse.vehicles ({COLUMNS}, first_imported_at, updated_at)
select {COLUMNS}, %(moment)s, %(moment)s from incoming
where id not in (select id from warehouse.vehicles)
"""

_FIRST_VERSION = f"""
insert into warehouse.vehicles_history ({COLUMNS}, valid_from, source, imported_at, change)
select {COLUMNS}, '-infinity', %(source)s, %(moment)s, 'registered' from warehouse.vehicles
where first_imported_at = %(moment)s
"""

_UPDATE = f"""
update warehouse.vehicles as known
set {", ".join(f"{name} = incoming.{name}" for name in ATTRIBUTES[1:])}, updated_at = %(moment)s
from incoming
where
    incoming.id = known.id
    and ({", ".join(f"incoming.{name}" for name in ATTRIBUTES[1:])})
    is distinct from ({", ".join(f"known.{name}" for name in ATTRIBUTES[1:])})
"""

_CHANGED = "updated_at = %(moment)s and first_imported_at < %(moment)s"

_END_VERSION = f"""
update warehouse.vehicles_history set valid_to = %(moment)s
where
    valid_to = 'infinity'
    and id in (select id from warehouse.vehicles where {_CHANGED})
"""

# hours count to the version at their beginning: those that are loaded already and begin later
_STALE_MARTS = """
update warehouse.stage_ledger set processed_at = clock_timestamp()
where stage = 'warehouse' and state = 'fresh' and hour_start >= %(moment)s
"""

# trips and findings count to the version at their own beginning, within an hour
_MARKS = """
insert into warehouse.mart_marks (topic, hour_start)
select topics.topic, hours.hour_start
from (
    select distinct hour_start from warehouse.stage_ledger
    where hour_start >= date_trunc('hour', %(moment)s, 'UTC')
) as hours
cross join unnest(
    array['trips', 'anomalies', 'fuel_events', 'vehicle_codes', 'rule_hours']
) as topics (topic)
"""

_NEXT_VERSION = f"""
insert into warehouse.vehicles_history ({COLUMNS}, valid_from, source, imported_at, change)
select {COLUMNS}, %(moment)s, %(source)s, %(moment)s, 'changed' from warehouse.vehicles
where {_CHANGED}
"""
