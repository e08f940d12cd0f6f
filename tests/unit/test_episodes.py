"""The law of episodes: however a history is cut, pieces stitch to what one pass gives.

The reference is a state machine that goes over the samples one by one, as RULES.md puts it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_assets.episodes.frames import piece_rows
from fleet_assets.episodes.levels import CLEAR, HOLD, SET, UNKNOWN, above, below, both, either
from fleet_assets.episodes.pieces import pieces
from fleet_assets.episodes.runs import Line
from fleet_assets.episodes.stitch import (
    EPISODE_SCHEMA,
    PIECE_SCHEMA,
    advance,
    settled,
    stitch,
)

SECOND = 1_000_000
GAP = 5
START = datetime(2026, 2, 1, 5, tzinfo=UTC)
VEHICLES = ("a", "b")


class Sample(NamedTuple):
    vehicle: str
    second: int
    level: int
    measure: float | None


class Episode(NamedTuple):
    vehicle: str
    started: int
    ended: int
    is_open: bool
    samples: int
    peak: float | None
    peak_second: int | None


def one_by_one(samples: list[Sample], gap: int | None) -> list[Episode]:
    """What the samples mean, sample by sample."""
    episodes = []
    for vehicle in VEHICLES:
        on: list[Sample] = []
        before: Sample | None = None

        def end(on: list[Sample], *, is_open: bool) -> None:
            if on:
                known = [s for s in on if s.measure is not None]
                peak = max((s.measure for s in known if s.measure is not None), default=None)
                at = next((s.second for s in known if s.measure == peak), None)
                episodes.append(
                    Episode(on[0].vehicle, on[0].second, on[-1].second, is_open, len(on), peak,
                            at if peak is not None else None)
                )  # fmt: skip

        for sample in samples:
            if sample.vehicle != vehicle or sample.level == UNKNOWN:
                continue
            if before and gap is not None and sample.second - before.second > gap:
                end(on, is_open=False)
                on = []
            if sample.level == SET or (sample.level == HOLD and on):
                on = [*on, sample]
            elif sample.level == CLEAR:
                end(on, is_open=False)
                on = []
            before = sample
        end(on, is_open=True)
    return episodes


def window(samples: list[Sample], gap: int | None, *, marks: bool) -> pl.DataFrame:
    """Pieces of one window."""
    ordered = sorted(samples, key=lambda s: (s.vehicle, s.second))
    codes = np.array([VEHICLES.index(s.vehicle) for s in ordered], np.int32)
    time_us = np.array([s.second * SECOND for s in ordered], np.int64)
    levels = np.array([s.level for s in ordered], np.int8)
    measure = np.array([np.nan if s.measure is None else s.measure for s in ordered])
    max_gap = None if gap is None else gap * SECOND
    line = Line.of(codes, time_us, max_gap)
    return piece_rows("c", pieces(line, levels, marks=marks), VEHICLES, line, measure)


def as_tuples(episodes: pl.DataFrame) -> list[Episode]:
    second = [pl.col(n).dt.epoch("s") for n in ("started_at", "ended_at")]
    rows = episodes.sort("vehicle_id", "started_at").select(
        "vehicle_id", *second, "is_open", "samples", "peak", pl.col("peak_at").dt.epoch("s")
    )
    return [Episode(*row[:6], row[6] if row[5] is not None else None) for row in rows.iter_rows()]


@st.composite
def histories(draw: st.DrawFn) -> list[Sample]:
    samples = []
    for vehicle in VEHICLES:
        steps = draw(st.lists(st.integers(1, GAP + 2), max_size=14))
        for second in np.cumsum(steps).tolist():
            level = draw(st.sampled_from([CLEAR, HOLD, HOLD, SET, UNKNOWN]))
            measure = draw(st.sampled_from([None, 1.0, 2.0, 3.0]))
            samples.append(Sample(vehicle, second, level, measure))
    return samples


@settings(deadline=None, max_examples=300)
@given(histories(), st.sampled_from([GAP, None]), st.sets(st.integers(0, 60)), st.randoms())
def test_any_cut_and_any_order_of_windows_give_the_episodes_of_one_pass(
    samples: list[Sample], gap: int | None, cuts: set[int], random: object
) -> None:
    expected = one_by_one(samples, gap)
    assert as_tuples(stitch(window(samples, gap, marks=False))) == expected
    bounds = [0, *sorted(cuts), 10**6]
    windows = [
        window([s for s in samples if low <= s.second < high], gap, marks=True)
        for low, high in pairwise(bounds)
    ]
    in_order = list(windows)
    random.shuffle(windows)  # type: ignore[attr-defined]
    assert as_tuples(stitch(pl.concat(windows))) == expected
    ended, open_ = [], pl.DataFrame(schema=EPISODE_SCHEMA)
    for part in in_order:
        done, open_ = advance(open_, part)
        ended.append(done)
    assert as_tuples(pl.concat([*ended, open_])) == expected


@settings(deadline=None, max_examples=100)
@given(histories(), st.sets(st.integers(0, 8), max_size=4))
def test_windows_longer_than_the_gap_need_no_marks(samples: list[Sample], cuts: set[int]) -> None:
    bounds = [0, *sorted(10 * cut for cut in cuts), 10**6]
    windows = [
        window([s for s in samples if low <= s.second < high], GAP, marks=False)
        for low, high in pairwise(bounds)
    ]
    found = as_tuples(stitch(pl.concat(windows)))
    ended = [e._replace(is_open=False) for e in one_by_one(samples, GAP)]
    assert [e._replace(is_open=False) for e in found] == ended


def told(text: str, **options: int | None) -> list[tuple[int, int, bool]]:
    """Episodes of one vehicle; a letter a second: s(et), h(old), c(lear), u(nknown), or nothing."""
    codes = {"s": SET, "h": HOLD, "c": CLEAR, "u": UNKNOWN}
    samples = [Sample("a", i, codes[x], None) for i, x in enumerate(text) if x != " "]
    episodes = stitch(window(samples, options.get("gap", GAP), marks=False))
    return [(e.started, e.ended, e.is_open) for e in as_tuples(episodes)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cssc", [(1, 2, False)]),
        ("chsc", [(2, 2, False)]),  # hold does not begin an episode
        ("cshhc", [(1, 3, False)]),  # but prolongs it
        ("hhs", [(2, 2, True)]),
        ("ssuuss", [(0, 5, True)]),  # unknown is neither set nor clear
        ("sss     sss", [(0, 2, False), (8, 10, True)]),  # 6 s of silence
        ("sss    sss", [(0, 9, True)]),  # 5 s
        ("suuuuuus", [(0, 0, False), (7, 7, True)]),  # nothing known for 7 s
        ("sss     hhs", [(0, 2, False), (10, 10, True)]),  # hold after silence is off
    ],
)
def test_levels_gaps_and_hysteresis(text: str, expected: list[tuple[int, int, bool]]) -> None:
    assert told(text) == expected


def test_a_state_survives_silence_until_contrary_evidence() -> None:
    assert told("s" + " " * 5000 + "hs" + " " * 100 + "c", gap=None) == [(0, 5002, False)]


def test_silence_settles_what_no_sample_has_ended() -> None:
    episodes = stitch(window([Sample("a", 3, SET, None)], GAP, marks=False))
    at = datetime(1970, 1, 1, tzinfo=UTC)
    for second, is_open in ((3 + GAP, True), (4 + GAP, False)):
        now = settled(episodes, pl.lit(at + timedelta(seconds=second)))
        assert now["is_open"].to_list() == [is_open]


def test_levels_by_limits() -> None:
    values = np.array([1.0, 4.9, 5.0, 7.0, 7.1, np.nan])
    assert above(values, 7, 5).tolist() == [CLEAR, CLEAR, HOLD, HOLD, SET, UNKNOWN]
    assert above(values, 7, 5, inclusive=True).tolist()[3] == SET
    limits = np.array([0.5, 9, 9, 9, 9, 9])
    assert above(values, limits, 5).tolist()[0] == SET or limits[0] < 5
    assert below(values, 5, 7).tolist() == [SET, SET, HOLD, HOLD, CLEAR, UNKNOWN]
    levels = np.array([CLEAR, HOLD, SET, UNKNOWN], np.int8)
    pairs = [(int(a), int(b)) for a in levels for b in levels]
    first, second = (np.array(side, np.int8) for side in zip(*pairs, strict=True))
    for (a, b), joint, one in zip(pairs, both(first, second), either(first, second), strict=True):
        assert joint == (CLEAR if CLEAR in (a, b) else UNKNOWN if UNKNOWN in (a, b) else min(a, b))
        assert one == max({a, b} - {UNKNOWN}, default=UNKNOWN)


def test_no_samples_no_pieces() -> None:
    found = window([], GAP, marks=True)
    assert found.schema == PIECE_SCHEMA
    assert stitch(found).schema == EPISODE_SCHEMA
