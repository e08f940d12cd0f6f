"""From bytes to the lake: landing and refresh beside plain DuckDB and row-wise Python."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
from rich.console import Console
from rich.table import Table

from bench.messages import real_messages, simulated_messages
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.decode import _wire_shape
from fleet_assets.telemetry.placement import TimePolicy, place
from fleet_assets.telemetry.source import Source

MESSAGES = 200_000
REPEATS = 3
_POLICY = TimePolicy(datetime(2017, 1, 1, tzinfo=UTC), timedelta(minutes=5))
_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_WIRE_SHAPE = _wire_shape()


def main() -> None:
    """Prints one table per kind of message."""
    for name, messages in (
        ("real trips", real_messages(MESSAGES)),
        ("simulator", simulated_messages(MESSAGES)),
    ):
        if not messages:
            Console().print(f"{name}: not there, left out")
            continue
        _report(name, messages)


def _report(name: str, messages: list[bytes]) -> None:
    vehicles = frozenset(json.loads(message)["vehicle_id"] for message in messages)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        runs: dict[str, list[float]] = {}
        for repeat in range(REPEATS):  # in turn, so that all meet the same noise
            lake = Lake(str(root / f"lake{repeat}"))
            steps: dict[str, Callable[[], object]] = {
                "landing (place, commit raw)": lambda lake=lake: _land(lake, messages),  # type: ignore[misc]
                "refresh (decode … commit)": lambda lake=lake: _refresh(lake, vehicles),  # type: ignore[misc]
                "DuckDB from_json → Parquet": lambda: _duckdb(messages, root / "peer.parquet"),
                "row-wise json.loads → Parquet": lambda: _rows(messages, root / "rows.parquet"),
            }
            for step, work in steps.items():
                started = time.perf_counter()
                work()
                runs.setdefault(step, []).append(time.perf_counter() - started)
        size = sum(map(len, messages))
        stored = sum(f.stat().st_size for f in (root / "lake0" / "telemetry").rglob("*.parquet"))
    peer = statistics.median(runs["DuckDB from_json → Parquet"])
    table = Table(
        "step", "median s", "messages/s", "against DuckDB",
        title=f"{name}: {len(messages):,} messages of {size / len(messages):.0f} B,"
        f" {REPEATS} repeats; telemetry is {stored / size:.1%} of the JSON",
    )  # fmt: skip
    for step, seconds in runs.items():
        median = statistics.median(seconds)
        table.add_row(
            step, f"{median:.2f}", f"{len(messages) / median:,.0f}", f"{median / peer:.2f} ×"
        )
    Console().print(table)


def _frame(messages: list[bytes]) -> pl.DataFrame:
    count = len(messages)
    return pl.DataFrame(
        {
            "kafka_topic_id": pl.Series(["bench"] * count, dtype=pl.String),
            "kafka_partition": pl.Series([0] * count, dtype=pl.Int32),
            "kafka_offset": pl.Series(range(count), dtype=pl.Int64),
            "append_time": pl.Series([_NOW] * count, dtype=pl.Datetime("us", "UTC")),
            "key": pl.Series([None] * count, dtype=pl.Binary),
            "value": pl.Series(messages, dtype=pl.Binary),
            "offset_start": pl.Series([0] * count, dtype=pl.Int64),
            "offset_end": pl.Series([count] * count, dtype=pl.Int64),
        }
    )


def _land(lake: Lake, messages: list[bytes]) -> None:
    placed = place(_frame(messages), _POLICY)
    land(lake, Source("bench", "bench"), {0: (0, len(messages))}, placed)


def _refresh(lake: Lake, vehicles: frozenset[str]) -> None:
    raw = lake.open("raw_telemetry")
    for hour in newest_raw_versions(raw):
        refresh_hour(lake, hour, vehicles, timedelta(minutes=5), raw=raw)


def _duckdb(messages: list[bytes], path: Path) -> None:
    texts = pl.DataFrame({"text": pl.Series(messages).cast(pl.String)}).to_arrow()
    with duckdb.connect() as db:
        db.register("texts", texts)
        db.execute(
            f"COPY (SELECT unnest(from_json(text, '{_WIRE_SHAPE}')),"
            " text->>'vehicle_id' AS vehicle_id, text->>'timestamp' AS event_time FROM texts)"
            f" TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )


def _rows(messages: list[bytes], path: Path) -> None:
    pl.DataFrame([json.loads(m) for m in messages], infer_schema_length=None).write_parquet(path)


if __name__ == "__main__":
    main()
