"""Rows of the record that are old: from PostgreSQL to the archive, day by day.

What goes is deleted, written, read back and compared within one transaction, which commits last.
A batch that a crash has left is written once more with the same rows, so restoring takes equal
rows once.
"""

from __future__ import annotations

import hashlib
import io
import json
from datetime import date, datetime, timedelta
from typing import Any, Final

import polars as pl
import psycopg
from psycopg import sql

from fleet_assets.fault_points import fault_point
from fleet_assets.lake.archive import Archive, Source
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.retire import RowsGone

FOLDER: Final = "warehouse_"
"""Before the name of a table, in the archive."""
BY: Final = "day"
_DAY: Final = timedelta(days=1)
_NOT_YET: Final = {"anomaly_changes": "published_at is not null"}
"""What goes only once it has served its purpose."""


def retire_audit(
    postgres_url: str,
    archive: Archive | None,
    table: str,
    column: str,
    cutoff: datetime,
    *,
    dry_run: bool = False,
) -> list[RowsGone]:
    """Archives and removes rows of before a moment.

    Args:
        postgres_url: the warehouse.
        archive: None: they are removed for good.
        table: name of a table that is in the warehouse only.
        column: the time that its rows count from.
        cutoff: the moment.
        dry_run: only count.

    Raises:
        ArchiveError: the archive does not hold what was written to it; nothing of the day went.
    """
    days = transact(postgres_url, lambda c: _days(c, table, column, cutoff))
    rows = sum(days.values())
    if not dry_run:
        for day in days:
            transact(
                postgres_url,
                lambda c, day=day: _retire(c, archive, table, column, day, cutoff),  # type: ignore[misc]
            )
    if not rows:
        return []
    return [RowsGone(table, rows, min(days).isoformat(), max(days).isoformat())]


def read_audit(archive: Archive, table: str) -> pl.DataFrame:
    """All rows of such a table that the archive holds, each once."""
    frames = []
    for batch in archive.batches(f"{FOLDER}{table}"):
        archive.verify(batch)
        for file in batch.files:
            with archive.store.open_input_file(file.path) as content:
                frames.append(pl.read_parquet(content.read()))
    return pl.concat(frames, how="vertical_relaxed").unique() if frames else pl.DataFrame()


def _days(
    connection: psycopg.Connection, table: str, column: str, cutoff: datetime
) -> dict[date, int]:
    statement = sql.SQL(
        "select ({column} at time zone 'UTC')::date as day, count(*) from {table}"
        " where {old} group by 1 order by 1"
    ).format(**_names(table, column), old=_old(table, column, cutoff))
    return dict(connection.execute(statement).fetchall())


def _retire(
    connection: psycopg.Connection,
    archive: Archive | None,
    table: str,
    column: str,
    day: date,
    cutoff: datetime,
) -> None:
    statement = sql.SQL(
        "delete from {table} where {old} and ({column} at time zone 'UTC')::date = {day}"
        " returning *"
    ).format(
        **_names(table, column), old=_old(table, column, cutoff), day=sql.Literal(day)
    )  # fmt: skip
    cursor = connection.execute(statement)
    names = [it.name for it in cursor.description or ()]
    found = [[_plain(value) for value in row] for row in cursor.fetchall()]
    if archive is None or not found:
        return
    rows = pl.DataFrame(found, schema=names, orient="row", infer_schema_length=None)
    rows = rows.sort(rows.columns[0], maintain_order=True)
    content = io.BytesIO()
    rows.write_parquet(content, compression="zstd")
    data = content.getvalue()
    number = int(hashlib.sha256(data).hexdigest()[:8], 16)  # the same rows, the same batch
    source = Source(lambda: io.BytesIO(data), rows.height)
    batch = archive.put(f"{FOLDER}{table}", BY, day.isoformat(), number, [source])
    archive.verify(batch)
    fault_point("retire.audit_archived")


def _old(table: str, column: str, cutoff: datetime) -> sql.Composed:
    condition = sql.SQL("{} < {}").format(sql.Identifier(column), sql.Literal(cutoff))
    return condition + sql.SQL(f" and {_NOT_YET[table]}" if table in _NOT_YET else "")


def _names(table: str, column: str) -> dict[str, sql.Identifier]:
    return {"table": sql.Identifier("warehouse", table), "column": sql.Identifier(column)}


def _plain(value: Any) -> Any:
    """JSON as its text; all else as it is."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
