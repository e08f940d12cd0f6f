"""What the rules know of vehicles: their attributes with the times from which they count."""

from __future__ import annotations

import polars as pl

from fleet_assets.rules.resolve import VEHICLE_SCHEMA
from fleet_assets.warehouse.connection import transact

_NAMES = [name for name in VEHICLE_SCHEMA if name not in ("vehicle_id", "valid_from")]
# the first version of a vehicle counts from the beginning, which Python's times do not reach
_QUERY = f"""
select id, greatest(valid_from, timestamptz '1970-01-01 00:00:00+00'), {", ".join(_NAMES)}
from warehouse.vehicles_history
order by id, valid_from
"""


def vehicles_by_time(postgres_url: str) -> pl.DataFrame:
    """Rows of `VEHICLE_SCHEMA`: every version of every vehicle."""
    found = transact(postgres_url, lambda connection: connection.execute(_QUERY).fetchall())
    return pl.DataFrame(
        [tuple(_plain(value) for value in row) for row in found],
        schema=VEHICLE_SCHEMA,
        orient="row",
    )


def _plain(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
