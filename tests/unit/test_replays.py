"""Replays of rejects are messages as any other, and are counted as replays besides."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry_data import HOUR, LATE_AFTER, message, placed, raw

from fleet_assets.kafka.headers import note_replay, replay_column
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.coordinates import (
    COORDINATES,
    Coordinates,
    coordinates_text,
    parts_of,
)
from fleet_assets.telemetry.source import Source

ORIGIN = "topic/0/3"
KNOWN = frozenset({"v1"})


def noted(*headers: tuple[str, bytes | str | None]) -> dict[int, str]:
    found: dict[int, str] = {}
    note_replay(headers, 7, found)
    return found


def test_a_header_that_names_coordinates_makes_a_replay() -> None:
    assert noted(("other", b"x"), ("fleet-replay-of", ORIGIN.encode())) == {7: ORIGIN}
    assert noted(("fleet-replay-of", ORIGIN)) == {7: ORIGIN}


def test_any_other_header_makes_none() -> None:
    for value in (None, b"", b"\xff\xfe", b"topic/0", b"topic/0/x", b"a b/0/1", b"topic/-1/2"):
        assert noted(("fleet-replay-of", value)) == {}
    assert noted(("Fleet-Replay-Of", ORIGIN.encode())) == {}


def test_the_column_holds_what_was_noted() -> None:
    assert replay_column({1: ORIGIN}, 3).to_list() == [None, ORIGIN, None]
    assert replay_column({}, 2).to_list() == [None, None]
    assert replay_column({}, 0).dtype == pl.String


@given(st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True), st.integers(0, 99), st.integers(0))
def test_coordinates_are_read_as_they_are_written(topic: str, partition: int, offset: int) -> None:
    offset %= 10**18
    coordinates = Coordinates(topic, partition, offset)
    assert Coordinates.parse(str(coordinates)) == coordinates
    frame = pl.DataFrame(
        {"kafka_topic_id": [topic], "kafka_partition": [partition], "kafka_offset": [offset]}
    )
    assert frame.select(coordinates_text()).item() == str(coordinates)


def test_coordinates_of_rows_from_many_files_are_written_too() -> None:
    """Rows that are read from several files lie in several pieces, some of them empty."""
    schema = {"kafka_topic_id": pl.String, "kafka_partition": pl.Int32, "kafka_offset": pl.Int64}
    parts = [pl.DataFrame([("t", 0, n)] * (n % 3), schema=schema, orient="row") for n in range(9)]
    rows = pl.concat(parts, rechunk=False).with_columns(pl.Series("other", range(9)))
    written = rows.filter(pl.col("kafka_offset") != 4).select(coordinates_text()).to_series()
    assert written.to_list() == [f"t/0/{n}" for n in (1, 2, 2, 5, 5, 7, 8, 8)]


def test_outcomes_count_replays_wherever_they_ended(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    values = [
        message(),  # sent by the vehicle
        message(timestamp="2026-02-01T05:00:01Z"),  # a replay that is accepted
        message(),  # one that repeats what is there
        b"[]",  # one that is refused again
    ]
    replays = pl.Series("replay_of", [None, ORIGIN, ORIGIN, ORIGIN])
    land(lake, Source("c", "t"), {0: (0, 4)}, placed(values).with_columns(replays))
    for rebuild in (False, True):
        refresh_hour(lake, HOUR, KNOWN, LATE_AFTER, force_rebuild=rebuild)
        counted = ["read", "accepted", "duplicate", "rejected", "replayed"]
        outcomes = lake.open("telemetry_outcomes").read(HOUR, columns=counted)
        assert outcomes.sum().row(0) == (4, 2, 1, 1, 3)
        by_vehicle = lake.open("vehicle_outcomes").read(HOUR, columns=["vehicle_id", "replayed"])
        assert dict(by_vehicle.iter_rows()) == {"v1": 2, "(none)": 1}
        rejects = lake.open("telemetry_rejects").read(HOUR, columns=["reason", "replay_of"])
        assert rejects.rows() == [("not_an_object", ORIGIN)]


def test_a_message_that_names_no_origin_is_no_replay() -> None:
    assert raw(placed([message()]))["replay_of"].to_list() == [None]


@pytest.mark.parametrize("topic_id", ["ZNKkT2BPRl24uvN85YQdzA", "bW/Hx56mRQqneMlZwmqN+Q", "a/1/2"])
def test_coordinates_are_read_back_whatever_a_topic_id_holds(topic_id: str) -> None:
    written = Coordinates(topic_id, 3, 42)
    assert Coordinates.parse(str(written)) == written
    texts = pl.DataFrame({"replay_of": [str(written), None]})
    parts = dict(zip(COORDINATES, parts_of(pl.col("replay_of")), strict=True))
    assert texts.select(**parts).rows() == [(topic_id, 3, 42), (None, None, None)]
