"""A rebuild of an hour whose raw messages have expired: its rows are read again as messages.

Only rows with unknown keys or refused values can come out differently, when the registry of
signals has changed. Keys, conflicts and counts stay as they are.
"""

from __future__ import annotations

import polars as pl

from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.lake.hour_step import check
from fleet_assets.lake.hour_tables import FOLLOWERS, HourTables, Write
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.resolve import KEY
from fleet_assets.telemetry.wire_form import wire_form

_MAY_CHANGE = pl.col("extra").is_not_null() | pl.col("invalid_values").is_not_null()


def redecode_hour(tables: HourTables, event_hour: str) -> bool:
    """Decodes the hour's rows once more; whether any has changed.

    Raises:
        InvalidHourError: the rows break their contract; nothing is committed.
        CommitConflictError: another commit has changed the hour.
    """
    table = tables.telemetry
    files = table.files_of([event_hour])
    changed, frames = [], []
    for number in range(files.height):
        before = table.read_files(files[number], where=_MAY_CHANGE)
        after = _decoded_again(before)
        if after.equals(before):
            continue
        same = table.read_files(files[number]).join(before.select(KEY), on=KEY, how="anti")
        frames.append(pl.concat([same, after]).sort(KEY))
        changed.append(files[number])
    if not changed:
        return False
    for rows in frames:
        check(telemetry=rows)
    nothing = {name: Write([], tables.table(name).files.clear()) for name in FOLLOWERS}
    tables.commit(
        {"telemetry": Write(frames, pl.concat(changed)), **nothing},
        {event_hour: tables.mark(event_hour).version or 0},
    )
    return True


def _decoded_again(rows: pl.DataFrame) -> pl.DataFrame:
    if rows.is_empty():
        return rows
    messages = rows.select("event_hour", *KEY, value=wire_form(rows))
    again = decode(messages).rows.drop("i").with_columns(conflict=rows["conflict"])
    return again.select(TELEMETRY.names)
