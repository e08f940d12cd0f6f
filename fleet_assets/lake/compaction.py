"""Few, sorted, well-encoded files per hour (or day), without a row gained, lost or changed.

What was written by landings and refreshes lies in many small files. Compaction reads those of one
hour, sorts, writes and exchanges them in one commit. Readers and writers are not disturbed: the
rows are the same before and after, and whoever meets the commit tries his own again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import unquote

import duckdb
import polars as pl
import pyarrow as arrow
import pyarrow.parquet as parquet
from deltalake.transaction import AddAction

from fleet_assets.contracts.table import Table
from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.layout import ROW_GROUP, LayoutWriter, layout_for
from fleet_assets.lake.merge_plan import COMPACTED
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot

SORTED_BY: Final[dict[str, tuple[str, ...]]] = {
    "raw_telemetry": (),  # as they landed: to sort payloads would take as much disk as they weigh
    "landings": ("kafka_topic_id", "kafka_partition", "offset_start"),
    "telemetry": ("vehicle_id", "event_time"),
    "telemetry_rejects": ("kafka_topic_id", "kafka_partition", "kafka_offset"),
    "telemetry_outcomes": ("kafka_topic_id", "kafka_partition", "offset_start"),
    "vehicle_outcomes": ("vehicle_id",),
    "vehicle_hour_states": ("vehicle_id",),
    "vehicle_hours": ("vehicle_id",),
    "segments": ("vehicle_id", "condition", "started_at"),
    "vehicle_codes": ("vehicle_id", "code"),
    "rule_eligibility": ("vehicle_id",),
    "rule_anomalies": ("vehicle_id", "condition", "started_at"),
    "anomalies": ("vehicle_id", "condition", "started_at"),
    "trip_segments": ("vehicle_id", "trip_kind", "started_us"),
    "trips": ("vehicle_id", "started_at"),
    "feature_windows": ("vehicle_id", "window_end"),
    "feature_days": ("vehicle_id", "regime", "feature"),
    "vehicle_baselines": ("version", "vehicle_id", "regime", "feature"),
    "model_segments": ("vehicle_id", "condition", "started_at"),
    "model_hours": ("model_id", "vehicle_group"),
    "model_anomalies": ("vehicle_id", "condition", "started_at"),
    "dlq_published": ("kafka_topic_id", "kafka_partition", "kafka_offset"),
}
_MORE_STATISTICS: Final = {"raw_telemetry": ["event_time"]}
"""Besides those in the table's properties: a rebuild reads raw messages by slices of event time."""
MEMORY_LIMIT: Final = "700MB"
"""What DuckDB may hold; beyond it sorts in files under TMPDIR."""
_FILE_ROWS: Final = 4_000_000
_FILE_BYTES: Final = 2 * 1024**3
_BATCH_BYTES: Final = 96 * 1024**2


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Attributes:
        event_hour: the hour or day; None for a table without partitions.
        gave_way: another writer changed the files meanwhile; nothing was committed.
    """

    table: str
    event_hour: str | None
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    gave_way: bool = False


def compact(lake: Lake, table: str, event_hour: str | None, paths: list[str]) -> Compacted:
    """Rewrites some files of one hour or day as few sorted ones.

    Args:
        lake: the lake, in a folder.
        table: name of the table.
        event_hour: the hour or day whose files these are; None: the table has no partitions.
        paths: files to rewrite, relative to the table.

    Raises:
        FleetError: the lake lies in an object store, or what was written is not what was read.
    """
    snapshot = lake.open(table)
    root = _folder(snapshot)
    files = snapshot.files.filter(pl.col("path").is_in(paths))
    rows, size = int(files["num_records"].sum()), int(files["size_bytes"].sum())
    unchanged = Compacted(
        table, event_hour, rows, files.height, files.height, size, size, gave_way=True
    )
    if files.height != len(paths):
        return unchanged
    by = "min.landing_version" if table == "raw_telemetry" else "path"
    sources = [Path(root, path) for path in files.sort(by)["path"]]
    with _database() as db, TemporaryDirectory(prefix="fleet-upkeep-") as spill:
        db.execute(f"SET temp_directory = {_quoted(spill)}")
        made: list[Path] = []
        try:
            written = _write(db, snapshot, root, event_hour, sources, rows, made)
            _verify(db, snapshot.contract, sources, made)
        except Exception:  # a full disk, a broken file: leave nothing behind
            _remove(made)
            raise
    fault_point("upkeep.files_written")
    try:
        snapshot.commit_actions(written, files, {}, data_change=False)
    except CommitConflictError:
        if not set(lake.open(table).files["path"]) & {file.path for file in written}:
            _remove(made)
        return unchanged
    fault_point("upkeep.committed")
    return Compacted(
        table, event_hour, rows, len(paths), len(written), size,
        sum(file.size for file in written),
    )  # fmt: skip


def content_hash(db: duckdb.DuckDBPyConnection, contract: Table, files: list[Path]) -> str:
    """Number and hash of the rows of some files, whatever their order and encoding."""
    names = ", ".join(f'"{name}"' for name in _stored(contract).names)
    found = db.sql(
        f"SELECT count(*), coalesce(sum(hash({names})::HUGEINT), 0)"
        f" FROM ({_rows(db, contract, files)})"
    ).fetchall()
    rows, hashes = found[0]
    return f"{rows}:{hashes:x}"


def _write(
    db: duckdb.DuckDBPyConnection,
    snapshot: TableSnapshot,
    root: str,
    event_hour: str | None,
    sources: list[Path],
    rows: int,
    made: list[Path],
) -> list[AddAction]:
    contract = snapshot.contract
    configuration = snapshot.delta.metadata().configuration
    statistics = configuration.get("delta.dataSkippingStatsColumns", "").split(",")
    statistics += _MORE_STATISTICS.get(contract.name, [])
    by = _partition(contract, event_hour)
    folder = "".join(f"{name}={key}/" for name, key in by.items())
    wide = _bytes_per_row(sources)
    file_rows = max(1, min(_FILE_ROWS, int(_FILE_BYTES / wide)))
    written: list[AddAction] = []
    writer: LayoutWriter | None = None
    path = Path()
    order = ", ".join(SORTED_BY[contract.name])
    query = f"SELECT * FROM ({_rows(db, contract, sources)})" + f" ORDER BY {order}" * bool(order)
    batches = _batches(db, query, _stored(contract), max(1, int(_BATCH_BYTES / wide)))
    for batch in batches:
        if writer is None:
            whole = batch.num_rows == rows
            layout = layout_for(batch, statistics, whole=whole)
            name = f"{folder}{COMPACTED}{uuid.uuid4().hex}.parquet"
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            made.append(path)
            writer = LayoutWriter(arrow.OSFile(str(path), "wb"), layout)
        writer.write(batch)
        if writer.rows >= file_rows:
            written.append(_closed(writer, root, path, by))
            writer = None
    if writer is not None:
        written.append(_closed(writer, root, path, by))
    return written


def _partition(contract: Table, key: str | None) -> dict[str, str | None]:
    return {contract.partition_by: key} if contract.partition_by and key is not None else {}


def _closed(writer: LayoutWriter, root: str, path: Path, by: dict[str, str | None]) -> AddAction:
    writer.close()
    return AddAction(
        path=str(path.relative_to(root)),
        size=path.stat().st_size,
        partition_values=by,
        modification_time=int(time.time() * 1000),
        data_change=False,
        stats=writer.delta_statistics,
    )


def _remove(made: list[Path]) -> None:
    for path in made:
        path.unlink(missing_ok=True)


def _verify(
    db: duckdb.DuckDBPyConnection, contract: Table, before: list[Path], after: list[Path]
) -> None:
    was = content_hash(db, contract, before)
    found = content_hash(db, contract, after)
    if was != found:
        raise FleetError(
            f"{contract.name}: the rewritten files hold other rows ({found}) than those they"
            f" replace ({was}); nothing was committed. Report this, with the files if you can"
        )


def _rows(db: duckdb.DuckDBPyConnection, contract: Table, files: list[Path]) -> str:
    """SELECT of all stored columns; one that a file lacks is null, or the contract's default."""
    stored = _stored(contract)
    db.register("as_contracted", stored.empty_table())
    listed = ", ".join(_quoted(_literal(str(path))) for path in files)
    columns = ", ".join(
        f'coalesce("{name}", {_constant(contract.defaults[name])}) AS "{name}"'
        if name in contract.defaults
        else f'"{name}"'
        for name in stored.names
    )
    return (
        f"SELECT {columns} FROM (FROM as_contracted UNION ALL BY NAME FROM"
        f" read_parquet([{listed}], union_by_name = true, hive_partitioning = false))"
    )


