"""The rules' kernel on real trips (simulated ones where they are absent), beside its peers.

All rules by our kernel, also on a simulated fleet; and nine threshold rules (R01, R02, R18–R24),
with hysteresis, gaps and durations, by our kernel, by Polars' and DuckDB's windows, and row by row
as one writes it first.
Rates are rows per second of processor time; all must find the same episodes.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import duckdb
import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

from bench.messages import REAL, real_messages, simulated_messages
from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.episodes.stitch import stitch
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.detect import Detector, pieces_of
from fleet_assets.rules.detectors import DETECTORS
from fleet_assets.rules.detectors.engine import engine_heat, engine_speed
from fleet_assets.rules.detectors.speeding import speeding
from fleet_assets.rules.resolve import VEHICLE_SCHEMA, InForce, resolve
from fleet_assets.rules.samples import samples_of
from fleet_assets.telemetry.decode import decode

WANTED: Final = [s.name for s in SIGNALS if s.kind in ("number", "boolean")]
RULES: Final = {
    "R01": "engine_rpm", "R02": "engine_rpm", "R18": "speed", "R19": "speed", "R20": "speed",
    "R21": "speed", "R22": "coolant_temp", "R23": "coolant_temp", "R24": "coolant_temp",
}  # fmt: skip
REPEATS = 5
ROWS_BY_ROW = 20_000
ROWS_OF_PANDAS = 10_000
GAP_S = 5.0
_INCLUSIVE = ("R22", "R23", "R24")
Numbers = dict[str, tuple[float, float, float]]


def main() -> None:
    """Prints a table."""
    simulated = _rows(simulated_messages(500_000))
    rows = _rows(real_messages(10**9)) if REAL.exists() else simulated
    few = rows.head(ROWS_OF_PANDAS)
    frame = few.select("vehicle_id", "event_time", "conflict", *set(RULES.values())).to_pandas()
    numbers, known, known_fleet = _numbers(), _known(rows), _known(simulated)
    nine = (engine_speed, engine_heat, speeding)
    work: dict[str, tuple[pl.DataFrame, Callable[[pl.DataFrame], object]]] = {
        "our kernel, all rules": (rows, lambda r: _ours(r, known, DETECTORS)),
        "our kernel, all rules, 200 simulated vehicles": (
            simulated, lambda r: _ours(r, known_fleet, DETECTORS),
        ),
        "our kernel, nine rules and more of the same modules": (
            rows, lambda r: _ours(r, known, nine),
        ),
        "Polars windows, nine rules": (rows, lambda r: _polars(r, numbers)),
        "DuckDB windows, nine rules": (rows, lambda r: _duckdb(r, numbers)),
        "a loop over dictionaries, nine rules": (
            rows.head(ROWS_BY_ROW), lambda r: _row_by_row(r, numbers),
        ),
        "pandas row by row (iterrows), nine rules": (
            few, lambda _: list(_episodes((row for _, row in frame.iterrows()), numbers)),
        ),
    }  # fmt: skip
    _same(rows, known, numbers, nine)
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(REPEATS):  # in turn, so that all meet the same noise
        for name, (given, do) in work.items():
            gc.collect()
            cpu = time.process_time()
            do(given)
            times[name].append((time.process_time() - cpu) / given.height)
    ours = statistics.median(times["our kernel, nine rules and more of the same modules"])
    table = Table(
        "by", "rows/s per core", "against our nine",
        title=f"{rows.height:,} rows, {rows['vehicle_id'].n_unique()} vehicles, medians of"
        f" {REPEATS}; memory of the process {psutil.Process().memory_info().rss / 1e6:,.0f} MB",
    )  # fmt: skip
    for name, each in times.items():
        median = statistics.median(each)
        table.add_row(name, f"{1 / median:,.0f}", f"{ours / median:.2f} ×")
    Console(width=110).print(table)


def _rows(messages: list[bytes]) -> pl.DataFrame:
    shape = pl.Struct({"vehicle_id": pl.String, "timestamp": pl.String})
    placed = (
        pl.DataFrame({"value": messages})
        .with_columns(j=pl.col("value").cast(pl.String).str.json_decode(shape))
        .unnest("j")
        .with_columns(
            event_time=pl.col("timestamp").str.to_datetime(
                "%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"
            ),
            event_hour=pl.lit("2020-01-01T00"),
        )
    )
    rows = decode(placed).rows
    return (
        rows.with_columns(conflict=pl.struct("vehicle_id", "event_time").is_duplicated())
        .unique(["vehicle_id", "event_time"], keep="first")
        .sort("vehicle_id", "event_time")
        .with_columns(pl.col(name).cast(pl.Float64) for name in WANTED)
    )


def _known(rows: pl.DataFrame) -> InForce:
    """All are sedans, so that the peers need no types."""
    ids = rows["vehicle_id"].unique().sort().to_list()
    plain = {
        "valid_from": datetime(2000, 1, 1, tzinfo=UTC), "vehicle_type": "sedan", "status": "active",
    }  # fmt: skip
    return InForce(pl.DataFrame([{"vehicle_id": i} | plain for i in ids], schema=VEHICLE_SCHEMA))


def _numbers() -> Numbers:
    """Set, clear and duration for a sedan."""
    catalogue = read_catalogue()
    found: Numbers = {}
    for rule_id in RULES:
        rule = catalogue.rule(rule_id)

        def number(name: str, of: Any = rule) -> float:
            given = of.parameters[name]
            base = given.value
            if given.by_type is not None:
                base = given.by_type["sedan"]
            if given.of is not None:
                other, _, parameter = given.of.rpartition(".")
                base = number(parameter, catalogue.rule(other) if other else of)
            return float(base) * given.times + given.plus

        found[rule_id] = (number("set"), number("clear"), number("duration"))
    return found


def _ours(rows: pl.DataFrame, known: InForce, detectors: tuple[Detector, ...]) -> pl.DataFrame:
    samples = samples_of(rows, WANTED)
    limits = resolve(read_catalogue(), samples, known)
    episodes = stitch(pieces_of(samples, limits, detectors))
    lasts = pl.col("ended_at") - pl.col("started_at") >= pl.col("min_duration")
    return episodes.filter(lasts).select("vehicle_id", "condition", "started_at", "ended_at")


def _polars(rows: pl.DataFrame, numbers: Numbers) -> pl.DataFrame:
    """Levels, states carried forward and runs, by expressions over vehicles."""
    parts = []
    for rule, (set_at, clear, duration) in numbers.items():
        value = pl.col(RULES[rule])
        is_set = value >= set_at if rule in _INCLUSIVE else value > set_at
        silence = pl.col("event_time").diff().over("vehicle_id") > pl.duration(seconds=GAP_S)
        known = (
            rows.lazy()
            .select("vehicle_id", "event_time", "conflict", RULES[rule])
            .filter(value.is_not_null() & ~pl.col("conflict"))
        )
        state = pl.when(is_set).then(1).when(value < clear).then(0).when(silence).then(0)
        runs = (
            known.with_columns(silence=silence.fill_null(True), state=state)
            .with_columns(state=pl.col("state").forward_fill().over("vehicle_id").fill_null(0))
            .with_columns(
                run=(
                    (pl.col("state") != pl.col("state").shift(1)).fill_null(True)
                    | pl.col("silence")
                ).cum_sum()
            )
            .filter(pl.col("state") == 1)
            .group_by("vehicle_id", "run")
            .agg(started_at=pl.col("event_time").min(), ended_at=pl.col("event_time").max())
            .filter(pl.col("ended_at") - pl.col("started_at") >= pl.duration(seconds=duration))
            .with_columns(condition=pl.lit(rule))
        )
        parts.append(runs.select("vehicle_id", "condition", "started_at", "ended_at"))
    return pl.concat(pl.collect_all(parts))


def _duckdb(rows: pl.DataFrame, numbers: Numbers) -> pl.DataFrame:
    """The same by SQL windows."""
    parts = []
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        columns = ["vehicle_id", "event_time", "conflict", *set(RULES.values())]
        db.register("telemetry", rows.select(columns).to_arrow())
        for rule, (set_at, clear, duration) in numbers.items():
            value, than = RULES[rule], ">=" if rule in _INCLUSIVE else ">"
            parts.append(
                db.sql(f"""
