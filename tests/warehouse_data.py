"""Small warehouses for tests: a migrated database of their own, and rows that fit its tables."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import psycopg
from installation import Installation

from fleet_assets.contracts.tables import TABLE_BY_NAME, TELEMETRY_OUTCOMES, VEHICLE_OUTCOMES
from fleet_assets.local.databases import ensure_database, with_database
from fleet_assets.warehouse.load import LoadedTable
from fleet_assets.warehouse.migrate import upgrade
from fleet_assets.warehouse.vehicle import Vehicle
from partitions.hours import hour_start


def fresh_warehouse(services: Installation, name: str) -> str:
    """Address of a migrated database of this name."""
    url = with_database(services.endpoints.postgres_url, name)
    ensure_database(url)
    upgrade(url)
    return url


def query(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement, values or None).fetchall()


def vehicle(number: int, **changes: Any) -> Vehicle:
    given = {
        "id": f"T-{number}",
        "vin": f"1FTEETXX2HB{number:06}",
        "make": "Volvo",
        "model": "FH",
        "year": 2020,
        "vehicle_type": "truck",
    }
    return Vehicle(**given | changes)


def contract_rows(name: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of a table: what is not given is null, or 0 where null is not allowed."""
    table = TABLE_BY_NAME[name]
    nothing = {c.name: None if c.nullable else _nothing(c.dtype) for c in table.columns}
    return pl.DataFrame([nothing | row for row in rows], schema=table.polars_schema)


def vehicle_hours(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of the contract, one message each at the beginning of the hour."""
    filled = [
        {"hour_start": hour_start(row["event_hour"]), "messages": 1}
        | {
            "first_event_time": hour_start(row["event_hour"]),
            "last_event_time": hour_start(row["event_hour"]),
        }
        | row
        for row in rows
    ]
    return contract_rows("vehicle_hours", *filled)


def _nothing(dtype: pl.DataType) -> Any:
    return "" if dtype == pl.String() else 0 if dtype.is_numeric() else None


def outcomes(hour: str, by_vehicle: dict[str, dict[str, Any]]) -> dict[LoadedTable, pl.DataFrame]:
    """Outcomes of an hour by vehicle, and the same as the totals of one landed range.

    Each vehicle gives ``accepted``, ``duplicate``, ``late`` (default 0) and ``reasons``.
    """
    rows = []
    for vehicle_id, given in by_vehicle.items():
        reasons: dict[str, int] = given.get("reasons", {})
        counts = {
            name: given.get(name, 0) for name in ("accepted", "duplicate", "late", "replayed")
        }
        rejected = sum(reasons.values())
        rows.append(
            {
                "event_hour": hour,
                "vehicle_id": vehicle_id,
                "read": counts["accepted"] + counts["duplicate"] + rejected,
                "rejected": rejected,
                "pending": 0,
                "rejected_by_reason": json.dumps(reasons),
                "newest_append_time": hour_start(hour),
                **counts,
            }
        )
    frame = pl.DataFrame(rows, schema=VEHICLE_OUTCOMES.polars_schema)
    counted = ("read", "accepted", "duplicate", "rejected", "pending", "late", "replayed")
    totals = {
        "event_hour": hour,
        "kafka_topic_id": "topic",
        "kafka_partition": 0,
        "offset_start": 0,
        "offset_end": 1000,
        "landing_version": 1,
        "rejected_by_reason": "{}",
        "revisions": 0,
        **{name: int(frame[name].sum()) for name in counted},
    }
    return {
        "vehicle_outcomes": frame,
        "telemetry_outcomes": pl.DataFrame([totals], schema=TELEMETRY_OUTCOMES.polars_schema),
    }
