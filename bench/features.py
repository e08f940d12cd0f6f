"""All features by our kernel on real trips and simulated drives, beside a dozen by rolling windows.

The dozen is what one writes first: `rolling` over time by vehicle, then the last row of each step,
in pandas, in Polars and in Spark (local; where `make test-spark` has made its environment). They
weigh messages instead of time, so that they agree with ours where messages come evenly; the bench
fails if they do not. Rates are rows per second of processor time.

`python -m bench.features [ROWS OF SPARK]`: Spark needs seconds to plan, so it gets more rows.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from bench.measure import alone
from bench.messages import REAL, real_messages, simulated_messages
from bench.rules import _rows
from fleet_assets.features.kernel import feature_windows
from fleet_assets.features.stream import FeatureStream

REPEATS: Final = 5
SAMPLE_ROWS: Final = 100_000
SPARK: Final = Path(".venv-spark/bin/python")
SPARK_REPEATS: Final = 3
PUSHED_ROWS: Final = 50_000
DOZEN: Final[dict[str, tuple[str, str, int]]] = {
    "rpm_mean_10s": ("rpm", "mean", 10),
    "rpm_mean_60s": ("rpm", "mean", 60),
    "speed_mean_60s": ("speed", "mean", 60),
    "speed_mean_300s": ("speed", "mean", 300),
    "throttle_mean_60s": ("throttle", "mean", 60),
    "rpm_std_10s": ("rpm", "std", 10),
    "rpm_std_60s": ("rpm", "std", 60),
    "speed_std_60s": ("speed", "std", 60),
    "rpm_max_60s": ("rpm", "max", 60),
    "coolant_max_300s": ("coolant", "max", 300),
    "moving_share_300s": ("moving", "mean", 300),
    "rpm_jump_10s": ("rpm_change", "max", 10),
}
"""Feature → column of the peers, statistic, seconds."""
EXACT: Final = ("rpm_max_60s", "coolant_max_300s")


def main(spark_rows: int = 500_000) -> None:
    """Prints the tables."""
    simulated = _rows(simulated_messages(500_000))
    rows = _rows(real_messages(10**9)) if REAL.exists() else simulated
    sample = _sample(simulated)
    frame = _for_pandas(sample)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "our kernel, 48 features": (rows.height, lambda: feature_windows(rows)),
        "our kernel, 48 features, 200 simulated vehicles": (
            simulated.height, lambda: feature_windows(simulated),
        ),
        f"our stream, {PUSHED_ROWS:,} messages at a time, the same vehicles": (
            simulated.height, lambda: _stream(simulated),
        ),
        "our kernel, 48 features, the sample": (sample.height, lambda: feature_windows(sample)),
        "Polars rolling, 12 features, the sample": (sample.height, lambda: _polars(sample)),
        "pandas rolling, 12 features, the sample": (sample.height, lambda: _pandas(frame)),
    }  # fmt: skip
    ours = feature_windows(sample)
    _same(ours, _polars(sample))
    _same(ours, pl.from_pandas(_pandas(frame)))
    _print_rates(rows, work)
    if SPARK.exists():
        _print_spark(_sample(simulated, spark_rows))
    _print_memory(rows, simulated)


def _print_rates(rows: pl.DataFrame, work: dict[str, tuple[int, Callable[[], object]]]) -> None:
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(REPEATS):  # in turn, so that all meet the same noise
        for name, (count, do) in work.items():
            gc.collect()
            cpu = time.process_time()
            do()
            times[name].append((time.process_time() - cpu) / count)
    ours = statistics.median(times["our kernel, 48 features, the sample"])
    table = Table(
        "by", "rows/s per core", "time against ours of the sample",
        title=f"{rows.height:,} rows of {rows['vehicle_id'].n_unique()} vehicles, medians of"
        f" {REPEATS}",
    )  # fmt: skip
    for name, each in times.items():
        median = statistics.median(each)
        table.add_row(name, f"{1 / median:,.0f}", f"{median / ours:.2f} ×")
    Console(width=120).print(table)


def _print_spark(rows: pl.DataFrame) -> None:
    """Spark beside ours on the same rows, each in its own process; what Spark gives is checked."""
    times, given = _spark(rows)
    _same(feature_windows(rows), given)
    ours = []
    for _ in range(SPARK_REPEATS):
        cpu = time.process_time()
        feature_windows(rows)
        ours.append(time.process_time() - cpu)
    mine, theirs = statistics.median(ours), statistics.median(times["cpu"])
    table = Table(
        "by", "rows/s per core", "time against ours", "most MB",
        title=f"{rows.height:,} rows of {rows['vehicle_id'].n_unique()} vehicles, medians of"
        f" {SPARK_REPEATS}; Spark is warm, its Python not counted",
    )  # fmt: skip
    table.add_row("our kernel, 48 features", f"{rows.height / mine:,.0f}", "1.00 ×", "–")
    table.add_row(
        "Spark local, 12 features by window functions", f"{rows.height / theirs:,.0f}",
        f"{theirs / mine:.2f} ×", f"{times['bytes'] / 1e6:,.0f}",
    )  # fmt: skip
    Console(width=120).print(table)


def _spark(rows: pl.DataFrame) -> tuple[dict[str, Any], pl.DataFrame]:
    """Its times, and what it gives."""
    with tempfile.TemporaryDirectory(prefix="fleet-spark-") as folder:
        path, out = f"{folder}/rows.parquet", f"{folder}/out"
        rows.select(
            "vehicle_id", us=pl.col("event_time").dt.epoch("us"), rpm="engine_rpm", speed="speed",
            throttle="throttle_position", coolant="coolant_temp",
        ).write_parquet(path)  # fmt: skip
        command = [str(SPARK.absolute()), "-m", "bench.spark_features", path, out]
        command += [json.dumps(DOZEN), str(SPARK_REPEATS)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = pl.read_parquet(f"{out}/*.parquet")
    step = pl.from_epoch("step_us", "us").dt.replace_time_zone("UTC")
    return json.loads(told.splitlines()[-1]), found.with_columns(step=step).drop("step_us")


def _print_memory(*loads: pl.DataFrame) -> None:
    table = Table("rows", "MB to read them", "most MB with features", title="memory of a process")
    with tempfile.TemporaryDirectory() as folder:
        for rows in loads:
            path = Path(folder) / "rows.parquet"
            rows.write_parquet(path)
            before, most = alone(_memory, path)
            table.add_row(f"{rows.height:,}", f"{before / 1e6:,.0f}", f"{most / 1e6:,.0f}")
    Console(width=120).print(table)


def _memory(path: Path) -> tuple[int, int]:
    rows = pl.read_parquet(path)
    before = _most_bytes()
    feature_windows(rows)
    return before, _most_bytes()


def _most_bytes() -> int:
    """Of this program alone; `getrusage` remembers the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _sample(rows: pl.DataFrame, most: int = SAMPLE_ROWS) -> pl.DataFrame:
    """So many whole vehicles that they come to so many rows."""
    counts = rows.group_by("vehicle_id").len().sort("vehicle_id")
    chosen = counts.filter(pl.col("len").cum_sum() <= most)["vehicle_id"]
    return rows.filter(pl.col("vehicle_id").is_in(chosen.implode()))


