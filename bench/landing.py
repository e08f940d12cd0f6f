"""From Kafka to `raw_telemetry` step by step, beside plain DuckDB on the same messages.

Rates are messages per second of processor time (user and system, all threads of the process,
librdkafka's too), which is what "per core" means here, and by the clock; medians of the repeats.
`--backlog N` lands N messages in this process and prints its greatest memory.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.messages import Load, loads
from bench.pipeline import PEER, Runs, duckdb_peer
from bench.services import Services, services
from fleet_assets.kafka.read import read_ranges
from fleet_assets.kafka.topic import topic_state
from fleet_assets.lake.landing import land
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.placement import TimePolicy, place

MESSAGES = int(os.environ.get("FLEET_BENCH_MESSAGES", "540000"))
REPEATS = int(os.environ.get("FLEET_BENCH_REPEATS", "5"))
_POLICY = TimePolicy(datetime(2017, 1, 1, tzinfo=UTC), timedelta(days=10_000))
WHOLE = "Kafka → raw_telemetry"


class Clock:
    """Adds up what steps take."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Counts what happens inside for a step."""
        cpu, wall = _processor_seconds(), time.perf_counter()
        yield
        self.cpu[name] = self.cpu.get(name, 0.0) + _processor_seconds() - cpu
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall


def main() -> None:
    """Prints a table per kind of message."""
    with services() as found:
        for number, load in enumerate(loads(MESSAGES)):
            topic = f"landing-{number}"
            found.send(topic, load.messages)
            _report(load, _measure(found, topic, load))


def backlog(messages: int) -> None:
    """Lands so many messages and prints the process's greatest memory."""
    with services() as found:
        load = loads(MESSAGES)[0]
        sent = 0
        while sent < messages:
            part = load.messages[: messages - sent]
            (found.add if sent else found.send)("backlog", part)
            sent += len(part)
        name = load.name
        del load, part
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            landed = land_topic(found, "backlog", Lake(folder), clock)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Console().print(
            f"{landed:,} messages ({name}) landed at"
            f" {landed / sum(clock.cpu.values()):,.0f} messages/s of processor time; greatest"
            f" memory {most:,.0f} MiB, {before:,.0f} MiB of it by the bench before it landed"
        )


def land_topic(found: Services, topic: str, lake: Lake, clock: Clock) -> int:
    """Lands all that a topic holds as the landing job does; how many messages that was."""
    state = topic_state(found.broker, topic)
    chunks = read_ranges(found.broker, topic, state.source.topic_id, state.watermarks)
    landed = 0
    while True:
        with clock.step("read from Kafka"):
            chunk = next(chunks, None)
        if chunk is None:
            return landed
        with clock.step("place"):
            placed = place(chunk.messages, _POLICY)
        with clock.step("check, write, commit"):
            land(lake, state.source, chunk.ranges, placed, chunk.lost)
        landed += placed.height


def _measure(found: Services, topic: str, load: Load) -> dict[str, Runs]:
    runs: dict[str, Runs] = {}
    for _ in range(REPEATS):  # in turn, so that all meet the same noise
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            with clock.step(WHOLE):
                assert land_topic(found, topic, Lake(folder + "/lake"), clock) == len(load.messages)
            with clock.step(PEER):
                duckdb_peer(found, topic, Path(folder))
        for step, seconds in clock.cpu.items():
            run = runs.setdefault(step, Runs(len(load.messages)))
            run.cpu.append(seconds)
            run.wall.append(clock.wall[step])
    return runs


def _report(load: Load, runs: dict[str, Runs]) -> None:
    table = Table(
        "step", "messages/s per core", "messages/s by the clock", "processor µs/message",
        "against DuckDB",
        title=f"{load.name}: {len(load.messages):,} messages of {load.bytes_each:.0f} B,"
        f" {REPEATS} repeats",
    )  # fmt: skip
    peer = runs[PEER].rate(runs[PEER].cpu)
    for step, run in runs.items():
        rate = run.rate(run.cpu)
        table.add_row(
            step, f"{rate:,.0f}", f"{run.rate(run.wall):,.0f}", f"{1e6 / rate:.2f}",
            f"{rate / peer:.2f} ×",
        )  # fmt: skip
    Console().print(table)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    if sys.argv[1:2] == ["--backlog"]:
        backlog(int(sys.argv[2]))
    else:
        main()
