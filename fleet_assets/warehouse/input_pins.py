"""`input_pins`: by which version of each versioned input an event hour was worked out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl
import psycopg

from fleet_assets.lake.pins import PIN_SCHEMA
from fleet_assets.warehouse.connection import transact

_KEY: Final = ["event_hour", "input", "vehicle_group"]


def note_pins(postgres_url: str, rows: pl.DataFrame) -> int:
    """Notes versions; one that is known as it is keeps its `pinned_at`.

    Args:
        postgres_url: the warehouse.
        rows: rows of `lake.pins.PIN_SCHEMA`; `vehicle_group` is '' where there is one for all.

    Returns:
        How many are new or other than before.
    """
    given = dict(zip(PIN_SCHEMA, (rows[name].to_list() for name in PIN_SCHEMA), strict=True))

    def work(connection: psycopg.Connection) -> int:
        return connection.execute(_NOTE, given).rowcount

    return transact(postgres_url, work) if rows.height else 0


def read_pins(postgres_url: str, hours: Collection[str] | None = None) -> pl.DataFrame:
    """Rows of `lake.pins.PIN_SCHEMA` in order of hour and input, of some hours or of all."""
    given = {"hours": None if hours is None else list(hours)}
    found = transact(postgres_url, lambda connection: connection.execute(_READ, given).fetchall())
    return pl.DataFrame(found, schema=PIN_SCHEMA, orient="row")


def note_new_pins(postgres_url: str, rows: pl.DataFrame) -> int:
    """The same as `note_pins` for many rows of which most are known, as after each run."""
    known = read_pins(postgres_url)
    return note_pins(postgres_url, rows.join(known, on=[*_KEY, "version"], how="anti"))


_NOTE = """
insert into warehouse.input_pins as known (event_hour, input, vehicle_group, version)
select * from unnest(
    %(event_hour)s::text[], %(input)s::text[], %(vehicle_group)s::text[], %(version)s::text[]
)
on conflict (event_hour, input, vehicle_group) do update set
    version = excluded.version,
    pinned_at = clock_timestamp()
where known.version <> excluded.version
"""
_READ = """
select event_hour, input, vehicle_group, version from warehouse.input_pins
where %(hours)s::text[] is null or event_hour = any(%(hours)s)
order by event_hour, input, vehicle_group
"""
