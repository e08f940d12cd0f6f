"""What the hours of a step hold already, looked up by key in as few files as possible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from fleet_assets.contracts.tables import RAW_TELEMETRY
from fleet_assets.lake.hour_tables import HourTables, Write
from fleet_assets.lake.messages import Span, messages
from fleet_assets.lake.store import TableSnapshot
from fleet_assets.telemetry.hour import UNKNOWN_VEHICLE, Base
from fleet_assets.telemetry.resolve import CONFLICTING, KEY
from partitions.hours import hour_window

_COORDINATES = ["kafka_topic_id", "kafka_partition", "kafka_offset"]
_LANDING = ["kafka_topic_id", "kafka_partition", "landing_version"]


@dataclass(frozen=True)
class Readmission:
    """Rejects that come back because their vehicle is registered by now.

    Attributes:
        messages: them, as rows of `raw_telemetry`.
        files: files of `telemetry_rejects` that hold them.
        looked_into: how many files were looked into, in the order of their paths.
    """

    messages: pl.DataFrame
    files: pl.DataFrame
    looked_into: int


def base_of(tables: HourTables, marks: dict[str, int]) -> Base:
    """What hours hold, for a step.

    Args:
        tables: snapshots.
        marks: by hour, version of `raw_telemetry` up to which it is taken in; −1: it has not begun.
    """
    expired = frozenset(hour for hour in marks if not tables.raw_is_complete(hour))

    def present_rows(keys: pl.DataFrame) -> pl.DataFrame:
        table = tables.telemetry
        files = holders(table, marks, keys)
        if files.is_empty():
            return table.read_files(files)
        first, last = keys["event_time"].min(), keys["event_time"].max()
        near = table.read_files(files, where=pl.col("event_time").is_between(first, last))
        return near.join(keys, on=KEY, how="semi")

    def earlier_messages(keys: pl.DataFrame) -> pl.DataFrame:
        spans = {h: Span(-1, mark) for h, mark in marks.items() if mark >= 0 and h not in expired}
        ids, times = keys["vehicle_id"].unique(), keys["event_time"]
        theirs = pl.col("event_time").is_between(times.min(), times.max())
        theirs &= pl.col("vehicle_id").is_in(ids.implode())
        before = messages(tables.raw, spans, theirs).join(keys, on=KEY, how="semi")
        refused = _refused(tables, spans, pl.col("vehicle_id").is_in(ids.implode()))
        return before.join(refused, on=_COORDINATES, how="anti", maintain_order="left")

    def conflict_rejects(keys: pl.DataFrame) -> pl.DataFrame:
        table = tables.telemetry_rejects
        lost = table.read_files(table.files_of(expired), where=pl.col("reason") == CONFLICTING)
        return lost.join(keys, on=KEY, how="semi")

    return Base(present_rows, earlier_messages, conflict_rejects, expired)


def _refused(tables: HourTables, event_hours: Iterable[str], whose: pl.Expr) -> pl.DataFrame:
    """Coordinates of messages that are not taken in yet: their vehicle was not registered."""
    table = tables.telemetry_rejects
    return table.read_files(
        table.files_of(event_hours),
        columns=[*_COORDINATES],
        where=(pl.col("reason") == UNKNOWN_VEHICLE) & whose,
    )


def holders(
    telemetry: TableSnapshot, event_hours: Iterable[str], keys: pl.DataFrame
) -> pl.DataFrame:
    """Files of `telemetry` that hold rows of these keys: only the key's columns are read."""
    files = telemetry.files_of(event_hours)
    if files.is_empty() or keys.is_empty():
        return files.clear()
    near = [_overlapping(part, hour, keys) for (hour,), part in files.group_by("event_hour")]
    files = pl.concat(near)
    if files.is_empty():
        return files
    paths = telemetry.paths(files)
    found = (
        pl.scan_parquet(
            paths,
            glob=False,
            hive_partitioning=False,
            schema={name: keys.schema[name] for name in KEY},
            extra_columns="ignore",
            include_file_paths="file",
        )
        .join(keys.select(KEY).lazy(), on=KEY, how="semi")
        .select("file")
        .unique()
        .collect(engine="streaming")
    )
    return files.filter(pl.Series(paths).is_in(found["file"].implode()))


def without(telemetry: TableSnapshot, event_hours: Iterable[str], keys: pl.DataFrame) -> Write:
    """Rewrites the files that hold these keys without them."""
    files = holders(telemetry, event_hours, keys)
    kept = telemetry.read_files(files).join(keys, on=KEY, how="anti", maintain_order="left")
    return Write([kept], files)


def rejects_without(
    tables: HourTables,
    event_hours: Iterable[str],
    contested: pl.DataFrame,
    back: Readmission | None,
) -> Write:
    """Rewrites the files of `telemetry_rejects` without readmitted ones and contested conflicts."""
    table = tables.telemetry_rejects
    files = table.files.clear()
    if not contested.is_empty():
        files = table.files_of(event_hours)
    if back is not None:
        files = pl.concat([files, back.files]).unique("path", maintain_order=True)
    kept = table.read_files(files)
    if back is not None:
        kept = kept.join(back.messages, on=_COORDINATES, how="anti", maintain_order="left")
    is_conflict = pl.col("reason") == CONFLICTING
    gone = kept.filter(is_conflict).join(contested, on=KEY, how="semi")
    kept = kept.join(gone, on=_COORDINATES, how="anti", maintain_order="left")
    return Write([kept], files)


def readmissions(
    tables: HourTables,
    event_hour: str,
    registered: frozenset[str],
    *,
    most: int | None = None,
    most_files: int | None = None,
) -> Readmission:
    """Rejects of the hour whose vehicle is registered by now.

    Args:
        tables: snapshots.
        event_hour: key of the hour.
        registered: vehicles.
        most: about how many messages at a time; a file is not divided.
        most_files: how many files are looked into.
    """
    table = tables.telemetry_rejects
    theirs = (pl.col("reason") == UNKNOWN_VEHICLE) & pl.col("vehicle_id").is_in(list(registered))
    files = table.files_of([event_hour]).sort("path")
    found, holding, count, number = [], [], 0, 0
    last = files.height if most_files is None else most_files
    while number < last and (most is None or count < most):
        part = table.read_files(files[number], where=theirs)
        if not part.is_empty():
            found.append(part)
            holding.append(files[number])
            count += part.height
        number += 1
    rows = pl.concat(found) if found else table.read_files(files.clear())
    ranges = tables.telemetry_outcomes.read_files(
        tables.telemetry_outcomes.files_of([event_hour]), [*_LANDING, "offset_start", "offset_end"]
    )
    known = rows.join(ranges, on=_LANDING, how="left", maintain_order="left")
    schema = RAW_TELEMETRY.polars_schema
    raw = known.select(
        pl.col(name) if name in known.columns else pl.lit(None, dtype=schema[name]).alias(name)
        for name in RAW_TELEMETRY.names
    )
    return Readmission(raw, pl.concat(holding) if holding else files.clear(), number)


def _overlapping(files: pl.DataFrame, event_hour: str, keys: pl.DataFrame) -> pl.DataFrame:
    """Files of one hour whose bounds overlap those of the hour's keys."""
    times = keys["event_time"]
    start, end = hour_window(event_hour)
    inside = times.filter(times.is_between(start, end, closed="left"))
    if inside.is_empty():
        return files.clear()
    overlaps = (pl.col("min.event_time") <= inside.max()) & (
        pl.col("max.event_time") >= inside.min()
    )
    return files.filter(overlaps.fill_null(True))
