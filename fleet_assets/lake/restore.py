"""Bringing a span back from the archive into tables that can be queried (see `restored`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import polars as pl
import pyarrow.parquet

from fleet_assets.contracts.table import Table
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.lake.archive import Archive, ArchivedFile, Batch
from fleet_assets.lake.restored import PREFIX, RESTORED, restored_lake
from fleet_assets.lake.retired import archived_batches
from fleet_assets.lake.store import Lake, TableSnapshot, retrying
from partitions.days import DAY, end_of
from partitions.hours import HOUR, hour_key, is_hour


@dataclass(frozen=True)
class Restored:
    """What came back of one hour."""

    key: str
    rows: int


def archived_keys(lake: Lake, archive: Archive, table: str, first: str, last: str) -> list[str]:
    """Hours from the first to the last, both included, of which the archive holds something."""
    if f"{PREFIX}{table}" not in RESTORED:
        raise FleetError(f"{table} is no table with hours: `fleet retention classes` lists them")
    snapshot = lake.open(table)
    keys = {batch.key for batch in archive.batches(table) if first <= batch.key <= last}
    return sorted(key for key in keys if archived_batches(snapshot, key))


def span(first: str, last: str) -> tuple[str, str]:
    """Keys of the first and the last hour of a span that is given by days or hours.

    Raises:
        FleetError: they are neither, or the last lies before the first.
    """
    try:
        start, end = hour_key(end_of(first) - _length(first)), hour_key(end_of(last) - HOUR)
    except ValueError as error:
        raise FleetError(f"{error}; give a day such as 2026-01-01 or an hour") from None
    if end < start:
        raise FleetError(f"{last} lies before {first}")
    return start, end


def restore_hour(
    lake: Lake, archive: Archive, table: str, key: str, vehicle_id: str | None = None
) -> Restored:
    """Brings what the archive holds of an hour into the table `restored_…`.

    What stood there of the hour is replaced. Rows that never left the lake are not looked at.

    Args:
        lake: the lake.
        archive: the archive.
        table: name of the table.
        key: the hour.
        vehicle_id: only rows of this vehicle.

    Raises:
        FleetError: the table has no vehicles.
        ArchiveError: a file of the archive is missing or damaged; nothing is brought back.
    """
    contract = TABLE_BY_NAME[table]
    if vehicle_id is not None and "vehicle_id" not in contract.names:
        raise FleetError(f"{table} has no vehicles: restore it without --vehicle")
    batches = _batches(archive, lake.open(table), key)
    for batch in batches:
        archive.verify(batch)

    def attempt() -> Restored:
        target = restored_lake(lake).open(table)
        frames = list(_rows(archive, contract, batches, vehicle_id))
        if len(batches) > 1:  # rows that stayed for a while went with a later batch once more
            frames = [pl.concat(frames).unique(contract.key, keep="last", maintain_order=True)]
        mark = f"restored/{key}"
        progress = {mark: (target.committed(mark) or 0) + 1}
        target.commit_files({key: frames}, target.files_of([key]), progress)
        return Restored(key, sum(frame.height for frame in frames))

    return retrying(f"restore of {table} {key}", attempt)


def read_archived(archive: Archive, contract: Table, file: ArchivedFile, key: str) -> pl.DataFrame:
    """Rows of one file of the archive, with all columns of the contract of today."""
    with archive.store.open_input_file(file.path) as content:
        found = pl.from_arrow(pyarrow.parquet.read_table(content))
    assert isinstance(found, pl.DataFrame)
    return found.select(
        *(
            _column(name, dtype, contract, found.columns, key)
            for name, dtype in contract.polars_schema.items()
        )
    )


def _length(key: str) -> timedelta:
    return HOUR if is_hour(key) else DAY


def _batches(archive: Archive, snapshot: TableSnapshot, key: str) -> list[Batch]:
    """Those that the lake says count."""
    counted = archived_batches(snapshot, key)
    return [
        batch for batch in archive.batches(snapshot.contract.name, key) if batch.number <= counted
    ]


def _rows(
    archive: Archive, contract: Table, batches: list[Batch], vehicle_id: str | None
) -> Iterator[pl.DataFrame]:
    for batch in batches:
        for file in batch.files:
            rows = read_archived(archive, contract, file, batch.key)
            yield rows if vehicle_id is None else rows.filter(vehicle_id=vehicle_id)


def _column(name: str, dtype: pl.DataType, contract: Table, found: list[str], key: str) -> pl.Expr:
    if name == contract.partition_by:
        return pl.lit(key, dtype=dtype).alias(name)
    default = pl.lit(contract.defaults.get(name), dtype=dtype)
    if name not in found:
        return default.alias(name)
    column = pl.col(name).cast(dtype)
    return column.fill_null(default) if name in contract.defaults else column