def _stream(rows: pl.DataFrame) -> None:
    by_time = rows.sort("event_time", "vehicle_id")
    stream = FeatureStream()
    for start in range(0, by_time.height, PUSHED_ROWS):
        stream.push(by_time[start : start + PUSHED_ROWS])
    stream.close()


def _polars(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a vehicle and step: the last of the step, by expressions over vehicles."""
    given = rows.select(
        "vehicle_id",
        "event_time",
        rpm="engine_rpm",
        speed="speed",
        throttle="throttle_position",
        coolant="coolant_temp",
        moving=(pl.col("speed") >= 3).cast(pl.Float64),
        rpm_change=pl.col("engine_rpm").diff().abs().over("vehicle_id"),
    )
    rolled: dict[str, pl.Expr] = {
        name: _rolling(column, what, seconds).over("vehicle_id")
        for name, (column, what, seconds) in DOZEN.items()
    }
    step = pl.col("event_time").dt.truncate("10s")
    return (
        given.select("vehicle_id", "event_time", **rolled)
        .group_by("vehicle_id", step, maintain_order=True)
        .last()
        .rename({"event_time": "step"})
    )


def _rolling(column: str, what: str, seconds: int) -> pl.Expr:
    value = pl.col(column)
    rolling = {
        "mean": value.rolling_mean_by, "std": value.rolling_std_by, "max": value.rolling_max_by,
    }[what]  # fmt: skip
    return rolling("event_time", f"{seconds}s")


def _for_pandas(rows: pl.DataFrame) -> Any:
    import pandas as pd

    names = {
        "engine_rpm": "rpm", "speed": "speed", "throttle_position": "throttle",
        "coolant_temp": "coolant",
    }  # fmt: skip
    return pd.DataFrame(
        {
            "vehicle_id": rows["vehicle_id"].to_list(),
            "event_time": pd.to_datetime(rows["event_time"].dt.epoch("us").to_numpy(), unit="us"),
            **{short: rows[name].to_numpy() for name, short in names.items()},
        }
    )


def _pandas(frame: Any) -> Any:
    """The same by pandas, as a notebook has it."""
    given = frame.copy()
    given["moving"] = (given["speed"] >= 3).astype(float)
    given["rpm_change"] = given.groupby("vehicle_id")["rpm"].diff().abs()
    given["step"] = given["event_time"].dt.floor("10s")
    by_vehicle = given.set_index("event_time").groupby("vehicle_id", sort=True)
    for name, (column, what, seconds) in DOZEN.items():
        rolled = getattr(by_vehicle[column].rolling(f"{seconds}s"), what)()
        given[name] = rolled.to_numpy()
    lasts = given.groupby(["vehicle_id", "step"], sort=True).tail(1)
    return lasts[["vehicle_id", "step", *DOZEN]].reset_index(drop=True)


def _same(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """Both must tell the same, or the comparison is worth nothing."""
    if ours.height != theirs.height:
        raise AssertionError(f"{theirs.height} windows, ours {ours.height}")
    theirs = theirs.sort("vehicle_id", "step")
    for name in DOZEN:
        one, other = (frame[name].to_numpy().astype(np.float64) for frame in (ours, theirs))
        scale = np.nanstd(one) or 1.0
        off = np.abs(one - other) / scale
        far = float(np.nanmean(off > (1e-9 if name in EXACT else 0.25)))
        if far > 0.1:
            raise AssertionError(f"{name}: {far:.0%} of the windows are not as ours")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
