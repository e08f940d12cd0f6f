"""When an anomaly of a model ends: with what it is about, not with what its end is taken for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fleet_assets.features.catalogue import TRAILS
from fleet_assets.features.kernel import STEP
from fleet_assets.models.alarms import USUAL
from fleet_assets.scoring.anomalies import model_anomalies
from fleet_assets.scoring.pieces import MODEL_PIECE_SCHEMA

BEGIN = datetime(2026, 2, 2, 5, tzinfo=UTC)
HORIZON = BEGIN + timedelta(days=1)
OWN, OTHER = "dropout/engine_rpm", "bias/throttle_position"


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def piece(
    begins: float, ends: float, fault: str | None, peak: float = 1.5, **told: Any
) -> dict[str, Any]:
    """A run of windows; the fault stops 3 s before the end of the last one, if there is any."""
    given: dict[str, Any] = {
        "vehicle_id": "v1", "condition": "live/fm-0123456789ab", "part": "run",
        "started_at": at(begins), "ended_at": at(ends), "onset_at": at(begins), "at_left": False,
        "ended_by": "clear", "max_gap": USUAL.max_gap, "min_duration": timedelta(0),
        "samples": int((ends - begins) // 10) + 1, "peak": peak, "peak_at": at(ends),
    }  # fmt: skip
    if fault is not None:
        given |= {
            "fault": fault, "confidence": 1.0, "isolation": 0.5, "is_known": True, "reasons": "[]",
            "description": "said", "begins_at": at(begins - 6), "stops_at": at(ends - 3),
        }  # fmt: skip
    return given | told


def anomalies(*pieces: dict[str, Any], horizon: datetime = HORIZON) -> pl.DataFrame:
    return model_anomalies(pl.DataFrame(pieces, schema=MODEL_PIECE_SCHEMA), horizon)


def end(*pieces: dict[str, Any]) -> float:
    """Seconds after BEGIN at which the only anomaly ends."""
    (ended_at,) = anomalies(*pieces)["ended_at"].to_list()
    return float((ended_at - BEGIN).total_seconds())


FAULT = piece(60, 600, OWN, peak=3.0)


def test_alone_it_ends_with_its_stop() -> None:
    assert end(FAULT) == 597


@pytest.mark.parametrize("fault", [OTHER, "drift/coolant_temp", None])
def test_what_its_end_is_taken_for_does_not_extend_it(fault: str | None) -> None:
    assert end(FAULT, piece(640, 700, fault)) == 597
    assert end(FAULT, piece(640, 700, fault), piece(760, 800, OTHER)) == 597


def test_what_follows_is_joined_all_the_same() -> None:
    (row,) = anomalies(FAULT, piece(640, 700, OTHER)).iter_rows(named=True)
    assert row["fault"] == OWN
    assert row["closes_at"] >= at(700) + USUAL.joined_within


@pytest.mark.parametrize("fault", [OWN, "stuck/engine_rpm"])
def test_the_same_device_extends_it_whatever_lies_between(fault: str) -> None:
    assert end(FAULT, piece(640, 680, OTHER), piece(720, 760, fault)) == 757


@pytest.mark.parametrize(("fault", "last"), [(OTHER, 3.0), (None, 0.0)])
def test_another_fault_that_goes_on_for_longer_than_features_trail_extends_it(
    fault: str | None, last: float
) -> None:
    stopped, longest = 597, TRAILS.total_seconds()
    assert end(FAULT, piece(640, stopped + longest, fault)) == stopped
    after = stopped + longest + STEP.total_seconds()
    assert end(FAULT, piece(640, after, fault)) == after - last


def test_without_a_known_stop_it_ends_with_its_last_window() -> None:
    assert end(FAULT | {"stops_at": None}, piece(640, 700, OTHER)) == 600


def test_a_peak_that_is_told_of_nothing_leaves_all_to_the_last_window() -> None:
    assert end(piece(60, 600, None, peak=3.0), piece(640, 700, OTHER)) == 697


def test_an_episode_over_the_turn_of_the_hour_is_one_however_its_parts_are_named() -> None:
    before = piece(60, 600, OWN, peak=3.0, ended_by="edge", stops_at=at(600))
    after = piece(610, 700, OTHER, at_left=True)
    assert end(before, after) == 697
    assert end(before, after | {"part": "lead"}, piece(740, 760, OTHER)) == 697


def test_an_anomaly_before_has_its_own_end_though_nothing_is_told_of_the_next() -> None:
    next_one = piece(2000, 2100, None, peak=3.0), piece(2140, 2160, OWN)
    assert anomalies(FAULT, *next_one)["ended_at"].to_list() == [at(597), at(2157)]
    other = [{**each, "vehicle_id": "v2"} for each in next_one]
    assert anomalies(FAULT, *other)["ended_at"].to_list() == [at(597), at(2157)]


def test_one_that_is_open_stays_open_beyond_its_end_so_far() -> None:
    going_on = piece(640, 700, OTHER, ended_by="edge")
    (row,) = anomalies(FAULT, going_on, horizon=at(710)).iter_rows(named=True)
    assert (row["state"], row["ended_at"]) == ("open", at(597))


scripted = st.lists(
    st.tuples(
        st.integers(1, 20),
        st.integers(0, 40),
        st.sampled_from([OWN, OTHER, "stuck/engine_rpm", None]),
        st.sampled_from([1.2, 1.5, 3.0]),
    ),
    min_size=1,
    max_size=8,
)


@given(scripted, st.integers(0, 2**32))
def test_the_order_of_pieces_does_not_matter_and_ends_lie_within_their_windows(
    script: list[tuple[int, int, str | None, float]], seed: int
) -> None:
    pieces, clock = [], 0
    for gap, lasts, fault, peak in script:
        begins = clock + 10 * gap
        clock = begins + 10 * lasts
        pieces.append(piece(begins, clock, fault, peak))
    found = anomalies(*pieces)
    shuffled = list(pieces)
    Random(seed).shuffle(shuffled)
    assert_frame_equal(anomalies(*shuffled), found)
    first, last = pl.col("started_at"), pl.col("closes_at")
    assert found.filter(~pl.col("ended_at").is_between(first, last)).is_empty()
    following = found["started_at"].shift(-1)
    assert found.filter(pl.col("ended_at") > following).is_empty()
