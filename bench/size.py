"""What the messages weigh: JSON, Parquet as it comes, the lake before and after upkeep.

Real trips are measured as they lie in time (hundreds of hours with few rows each) and moved close
together as `fleet replay --rebase` does; the simulator as hours of a small fleet.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from bench.messages import REAL, real_messages, simulated_messages
from fleet_assets.fleet_sim.progress import Progress
from fleet_assets.fleet_sim.replay import Replay
from fleet_assets.fleet_sim.sinks import FileSink
from fleet_assets.fleet_sim.times import parse_rate
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.upkeep import UpkeepPolicy, keep_up
from fleet_assets.telemetry.placement import TimePolicy, place
from fleet_assets.telemetry.source import Source

BATCH = 50_000
"""Messages of a landing: small ones, as a trickle leaves them."""
SIMULATED = 1_000_000
_ALL = 10**9
_ARRIVED = datetime(2026, 11, 1, tzinfo=UTC)
_TIMES = TimePolicy(datetime(2017, 1, 1, tzinfo=UTC), timedelta(minutes=5))
_POLICY = UpkeepPolicy(timedelta(minutes=5), vacuum_retention=timedelta(days=1))


def main() -> None:
    """Prints a table per kind of message."""
    if REAL.exists():
        _report("real trips, as they lie in time", real_messages(_ALL))
        _report("real trips, close together", _rebased())
    _report("simulator, 200 vehicles", simulated_messages(SIMULATED))


def _report(name: str, messages: list[bytes]) -> None:
    vehicles = frozenset(json.loads(message)["vehicle_id"] for message in messages)
    size = sum(map(len, messages))
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(f"{folder}/lake")
        for start in range(0, len(messages), BATCH):
            for hour in _land(lake, messages[start : start + BATCH], start):
                refresh_hour(lake, hour, vehicles, _POLICY.grace)
        before = {name: _weight(lake, name) for name in ("raw_telemetry", "telemetry")}
        rows = lake.open("telemetry").read()
        rows.write_parquet(f"{folder}/default.parquet")
        default = Path(folder, "default.parquet").stat().st_size
        keep_up(lake, _POLICY, datetime.now(UTC), thorough=True)
        after = {name: _weight(lake, name) for name in ("raw_telemetry", "telemetry")}
    hours = rows["event_hour"].n_unique()
    table = Table(
        "what", "bytes", "of the JSON", "bytes a row", "files", "files an hour",
        title=f"{name}: {len(messages):,} messages, {hours} hours, {size:,} bytes of JSON",
    )  # fmt: skip
    lines: Iterable[tuple[str, tuple[int, int]]] = (
        ("raw_telemetry, as landed", before["raw_telemetry"]),
        ("raw_telemetry, after upkeep", after["raw_telemetry"]),
        ("telemetry in one file, Parquet's defaults", (default, 1)),
        ("telemetry, as refreshed", before["telemetry"]),
        ("telemetry, after upkeep", after["telemetry"]),
    )
    for what, (stored, files) in lines:
        table.add_row(
            what, f"{stored:,}", f"{stored / size:.2%}", f"{stored / len(messages):.2f}",
            f"{files:,}", f"{files / hours:.1f}",
        )  # fmt: skip
    Console().print(table)


def _land(lake: Lake, messages: list[bytes], start: int) -> Iterable[str]:
    end = start + len(messages)
    frame = pl.DataFrame(
        {"key": pl.Series([None] * len(messages), dtype=pl.Binary), "value": messages}
    ).with_columns(
        kafka_topic_id=pl.lit("bench"),
        kafka_partition=pl.lit(0, dtype=pl.Int32),
        kafka_offset=pl.int_range(start, end, dtype=pl.Int64),
        offset_start=pl.lit(start, dtype=pl.Int64),
        offset_end=pl.lit(end, dtype=pl.Int64),
        append_time=pl.lit(_ARRIVED).cast(pl.Datetime("us", "UTC")),
    )
    landed = land(lake, Source("bench", "bench"), {0: (start, end)}, place(frame, _TIMES))
    return landed.messages


def _weight(lake: Lake, name: str) -> tuple[int, int]:
    """Bytes and number of the files that the newest version consists of."""
    files = lake.open(name).files
    return int(files["size_bytes"].sum()), files.height


def _rebased() -> list[bytes]:
    """The real trips, moved so that they end at a given time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rebased.ndjson"
        end = datetime(2026, 10, 1, 12, tzinfo=UTC)
        with Progress("Moving trips", None) as progress, FileSink(path) as sink:
            Replay(REAL, int(end.timestamp() * 1000), None, in_order=False).run(
                sink, parse_rate("max"), progress
            )
        return path.read_bytes().splitlines()


if __name__ == "__main__":
    main()