def _batches(
    db: duckdb.DuckDBPyConnection, query: str, schema: arrow.Schema, most_rows: int
) -> Iterator[arrow.Table]:
    for batch in db.sql(query).to_arrow_reader(min(ROW_GROUP, most_rows)):
        yield arrow.Table.from_batches([batch]).cast(schema)


def _bytes_per_row(files: list[Path]) -> float:
    """Of the widest file, unpacked: payloads of a mebibyte must not fill the memory."""
    widths = []
    for path in files:
        found = parquet.read_metadata(path)
        size = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        widths.append(size / max(found.num_rows, 1))
    return max(widths, default=1.0) or 1.0


def _folder(snapshot: TableSnapshot) -> str:
    uri = snapshot.delta.table_uri.rstrip("/")
    if uri.startswith("file://"):
        return unquote(uri.removeprefix("file://"))
    if uri.startswith("/"):
        return uri
    raise FleetError(
        f"{uri}: only a lake in a folder can be compacted here; for one in an object store use"
        " Delta's OPTIMIZE, for example in Spark"
    )


def _stored(contract: Table) -> arrow.Schema:
    """The columns that the files themselves hold."""
    return arrow.schema(f for f in contract.arrow_schema if f.name != contract.partition_by)


def _database() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    db.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY_LIMIT}'")
    return db


def _constant(value: int | float | bool | str) -> str:
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literal(path: str) -> str:
    """A path in which no character stands for others."""
    return path.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
