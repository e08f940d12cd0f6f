"""What the lake itself tells of every hour and table: input, marks, rows, files, bytes, holes.

Computed from snapshots in one pass over their add actions, never from a book of its own, so it
cannot disagree with the lake. What only the flow knows (attempts, runs) is in the warehouse.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.lake.log import all_marks, stored_files
from fleet_assets.lake.marks import expired_id
from fleet_assets.lake.processed import marks_of, processed_versions, row_numbers
from fleet_assets.lake.store import Lake, TableSnapshot

RAW: Final = "raw_telemetry"
LEDGER_TABLES: Final = (
    RAW,
    "telemetry",
    "telemetry_rejects",
    "telemetry_outcomes",
    "vehicle_outcomes",
    "vehicle_hour_states",
    "vehicle_hours",
    "segments",
    "vehicle_codes",
    "rule_eligibility",
    "trip_segments",
    "trips",
    "rule_anomalies",
    "anomalies",
    "feature_windows",
    "model_segments",
    "model_hours",
    "model_anomalies",
)
"""In the order of the flow."""
OPTIONAL: Final = ("model_segments", "model_hours", "model_anomalies")
"""Only of hours that a model serves: others have no row."""
LEDGER_SCHEMA: Final = pl.Schema(
    {
        "event_hour": pl.String(),
        "table_name": pl.String(),
        "rows": pl.Int64(),
        "files": pl.Int64(),
        "bytes": pl.Int64(),
        "written_at": UTC_MICROSECONDS,
        "processed_version": pl.Int64(),
        "processed_input_at": UTC_MICROSECONDS,
        "newest_version": pl.Int64(),
        "newest_input_at": UTC_MICROSECONDS,
        "raw_complete": pl.Boolean(),
        "rows_number": pl.Int64(),
    }
)
"""`newest_…`: newest landed input of the hour (version of raw_telemetry, arrival). `processed_…`:
what of it the table has taken in. The newest and `raw_complete` stand in the row of raw only.
Of tables by onset, rows, files and bytes are those of what begins in the hour, `processed_…` says
how far the hour's pieces have been worked out. `rows_number`: the warehouse notes it of a load."""

_EXPIRED: Final = expired_id("")


def ledger_snapshots(lake: Lake) -> dict[str, TableSnapshot]:
    """Snapshots of the tables that exist. Each is opened before what it is made from: what changes
    meanwhile is then seen as not yet processed, never the other way round."""
    found = {name: lake.find(name) for name in reversed(LEDGER_TABLES)}
    return {name: snapshot for name, snapshot in found.items() if snapshot is not None}


def lake_ledger(
    tables: Mapping[str, TableSnapshot], hours: Collection[str] | None = None
) -> pl.DataFrame:
    """One row per hour and table (`LEDGER_SCHEMA`), ordered by hour and table.

    Args:
        tables: snapshots by name, as of `ledger_snapshots`; missing ones count as empty.
        hours: only these; None: all that hold messages or have been worked on.
    """
    held = [_held(name, snapshot) for name, snapshot in tables.items()]
    marks = marks_of({name: table for name, table in tables.items() if name != RAW})
    raw = tables[RAW].files if RAW in tables else pl.DataFrame()
    landed = _landed(raw)
    marked = processed_versions(marks, None if hours is None else set(hours))
    known = pl.concat([landed.select("event_hour"), marked.select("event_hour")]).unique()
    if hours is not None:
        known = known.filter(pl.col("event_hour").is_in(list(hours)))
    key = ["event_hour", "table_name"]
    every = (
        known.join(pl.DataFrame({"table_name": list(LEDGER_TABLES)}), how="cross")
        .join(marked.select(*key, begun=pl.lit(value=True)), on=key, how="left")
        .filter(~pl.col("table_name").is_in(OPTIONAL) | pl.col("begun"))
        .drop("begun")
    )
    reached = marked.join(_arrivals(raw), on="event_hour").filter(
        pl.col("version") <= pl.col("processed_version")
    )
    taken_in = reached.group_by(key).agg(processed_input_at=pl.col("append_time").max())
    furthest = marked.group_by("event_hour").agg(furthest=pl.col("processed_version").max())
    is_raw = pl.col("table_name") == RAW
    # where raw has expired, what was taken in last is the newest input that is known
    newest = pl.max_horizontal("newest_version", "furthest")
    return (
        every.join(pl.concat(held) if held else _NOTHING_HELD, on=key, how="left")
        .join(marked, on=key, how="left")
        .join(taken_in, on=key, how="left")
        .join(landed, on="event_hour", how="left")
        .join(furthest, on="event_hour", how="left")
        .join(row_numbers(marks), on=key, how="left")
        .with_columns(
            *(pl.col(name).fill_null(0) for name in ("rows", "files", "bytes")),
            newest_version=pl.when(is_raw).then(newest),
            newest_input_at=pl.when(is_raw).then("newest_input_at"),
            processed_version=pl.when(is_raw).then(newest).otherwise("processed_version"),
            processed_input_at=pl.when(is_raw)
            .then("newest_input_at")
            .otherwise("processed_input_at"),
            raw_complete=pl.when(is_raw).then(
                ~pl.col("event_hour").is_in(sorted(expired_hours(tables)))
            ),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LEDGER_SCHEMA.items())
        .sort(key)
    )