WITH known AS (
    SELECT vehicle_id, event_time, {value} AS v,
        coalesce(event_time - lag(event_time) OVER w > INTERVAL {GAP_S} SECOND, true) AS silence
    FROM telemetry WHERE {value} IS NOT NULL AND NOT conflict
    WINDOW w AS (PARTITION BY vehicle_id ORDER BY event_time)
),
judged AS (
    SELECT *, CASE WHEN v {than} {set_at} THEN 1 WHEN v < {clear} THEN 0
        WHEN silence THEN 0 END AS said FROM known
),
carried AS (
    SELECT *, last_value(said IGNORE NULLS) OVER (
        PARTITION BY vehicle_id ORDER BY event_time ROWS UNBOUNDED PRECEDING) AS state
    FROM judged
),
numbered AS (
    SELECT *, sum(CASE WHEN silence OR state <> before THEN 1 ELSE 0 END) OVER (
        PARTITION BY vehicle_id ORDER BY event_time ROWS UNBOUNDED PRECEDING) AS run
    FROM (SELECT *, lag(state, 1, 0) OVER (PARTITION BY vehicle_id ORDER BY event_time) AS before
        FROM carried)
)
SELECT vehicle_id, '{rule}' AS condition, min(event_time) AS started_at, max(event_time) AS ended_at
FROM numbered WHERE state = 1 GROUP BY vehicle_id, run
HAVING max(event_time) - min(event_time) >= INTERVAL {duration} SECOND
""").pl()
            )
    return pl.concat(parts)


def _row_by_row(rows: pl.DataFrame, numbers: Numbers) -> list[tuple[str, str, datetime, datetime]]:
    return list(_episodes(rows.iter_rows(named=True), numbers))


def _episodes(
    rows: Iterable[Any], numbers: Numbers
) -> Iterator[tuple[str, str, datetime, datetime]]:
    """As the system that is replaced goes over a frame."""
    open_: dict[tuple[str, str], list[datetime]] = {}
    seen: dict[tuple[str, str], datetime] = {}
    for row in rows:
        for rule, (set_at, clear, duration) in numbers.items():
            value, key, now = row[RULES[rule]], (row["vehicle_id"], rule), row["event_time"]
            if value is None or math.isnan(value) or row["conflict"]:
                continue
            span = open_.get(key)
            silent = key in seen and (now - seen[key]).total_seconds() > GAP_S
            seen[key] = now
            if span and (silent or value < clear):
                if (span[1] - span[0]).total_seconds() >= duration:
                    yield (*key, span[0], span[1])
                span = None
                del open_[key]
            if value > set_at or (rule in _INCLUSIVE and value == set_at):
                open_[key] = [span[0] if span else now, now]
            elif span and value >= clear:
                span[1] = now
    for key, span in open_.items():
        if (span[1] - span[0]).total_seconds() >= numbers[key[1]][2]:
            yield (*key, span[0], span[1])


def _same(rows: pl.DataFrame, known: InForce, numbers: Numbers, nine: tuple[Detector, ...]) -> None:
    """All must give the same episodes, or the comparison is worth nothing."""
    mine = _ours(rows, known, nine).filter(pl.col("condition").is_in(list(numbers)))
    expected = sorted(mine.rows())
    for name, found in (
        ("Polars", _polars(rows, numbers).rows()),
        ("DuckDB", _duckdb(rows, numbers).rows()),
        ("row by row", _row_by_row(rows, numbers)),
    ):
        if sorted(found) != expected:
            raise AssertionError(f"{name}: {len(found)} episodes, ours {len(expected)}")


if __name__ == "__main__":
    main()
