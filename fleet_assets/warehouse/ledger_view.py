"""Reading `warehouse.partition_ledger`, the ledger by hour and table, and its summary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

import polars as pl
import psycopg
from psycopg.rows import TupleRow

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.warehouse.connection import transact

PartitionState = Literal["fresh", "stale", "failed", "gap"]
STATES: Final[tuple[PartitionState, ...]] = ("fresh", "stale", "failed", "gap")
TABLES: Final = (
    "raw_telemetry",
    "telemetry",
    "telemetry_rejects",
    "telemetry_outcomes",
    "vehicle_outcomes",
    "vehicle_hour_states",
    "vehicle_hours",
    "warehouse",
    "marts",
    "segments",
    "vehicle_codes",
    "rule_eligibility",
    "trip_segments",
    "trips",
    "rule_anomalies",
    "anomalies",
    "feature_windows",
    "model_segments",
    "model_hours",
    "model_anomalies",
    "warehouse_rule_eligibility",
    "warehouse_trips",
    "warehouse_vehicle_codes",
    "warehouse_rule_anomalies",
    "warehouse_anomalies",
    "warehouse_model_hours",
    "warehouse_model_anomalies",
)
"""Tables of the ledger in the order of the flow. `warehouse` and `marts` are the hour as it is
loaded and as dbt shows it, `warehouse_…` that table of the lake as it is loaded."""


def partition_ledger(
    postgres_url: str,
    hour: str | None = None,
    table: str | None = None,
    state: str | None = None,
    first: str | None = None,
    last: str | None = None,
) -> pl.DataFrame:
    """Rows of the ledger by hour and table, in the order of the flow.

    Args:
        postgres_url: the warehouse.
        hour: only this hour.
        table: only this table.
        state: only this state; `withheld` and `released` are understood too.
        first: from this hour on.
        last: up to this hour, included.
    """
    given = {
        "hour": hour, "table": table, "first": first, "last": last, "state": state,
        "tables": list(TABLES),
    }  # fmt: skip
    names, rows = transact(postgres_url, lambda c: _fetch(c.execute(_ROWS, given)))
    return pl.DataFrame(rows, schema={name: _type_of(name) for name in names}, orient="row")


def ledger_summary(postgres_url: str) -> pl.DataFrame:
    """Hours by table and state, with rows, files and bytes in all and the newest input."""
    names, rows = transact(postgres_url, lambda c: _fetch(c.execute(_SUMMARY)))
    order = {table: place for place, table in enumerate(TABLES)}
    rows.sort(key=lambda row: order.get(row[0], len(order)))
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def _type_of(name: str) -> pl.DataType:
    if name.endswith("_at"):
        return UTC_MICROSECONDS
    if name in ("withheld", "released", "raw_complete"):
        return pl.Boolean()
    if name in ("event_hour", "table_name", "state", "run_id", "gap", "detail"):
        return pl.String()
    return pl.Int64()


def newest_run(postgres_url: str) -> datetime | None:
    """When a stage of any hour was last noted."""
    statement = "select max(last_run_at) from warehouse.stage_ledger"
    found = transact(postgres_url, lambda c: c.execute(statement).fetchone())
    return None if found is None else found[0]


def _fetch(cursor: psycopg.Cursor[TupleRow]) -> tuple[list[str], list[TupleRow]]:
    return [column.name for column in cursor.description or ()], cursor.fetchall()


def in_utc(value: datetime | None) -> str:
    """A time for people; empty for none."""
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


_ROWS: Final = """
select
    event_hour, table_name, state, newest_input_at, processed_input_at, newest_version,
    processed_version, rows, files, bytes, run_id, last_run_at, written_at, withheld, released,
    raw_complete, nullif(gap, '') as gap, attempts, next_attempt_at, detail
from warehouse.partition_ledger
where
    (%(hour)s::text is null or event_hour = %(hour)s)
    and (%(table)s::text is null or table_name = %(table)s)
    and (%(first)s::text is null or event_hour >= %(first)s)
    and (%(last)s::text is null or event_hour <= %(last)s)
    and (
        %(state)s::text is null
        or state = %(state)s
        or (%(state)s = 'withheld' and withheld)
        or (%(state)s = 'released' and released)
    )
order by
    event_hour,
    array_position(%(tables)s::text[], table_name)
"""

_SUMMARY: Final = """
select
    table_name,
    count(*) as hours,
    count(*) filter (where state = 'fresh') as fresh,
    count(*) filter (where state = 'stale') as stale,
    count(*) filter (where state = 'failed') as failed,
    count(*) filter (where state = 'gap') as gap,
    coalesce(sum(rows), 0)::bigint as rows,
    coalesce(sum(files), 0)::bigint as files,
    coalesce(sum(bytes), 0)::bigint as bytes,
    max(newest_input_at) as newest_input_at,
    max(last_run_at) as last_run_at
from warehouse.partition_ledger
group by table_name
"""
