"""Forgetting somebody in the archive: files that hold his rows are written anew without them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from uuid import uuid4

import polars as pl
import pyarrow.fs

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.archive import Archive, ArchivedFile, Batch
from fleet_assets.lake.erase import OUTCOMES, Erased
from fleet_assets.lake.restore import read_archived
from fleet_assets.lake.retired import counts
from fleet_assets.lake.store import Lake
from fleet_assets.retention.subject import ERASED, Subject, without_driver


def erase_archived(
    lake: Lake, archive: Archive, subject: Subject, *, dry_run: bool = False
) -> list[Erased]:
    """Removes somebody from all batches; killed at any point, it may be done again.

    What attempts at archiving that never counted have left is removed as a whole.

    Args:
        lake: the lake, which says which batches count.
        archive: the archive.
        subject: who.
        dry_run: only count.
    """
    done: dict[tuple[str, str], int] = {}
    for table in archive.tables():
        contract = TABLE_BY_NAME.get(table)
        if contract is not None and subject.in_rows(contract) is None:
            continue
        for batch in archive.batches(table):
            if not counts(lake, batch):
                continue
            rows = _of_batch(archive, batch, subject, dry_run=dry_run)
            if rows:
                done[table, batch.key] = done.get((table, batch.key), 0) + rows
        if not dry_run:
            _sweep(lake, archive, table)
    return [Erased(table, key, rows) for (table, key), rows in done.items()]


def _of_batch(archive: Archive, batch: Batch, subject: Subject, *, dry_run: bool) -> int:
    contract = TABLE_BY_NAME.get(batch.table)
    files, old, rows = [], [], 0
    for file in batch.files:
        if contract is None:
            before = _read(archive, file)
            condition = subject.in_texts(before.schema)
        else:
            before = read_archived(archive, contract, file, batch.key)
            found = subject.in_rows(contract)
            assert found is not None
            condition = found
        mine = before.filter(condition)
        rows += mine.height
        if mine.is_empty() or dry_run:
            files.append(file)
            continue
        old.append(file.path)
        after = [before.filter(~condition)]
        if batch.table == OUTCOMES:
            after.append(mine.with_columns(vehicle_id=pl.lit(ERASED)))
        elif contract and subject.kind == "driver" and "driver_id" in contract.names:
            after.append(without_driver(mine, subject))
        left = pl.concat(after)
        if not left.is_empty():
            files.append(_written(archive, batch, left))
            fault_point("erase.archive_written")
    if old:
        archive.write_manifest(replace(batch, files=tuple(files)))
        fault_point("erase.archive_manifest")
        for path in old:
            archive.delete(path)
    return rows


def _read(archive: Archive, file: ArchivedFile) -> pl.DataFrame:
    """Rows of a table that only the warehouse held."""
    with archive.store.open_input_file(file.path) as content:
        return pl.read_parquet(content.read())


def _written(archive: Archive, batch: Batch, rows: pl.DataFrame) -> ArchivedFile:
    """A new file of the batch; it is there once the manifest names it."""
    path = f"{batch.manifest.removesuffix('.json')}-{uuid4().hex}.parquet"
    content = io.BytesIO()
    rows.drop(batch.by, strict=False).write_parquet(content, compression="zstd")
    data = content.getvalue()
    with archive.store.open_output_stream(path) as out:
        out.write(data)
    return ArchivedFile(path, rows.height, len(data), hashlib.sha256(data).hexdigest())


def _sweep(lake: Lake, archive: Archive, table: str) -> None:
    """Removes files that no batch that counts names."""
    named: set[str] = set()
    for batch in archive.batches(table):
        if counts(lake, batch):
            named |= {batch.manifest, *(file.path for file in batch.files)}
    selector = pyarrow.fs.FileSelector(table, recursive=True, allow_not_found=True)
    for info in archive.store.get_file_info(selector):
        if info.is_file and info.path not in named:
            archive.delete(info.path)
