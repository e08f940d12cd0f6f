"""Brings `warehouse.lake_ledger` in step with the lake, so that SQL sees rows, files and bytes.

The lake is the truth; these rows are its copy and can be made anew at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.lake.gaps import Acknowledgement
from fleet_assets.lake.ledger import (
    LEDGER_SCHEMA,
    RAW,
    damaged_hours,
    hours_with_losses,
    lake_ledger,
    ledger_snapshots,
    vanished_hours,
)
from fleet_assets.lake.store import Lake
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.copying import copy_rows
from fleet_assets.warehouse.gaps import acknowledgements
from partitions.hours import hour_start

COLUMNS: Final = (*LEDGER_SCHEMA.names(), "hour_start", "lost", "damaged")


def sync_lake_ledger(
    lake: Lake,
    postgres_url: str,
    hours: Collection[str] | None = None,
    *,
    written_since: datetime | None = None,
    look_at_files: bool = False,
) -> int:
    """Copies what the lake tells of its hours; only rows that differ are written.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        hours: only these; None: all, and hours that the lake no longer knows are removed.
        written_since: only hours that were written to since, in any table.
        look_at_files: also look whether the files of raw are there; else what is known stays.

    Returns:
        Number of rows that changed.
    """
    tables = ledger_snapshots(lake)
    frame = lake_ledger(tables, hours)
    if written_since is not None:
        recent = frame.filter(pl.col("written_at") >= written_since).select("event_hour").unique()
        frame = frame.join(recent, on="event_hour", how="semi")
    damaged = vanished_hours(frame)
    if look_at_files and RAW in tables:
        damaged |= damaged_hours(tables[RAW])
    lost = lost_before(lake, acknowledgements(postgres_url))
    rows = _with_holes(frame, hours_with_losses(tables, lost), damaged)
    return transact(
        postgres_url,
        lambda connection: _write(
            connection, rows, hours is None and written_since is None, look_at_files
        ),
        tries=3,
    )


def lost_before(lake: Lake, acknowledged: Iterable[Acknowledgement]) -> dict[int, int]:
    """Landing version → offsets that Kafka had expired before it, less what was acknowledged."""
    landings = lake.find("landings")
    if landings is None:
        return {}
    noted = list(acknowledged)
    lost: dict[int, int] = {}
    for row in landings.read(where=pl.col("lost") > 0).iter_rows(named=True):
        topic, partition = row["kafka_topic_id"], row["kafka_partition"]
        start, end = row["offset_start"], row["offset_start"] + row["lost"]
        if not any(
            (note.kafka_topic_id, note.kafka_partition) == (topic, partition)
            and note.offset_start <= start
            and end <= note.offset_end
            for note in noted
        ):
            version = row["landing_version"]
            lost[version] = lost.get(version, 0) + row["lost"]
    return lost


def _with_holes(
    frame: pl.DataFrame, lost: Mapping[str, str], damaged: Mapping[str, str]
) -> pl.DataFrame:
    is_raw, hour = pl.col("table_name") == RAW, pl.col("event_hour")
    hours = frame["event_hour"].unique().to_list()
    starts = {key: hour_start(key) for key in hours}
    return frame.with_columns(
        hour_start=hour.replace_strict(starts, return_dtype=UTC_MICROSECONDS),
        lost=pl.when(is_raw).then(_looked_up(hour, lost)),
        damaged=pl.when(is_raw).then(_looked_up(hour, damaged)),
    ).select(COLUMNS)


def _looked_up(key: pl.Expr, texts: Mapping[str, str]) -> pl.Expr:
    return key.replace_strict(dict(texts), default=None, return_dtype=pl.String)


def _write(
    connection: psycopg.Connection, rows: pl.DataFrame, everything: bool, looked: bool
) -> int:
    connection.execute(
        "create temporary table seen on commit drop as"
        " select * from warehouse.lake_ledger with no data"
    )
    copy_rows(connection, sql.Identifier("seen"), rows)
    changed = connection.execute(_UPSERT, {"looked": looked}).rowcount
    if everything:
        changed += connection.execute(_VANISHED).rowcount
    return changed


# Arrival times of raw that has expired, and files that were not looked at, keep what is known.
_UPSERT: Final = f"""
insert into warehouse.lake_ledger as known ({", ".join(COLUMNS)})
select
    {", ".join(f"seen.{name}" for name in COLUMNS if name != "damaged")},
    case when %(looked)s then seen.damaged else coalesce(seen.damaged, held.damaged) end
from seen
left join warehouse.lake_ledger as held
    on seen.event_hour = held.event_hour and seen.table_name = held.table_name
on conflict (event_hour, table_name) do update set
    rows = excluded.rows,
    files = excluded.files,
    bytes = excluded.bytes,
    written_at = excluded.written_at,
    processed_version = excluded.processed_version,
    processed_input_at = coalesce(excluded.processed_input_at, known.processed_input_at),
    newest_version = excluded.newest_version,
    newest_input_at = coalesce(excluded.newest_input_at, known.newest_input_at),
    raw_complete = excluded.raw_complete,
    rows_number = excluded.rows_number,
    lost = excluded.lost,
    damaged = excluded.damaged
where (
    known.rows, known.files, known.bytes, known.written_at, known.processed_version,
    known.newest_version, known.raw_complete, known.rows_number, known.lost, known.damaged
) is distinct from (
    excluded.rows, excluded.files, excluded.bytes, excluded.written_at,
    excluded.processed_version, excluded.newest_version, excluded.raw_complete,
    excluded.rows_number, excluded.lost, excluded.damaged
)
"""

_VANISHED: Final = """
delete from warehouse.lake_ledger as known
where not exists (
    select from seen
    where seen.event_hour = known.event_hour and seen.table_name = known.table_name
)
"""
