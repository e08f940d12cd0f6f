"""Drift of features against what a model was trained on, by day."""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.model_choice.drift import DRIFT_SCHEMA
from fleet_assets.warehouse.connection import transact

NOTED_DRIFT_SCHEMA: Final = pl.Schema({"day": pl.Date(), "version_id": pl.String(), **DRIFT_SCHEMA})
"""Rows of DRIFT_SCHEMA with the last day that was compared, and the version that it was compared
with."""


def note_drift(postgres_url: str, day: date, version_id: str, rows: pl.DataFrame) -> None:
    """Notes a report in place of what was noted of this day, version and these vehicle types.

    Args:
        postgres_url: the warehouse.
        day: the last one that was compared.
        version_id: the model whose training set it was compared with.
        rows: rows of DRIFT_SCHEMA.
    """
    key = {"day": day, "version": version_id, "types": rows["vehicle_type"].unique().to_list()}
    named = rows.select(pl.lit(day).alias("day"), pl.lit(version_id).alias("version_id"), pl.all())
    given = named.select(NOTED_DRIFT_SCHEMA.names()).rows()

    def work(connection: psycopg.Connection) -> None:
        connection.execute(_DELETE, key)
        connection.cursor().executemany(_INSERT, given)

    transact(postgres_url, work)


def drift_rows(
    postgres_url: str, first_day: date | None = None, last_day: date | None = None
) -> pl.DataFrame:
    """Rows of NOTED_DRIFT_SCHEMA of a span of days, newest day first, alarms first."""
    given = {"first": first_day, "last": last_day}
    found = transact(postgres_url, lambda c: c.execute(_ALL, given).fetchall())
    return pl.DataFrame(found, schema=NOTED_DRIFT_SCHEMA, orient="row")


_COLUMNS: Final = sql.SQL(", ").join(map(sql.Identifier, NOTED_DRIFT_SCHEMA))
_DELETE: Final = """
delete from warehouse.model_drift
where day = %(day)s and version_id = %(version)s and vehicle_type = any(%(types)s)
"""
_INSERT: Final = sql.SQL("insert into warehouse.model_drift ({}) values ({})").format(
    _COLUMNS, sql.SQL(", ").join([sql.Placeholder()] * len(NOTED_DRIFT_SCHEMA))
)
_ALL: Final = sql.SQL(
    """
    select {} from warehouse.model_drift
    where (%(first)s::date is null or day >= %(first)s)
    and (%(last)s::date is null or day <= %(last)s)
    order by day desc, alarm desc, abs(effect) desc nulls last, feature, vehicle_type, vehicles
    """
).format(_COLUMNS)
