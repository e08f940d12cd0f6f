"""Laws of feature windows: neither the future, nor order, batches, cuts or company change them.

Histories are drawn around the turn of an hour: rates from 0.2 to 50 Hz, silences, signals that
stick, jump, are null, absent or in conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from feature_rows import TIME, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.features.blocks import CONTEXT
from fleet_assets.features.kernel import RAW_SIGNALS, STEP, feature_windows
from fleet_assets.features.stream import FeatureStream

HOUR = datetime.fromisoformat("2026-02-01T06:00:00+00:00")
RATES = (0.2, 0.5, 1.0, 2.0, 10.0, 50.0)
PHASES = st.lists(
    st.tuples(
        st.sampled_from(RATES),
        st.sampled_from([1.0, 7.0, 33.0, 140.0, 400.0]),
        st.sampled_from([0.0, 0.0, 3.0, 17.0, 70.0, 500.0]),
    ),
    min_size=1,
    max_size=5,
)
SEEDS = st.integers(0, 2**32 - 1)
STEPS = st.sampled_from([1, 7, 10, 60])
INTERVALS = st.sampled_from([{}, {"v1": 1.0}, {"v1": 20.0}])
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)
Phases = list[tuple[float, float, float]]


def history(phases: Phases, seed: int, vehicle_id: str = "v1") -> pl.DataFrame:
    """A drawn history that begins up to fifteen minutes before the hour."""
    random = np.random.default_rng(seed)
    parts, at = [], -float(random.integers(0, 900))
    for rate, seconds, gap in phases:
        count = max(1, min(round(seconds * rate), 800))
        jitter = random.uniform(0, 0.4 / rate, count)
        parts.append(at + np.arange(count) / rate + jitter)
        at += count / rate + gap
    micros = np.rint(np.concatenate(parts) * 1e6).astype(np.int64)
    count = len(micros)
    columns = {name: _signal(random, count, name) for name in RAW_SIGNALS}
    nulls = np.array(["", "engine_rpm", "speed", "gps_lat"])[
        random.choice(4, count, p=[0.94, 0.02, 0.02, 0.02])
    ]
    for name in ("engine_rpm", "speed", "gps_lat"):
        columns[name][nulls == name] = np.nan
    return pl.DataFrame(
        {
            "vehicle_id": vehicle_id,
            "event_time": HOUR + pl.Series(micros).cast(pl.Duration("us")),
            "conflict": random.random(count) < 0.02,
            "null_signals": pl.Series([[n] if n else [] for n in nulls], dtype=pl.List(pl.String)),
            **{name: pl.Series(values, nan_to_null=True) for name, values in columns.items()},
        }
    ).with_columns(pl.col("event_time").cast(TIME))


def _signal(random: np.random.Generator, count: int, name: str) -> np.ndarray:
    """Walks, plateaus and jumps, in hundredths, partly absent."""
    scale = {"engine_rpm": 900.0, "gps_lat": 0.001, "gps_lon": 0.001}.get(name, 10.0)
    walk = np.abs(np.cumsum(random.normal(0, scale / 20, count)))
    levels = np.repeat(random.uniform(0, 4 * scale, count // 30 + 1), 30)[:count]
    values = np.round(walk % scale + levels * (random.random() < 0.7), 2 if scale > 1 else 6)
    absent = random.choice([0.0, 0.05, 0.8, 1.0], p=[0.5, 0.3, 0.1, 0.1])
    values[random.random(count) < absent] = np.nan
    return values


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    order = ["vehicle_id", "window_end"]
    assert_frame_equal(found.sort(order), expected.sort(order), check_exact=True)


@SETTINGS
@given(PHASES, SEEDS, STEPS, st.floats(0, 1), INTERVALS)
def test_nothing_after_the_end_of_a_window_counts(
    phases: Phases, seed: int, step_s: int, share: float, usual: dict[str, float]
) -> None:
    telemetry, step = history(phases, seed), timedelta(seconds=step_s)
    whole = feature_windows(telemetry, step=step, usual_intervals=usual)
    end = whole["window_end"][round(share * (whole.height - 1))]
    known = telemetry.filter(pl.col("event_time") < end)
    past = feature_windows(known, step=step, usual_intervals=usual)
    same(past, whole.filter(pl.col("window_end") <= end))


@SETTINGS
@given(PHASES, SEEDS)
def test_order_of_rows_changes_nothing(phases: Phases, seed: int) -> None:
    telemetry = history(phases, seed)
    shuffled = telemetry.sample(fraction=1, shuffle=True, seed=seed % 1000)
    same(feature_windows(shuffled), feature_windows(telemetry))


@SETTINGS
@given(
    st.lists(st.tuples(PHASES, SEEDS), min_size=1, max_size=3),
    st.lists(st.floats(0, 1), max_size=8),
    STEPS,
    INTERVALS,
    st.booleans(),
)
def test_any_batches_in_order_are_as_one_pass(
    fleet: list[tuple[Phases, int]],
    cuts: Sequence[float],
    step_s: int,
    usual: dict[str, float],
    closes: bool,
) -> None:
    telemetry = pl.concat([history(p, s, f"v{n}") for n, (p, s) in enumerate(fleet, 1)])
    step = timedelta(seconds=step_s)
    by_time = telemetry.sort("event_time", "vehicle_id")
    bounds = sorted({0, telemetry.height, *(round(cut * telemetry.height) for cut in cuts)})
    stream = FeatureStream(step=step, usual_intervals=usual)
    parts = []
    for a, b in pairwise(bounds):
        parts.append(stream.push(by_time[a:b]))
        if closes:
            parts.append(stream.close(by_time["event_time"][b - 1]))
    parts.append(stream.close())
    found = pl.concat(parts)
    same(found, feature_windows(telemetry, step=step, usual_intervals=usual))


@SETTINGS
@given(PHASES, SEEDS, INTERVALS)
def test_hour_by_hour_with_context_is_as_one_pass(
    phases: Phases, seed: int, usual: dict[str, float]
) -> None:
    telemetry = history(phases, seed)
    when = pl.col("event_time")
    parts = []
    for n in range(-1, 3):
        start = HOUR + timedelta(hours=n)
        mine = telemetry.filter(when >= start - CONTEXT, when < start + timedelta(hours=1))
        parts.append(feature_windows(mine, first_step=start, usual_intervals=usual))
    same(pl.concat(parts), feature_windows(telemetry, usual_intervals=usual))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.tuples(PHASES, SEEDS), min_size=2, max_size=4), st.sampled_from([1, 100, 10**9]))
def test_company_changes_nothing(fleet: list[tuple[Phases, int]], block_rows: int) -> None:
    drives = [history(p, s, f"v{n}") for n, (p, s) in enumerate(fleet)]
    alone = pl.concat([feature_windows(drive) for drive in drives])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet_assets.features.blocks.BLOCK_ROWS", block_rows)
        same(feature_windows(pl.concat(drives)), alone)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.tuples(PHASES, SEEDS), min_size=1, max_size=3), st.integers(1, 300), STEPS)
def test_a_long_history_is_cut_without_a_trace(
    fleet: list[tuple[Phases, int]], most_rows: int, step_s: int
) -> None:
    telemetry = pl.concat([history(p, s, f"v{n}") for n, (p, s) in enumerate(fleet)])
    step = timedelta(seconds=step_s)
    whole = feature_windows(telemetry, step=step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet_assets.features.blocks.VEHICLE_ROWS", most_rows)
        same(feature_windows(telemetry, step=step), whole)


def test_the_stream_carries_no_more_than_the_context() -> None:
    stream = FeatureStream()
    for minute in range(30):
        stream.push(rows(range(60 * minute, 60 * minute + 60), speed=1.0))
    assert stream.carried_rows <= (CONTEXT + STEP).total_seconds()


def test_windows_close_with_the_next_message_or_when_told() -> None:
    stream = FeatureStream()
    assert stream.push(rows([1, 9.9], speed=1.0)).is_empty()
    assert stream.push(rows([10], speed=1.0)).height == 1
    end = rows([20], speed=1.0)["event_time"][0]
    assert stream.close(end - timedelta(seconds=1)).is_empty()
    assert stream.close(end).height == 1
    assert stream.close().is_empty()


def test_messages_of_closed_windows_are_refused() -> None:
    stream = FeatureStream()
    stream.push(rows([1, 20], speed=1.0))
    stream.push(rows([15], "v2", speed=1.0))
    with pytest.raises(FleetError, match="1 messages belong to closed windows, such as one of v1"):
        stream.push(rows([19], speed=1.0))


def test_who_is_silent_is_forgotten_in_time() -> None:
    stream = FeatureStream()
    stream.push(rows(range(60), speed=1.0))
    last = rows([59], speed=1.0)["event_time"][0]
    assert stream.close(last + CONTEXT + STEP).height == 1
    assert stream.carried_rows == 0
    with pytest.raises(FleetError, match="closed windows"):
        stream.push(rows([61], speed=1.0))


@pytest.mark.parametrize("step", [timedelta(0), timedelta(seconds=1.5)])
def test_steps_are_whole_seconds(step: timedelta) -> None:
    with pytest.raises(FleetError, match="whole seconds"):
        feature_windows(rows([1], speed=1.0), step=step)


def test_nothing_gives_nothing() -> None:
    assert feature_windows(rows([], speed=[])).is_empty()
    assert FeatureStream().close().is_empty()


def test_the_lakes_decimals_give_what_floats_give() -> None:
    telemetry = history([(1.0, 140.0, 0.0)], 7)
    decimals = [pl.col(name).cast(SIGNAL_BY_NAME[name].dtype) for name in RAW_SIGNALS]
    same(feature_windows(telemetry.with_columns(decimals)), feature_windows(telemetry))
