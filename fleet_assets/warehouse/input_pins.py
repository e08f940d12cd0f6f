"""`input_pins`: by which version of each versioned input an event hour was worked out."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl
import psycopg

from fleet_assets.lake.pins import PIN_SCHEMA, pins_in_lake
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.connection import transact


def sync_pins(lake: Lake, postgres_url: str, hours: Collection[str] | None = None) -> int:
    """Brings the table in line with the lake; what has not changed keeps its `pinned_at`.

    Args:
        lake: the lake, whose commits carry what they were made by.
        postgres_url: the warehouse.
        hours: only these, such as those that were worked on; None: all.

    Returns:
        How many rows are new, other than before, or gone.
    """
    if hours is not None and not hours:
        return 0
    rows = pins_in_lake(lake, hours)
    given: dict[str, object] = {name: rows[name].to_list() for name in PIN_SCHEMA}
    given["hours"] = None if hours is None else list(hours)

    def work(connection: psycopg.Connection) -> int:
        return sum(connection.execute(statement, given).rowcount for statement in (_GONE, _NOTE))

    return transact(postgres_url, work)


def read_pins(postgres_url: str, hours: Collection[str] | None = None) -> pl.DataFrame:
    """Rows of `lake.pins.PIN_SCHEMA` in order of hour and input, of some hours or of all."""
    given = {"hours": None if hours is None else list(hours)}
    found = transact(postgres_url, lambda connection: connection.execute(_READ, given).fetchall())
    return pl.DataFrame(found, schema=PIN_SCHEMA, orient="row")


_GIVEN = """
select * from unnest(
    %(event_hour)s::text[], %(input)s::text[], %(vehicle_group)s::text[], %(version)s::text[]
) as given (event_hour, input, vehicle_group, version)
"""
_GONE = f"""
with given as ({_GIVEN})
delete from warehouse.input_pins as known
where (%(hours)s::text[] is null or event_hour = any(%(hours)s)) and not exists (
    select from given
    where given.event_hour = known.event_hour and given.input = known.input
        and given.vehicle_group = known.vehicle_group
)
"""
_NOTE = f"""
insert into warehouse.input_pins as known (event_hour, input, vehicle_group, version)
{_GIVEN}
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
