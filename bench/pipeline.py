"""From Kafka to `telemetry`, in one process and without Dagster, beside what one would use instead.

Rates are messages per second of processor time (user and system, all threads of the process), which
is what "per core" means here, and by the clock; medians of the repeats.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
from rich.console import Console
from rich.table import Table

from bench.messages import Load, loads
from bench.services import Services, services
from fleet_assets.kafka.read import read_ranges
from fleet_assets.kafka.topic import topic_state
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour, refresh_together
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.decode_sql import wire_shape
from fleet_assets.telemetry.placement import TimePolicy, place

MESSAGES = int(os.environ.get("FLEET_BENCH_MESSAGES", "540000"))
REPEATS = int(os.environ.get("FLEET_BENCH_REPEATS", "3"))
ROWS_BY_ROW = 5_000
"""Messages of the row-wise peer: it would take an hour for all of them."""
_POLICY = TimePolicy(datetime(2017, 1, 1, tzinfo=UTC), timedelta(days=10_000))
_LATE = timedelta(minutes=5)
OURS, PEER = "both, end to end", "DuckDB from_json over Kafka → Parquet"


@dataclass
class Runs:
    """What repeats of one step took: processor seconds and seconds by the clock."""

    messages: int
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def rate(self, seconds: list[float]) -> float:
        """Messages per second, by the median."""
        return self.messages / statistics.median(seconds)


def main() -> None:
    """Prints a table per kind of message."""
    with services() as found:
        for number, load in enumerate(loads(MESSAGES)):
            topic = f"bench-{number}"
            found.send(topic, load.messages)
            _report(load, _measure(found, topic, load))


def _measure(found: Services, topic: str, load: Load) -> dict[str, Runs]:
    runs: dict[str, Runs] = {}
    vehicles = load.vehicles
    for _ in range(REPEATS):  # in turn, so that all meet the same noise
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake(folder + "/lake")
            steps: dict[str, tuple[int, Callable[[], object]]] = {
                "Kafka → raw_telemetry": (len(load.messages), lambda: _land(found, topic, lake)),  # noqa: B023
                "raw_telemetry → telemetry": (
                    len(load.messages),
                    lambda: _refresh(lake, vehicles),  # noqa: B023
                ),
                PEER: (len(load.messages), lambda: duckdb_peer(found, topic, Path(folder))),
                "row by row, single INSERTs": (
                    ROWS_BY_ROW,
                    lambda: _row_by_row(found, load.messages[:ROWS_BY_ROW]),
                ),
            }
            for name, (messages, work) in steps.items():
                _time(runs.setdefault(name, Runs(messages)), work)
    spark = _spark(load)
    if spark is not None:
        runs["Spark local, from_json → Parquet"] = spark
    landing, refresh = runs["Kafka → raw_telemetry"], runs["raw_telemetry → telemetry"]
    runs[OURS] = Runs(
        len(load.messages),
        [a + b for a, b in zip(landing.cpu, refresh.cpu, strict=True)],
        [a + b for a, b in zip(landing.wall, refresh.wall, strict=True)],
    )
    return runs


def _time(runs: Runs, work: Callable[[], object]) -> None:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    runs.cpu.append(time.process_time() - cpu)
    runs.wall.append(time.perf_counter() - wall)


def _land(found: Services, topic: str, lake: Lake) -> None:
    state = topic_state(found.broker, topic)
    for chunk in read_ranges(found.broker, topic, state.source.topic_id, state.watermarks):
        land(lake, state.source, chunk.ranges, place(chunk.messages, _POLICY), chunk.lost)


def _refresh(lake: Lake, vehicles: frozenset[str]) -> None:
    hours = list(newest_raw_versions(lake.open("raw_telemetry")))
    done = refresh_together(lake, hours, vehicles, _LATE)
    for hour in hours:
        if hour not in done:
            refresh_hour(lake, hour, vehicles, _LATE)


def duckdb_peer(found: Services, topic: str, folder: Path) -> None:
    """The same messages, read as we do, into Parquet by plain DuckDB."""
    state = topic_state(found.broker, topic)
    shape = json.dumps(json.loads(wire_shape()) | {"vehicle_id": "VARCHAR", "timestamp": "VARCHAR"})
    with duckdb.connect() as db:
        chunks = read_ranges(found.broker, topic, state.source.topic_id, state.watermarks)
        for number, chunk in enumerate(chunks):
            db.register("messages", chunk.messages.select("value").to_arrow())
            db.execute(
                f"COPY (SELECT unnest(from_json(decode(value), '{shape}')) FROM messages)"
                f" TO '{folder}/{number}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )


def _row_by_row(found: Services, messages: list[bytes]) -> None:
    """As the system that is replaced does it, without the cost of making pandas rows."""
    with psycopg.connect(found.postgres_url, autocommit=True) as db:
        db.execute("CREATE TEMP TABLE t (vehicle_id text, time timestamptz, speed real, rpm real)")
        for message in messages:
            row = json.loads(message)
            values = (row["vehicle_id"], row["timestamp"], row.get("speed"), row.get("engine_rpm"))
            db.execute("INSERT INTO t VALUES (%s, %s, %s, %s)", values)


def _spark(load: Load) -> Runs | None:
    """Spark in an environment of its own (`make test-spark` makes it), a child process."""
    python = Path(".venv-spark/bin/python").absolute()
    if not python.exists():
        return None
    with tempfile.TemporaryDirectory() as folder, suppress(subprocess.CalledProcessError):
        path = Path(folder) / "messages.ndjson"
        path.write_bytes(b"\n".join(load.messages))
        command = [str(python), "-m", "bench.spark_peer", str(path), str(REPEATS)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        times = json.loads(told.splitlines()[-1])
        return Runs(len(load.messages), times["cpu"], times["wall"])
    return None


def _report(load: Load, runs: dict[str, Runs]) -> None:
    peer = runs[PEER]
    table = Table(
        "step", "messages/s per core", "by the clock", "against DuckDB, per core",
        title=f"{load.name}: {len(load.messages):,} messages of {load.bytes_each:.0f} B,"
        f" {REPEATS} repeats",
    )  # fmt: skip
    for name, run in runs.items():
        ratio = run.rate(run.cpu) / peer.rate(peer.cpu)
        rates = (f"{run.rate(run.cpu):,.0f}", f"{run.rate(run.wall):,.0f}")
        table.add_row(name, *rates, f"{ratio:.2f} ×")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