def expired_hours(tables: Mapping[str, TableSnapshot]) -> set[str]:
    """Hours whose raw messages are no longer complete, because some have expired."""
    marks = all_marks(tables[RAW].delta) if RAW in tables else {}
    return {app.removeprefix(_EXPIRED) for app in marks if app.startswith(_EXPIRED)}


def damaged_hours(raw: TableSnapshot) -> dict[str, str]:
    """Hours with files of `raw_telemetry` that are gone or have another size, in words."""
    stored = stored_files(raw.delta).select("path", stored_bytes="size_bytes")
    if raw.files.is_empty():
        return {}
    wrong = (
        raw.files.select("event_hour", "path", "size_bytes")
        .join(stored, on="path", how="left")
        .filter(pl.col("stored_bytes").ne_missing(pl.col("size_bytes")))
    )
    by_hour = wrong.group_by("event_hour").agg(
        gone=pl.col("stored_bytes").is_null().sum(), changed=pl.col("stored_bytes").count()
    )
    return {hour: _damage(gone, changed) for hour, gone, changed in by_hour.iter_rows()}


def vanished_hours(ledger: pl.DataFrame) -> dict[str, str]:
    """Hours that were taken in, whose raw messages are gone without having expired, in words.

    Args:
        ledger: as of `lake_ledger`.
    """
    raw = ledger.filter(
        (pl.col("table_name") == RAW) & (pl.col("rows") == 0) & pl.col("raw_complete")
    )
    counted = ledger.filter((pl.col("table_name") == "telemetry_outcomes") & (pl.col("rows") > 0))
    gone = raw.join(counted, on="event_hour", how="semi")["event_hour"]
    return dict.fromkeys(gone, "raw_telemetry holds no message of it, though none has expired")


def hours_with_losses(
    tables: Mapping[str, TableSnapshot], lost: Mapping[int, int]
) -> dict[str, str]:
    """Hours that a landing touched before which Kafka had lost messages, in words.

    Which hour a lost message belonged to cannot be known; these are where it may be missing.

    Args:
        tables: snapshots by name.
        lost: landing version → offsets lost before it.
    """
    if not lost:
        return {}
    version, wanted = pl.col("landing_version"), list(lost)
    touched = []
    if "telemetry_outcomes" in tables:
        touched.append(
            tables["telemetry_outcomes"].read(
                columns=["event_hour", "landing_version"], where=version.is_in(wanted)
            )
        )
    if RAW in tables and not tables[RAW].files.is_empty():
        first, last = pl.col("min.landing_version"), pl.col("max.landing_version")
        one = tables[RAW].files.filter((first == last) & first.is_in(wanted))
        touched.append(one.select("event_hour", landing_version=first))
    if not touched:
        return {}
    by_hour = (
        pl.concat(touched)
        .unique()
        .with_columns(lost=version.replace_strict(dict(lost), return_dtype=pl.Int64))
        .group_by("event_hour")
        .agg(pl.col("lost").sum())
    )
    return {
        hour: f"Kafka had expired {offsets:,} offsets before a landing that touched this hour"
        for hour, offsets in by_hour.iter_rows()
    }


_NOTHING_HELD: Final = pl.DataFrame(
    schema={n: LEDGER_SCHEMA[n] for n in ("event_hour", "table_name", "rows", "files", "bytes")}
    | {"written_at": UTC_MICROSECONDS}
)


def _held(name: str, snapshot: TableSnapshot) -> pl.DataFrame:
    """Rows, files and bytes by hour."""
    if snapshot.files.is_empty():
        return _NOTHING_HELD
    grouped = snapshot.files.group_by("event_hour").agg(
        rows=pl.col("num_records").sum(),
        files=pl.len(),
        bytes=pl.col("size_bytes").sum(),
        written_at=pl.from_epoch(pl.col("modification_time").max(), "ms"),
    )
    return grouped.with_columns(
        table_name=pl.lit(name), written_at=pl.col("written_at").dt.replace_time_zone("UTC")
    ).select(pl.col(column).cast(dtype) for column, dtype in _NOTHING_HELD.schema.items())


def _landed(raw: pl.DataFrame) -> pl.DataFrame:
    if raw.is_empty():
        return pl.DataFrame(
            schema={n: LEDGER_SCHEMA[n] for n in ("event_hour", "newest_version")}
            | {"newest_input_at": UTC_MICROSECONDS}
        )
    return raw.group_by("event_hour").agg(
        newest_version=pl.col("max.landing_version").max(),
        newest_input_at=pl.col("max.append_time").max().cast(UTC_MICROSECONDS),
    )


def _arrivals(raw: pl.DataFrame) -> pl.DataFrame:
    if raw.is_empty():
        return pl.DataFrame(
            schema={"event_hour": pl.String, "version": pl.Int64, "append_time": UTC_MICROSECONDS}
        )
    return raw.select(
        "event_hour",
        version="max.landing_version",
        append_time=pl.col("max.append_time").cast(UTC_MICROSECONDS),
    )


def _damage(gone: int, changed: int) -> str:
    words = [f"{gone} gone"] if gone else []
    words += [f"{changed} of another size"] if changed else []
    return f"files of raw_telemetry: {', '.join(words)}"
