"""Where each message goes: its vehicle, moment and hour, or the reason why it cannot be placed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_data import HOUR, POLICY, START, TIME, arrived, message

from fleet_assets.contracts.reasons import REJECT_REASONS
from fleet_assets.telemetry.placement import ANY_TIME, TimePolicy, place

STRICT = TimePolicy(START, timedelta(minutes=5), timedelta(hours=1))


def at(text: str) -> bytes:
    return b'{"vehicle_id":"v1","timestamp":' + text.encode() + b"}"


BAD: dict[str, tuple[str, bytes | None]] = {
    "tombstone": ("empty", None),
    "no bytes": ("empty", b""),
    "not UTF-8": ("not_utf8", b'{"vehicle_id":"\xff\xfe"}'),
    "cut off": ("invalid_json", b'{"vehicle_id":"v1","timest'),
    "text": ("invalid_json", b"hello"),
    "blank": ("invalid_json", b"   "),
    "two values": ("invalid_json", message() + message()),
    "trailing comma": ("invalid_json", b'{"vehicle_id":"v1","timestamp":"2026-02-01T05:00:00Z",}'),
    "trailing comma inside": ("invalid_json", b'{"vehicle_id":"v1","dtc":["P0420",]}'),
    "single quotes": ("invalid_json", b"{'vehicle_id':'v1'}"),
    "array": ("not_an_object", b"[1]"),
    "number": ("not_an_object", b"17"),
    "null": ("not_an_object", b"null"),
    "string": ("not_an_object", b'"v1"'),
    "no vehicle": ("missing_vehicle_id", b'{"timestamp":"2026-02-01T05:00:00Z"}'),
    "vehicle null": ("missing_vehicle_id", b'{"vehicle_id":null}'),
    "vehicle number": ("invalid_vehicle_id", b'{"vehicle_id":7}'),
    "vehicle object": ("invalid_vehicle_id", b'{"vehicle_id":{"a":1}}'),
    "vehicle empty": ("invalid_vehicle_id", message("")),
    "vehicle too long": ("invalid_vehicle_id", message("x" * 129)),
    "vehicle with a line end": ("invalid_vehicle_id", message("v\n1")),
    "vehicle with NUL": ("invalid_vehicle_id", message("v\x00")),
    "vehicle with DEL": ("invalid_vehicle_id", message("v\x7f")),
    "no timestamp": ("missing_timestamp", b'{"vehicle_id":"v1"}'),
    "timestamp null": ("missing_timestamp", at("null")),
    "no zone": ("naive_timestamp", at('"2026-02-01T05:00:00"')),
    "no zone, fraction": ("naive_timestamp", at('"2026-02-01 05:00:00.123"')),
    "date only": ("naive_timestamp", at('"2026-02-01"')),
    "timestamp words": ("invalid_timestamp", at('"yesterday"')),
    "timestamp empty": ("invalid_timestamp", at('""')),
    "month 13": ("invalid_timestamp", at('"2026-13-01T00:00:00Z"')),
    "30 February": ("invalid_timestamp", at('"2026-02-30T00:00:00Z"')),
    "timestamp true": ("invalid_timestamp", at("true")),
    "timestamp object": ("invalid_timestamp", at('{"s":1}')),
    "timestamp list": ("invalid_timestamp", at("[1]")),
    "timestamp beyond year 9999": ("invalid_timestamp", at("253402300800000")),
    "timestamp NaN": ("invalid_timestamp", at('"NaN"')),
    "future": ("future", message(timestamp="2026-02-01T05:35:00.001Z")),
    "ancient": ("ancient", message(timestamp="2025-12-31T23:59:59.999Z")),
    "ancient epoch seconds": ("ancient", at("1769922000")),
    "ancient negative": ("ancient", at("-1")),
    "too late": ("too_late", message(timestamp="2026-02-01T04:29:59Z")),
}


@pytest.mark.parametrize(("reason", "value"), BAD.values(), ids=BAD)
def test_a_bad_message_gets_its_reason_under_the_hour_of_its_arrival(
    reason: str, value: bytes | None
) -> None:
    row = place(arrived([value]), STRICT).row(0, named=True)
    assert row["reject_reason"] == reason
    assert row["reject_reason"] in REJECT_REASONS
    assert row["reject_detail"]
    assert row["event_hour"] == HOUR
    assert row["value"] == value


GOOD = {
    "ISO, Z": (TIME, "2026-02-01T05:00:00"),
    "milliseconds": ("2026-02-01T05:00:00.250Z", "2026-02-01T05:00:00.250"),
    "microseconds": ("2026-02-01T05:00:00.123456Z", "2026-02-01T05:00:00.123456"),
    "comma": ("2026-02-01T05:00:00,5Z", "2026-02-01T05:00:00.5"),
    "offset": ("2026-02-01T07:30:00+02:30", "2026-02-01T05:00:00"),
    "offset without colon": ("2026-01-31T21:00:00-0800", "2026-02-01T05:00:00"),
    "offset hours": ("2026-02-01T06:00:00+01", "2026-02-01T05:00:00"),
    "blank for T": ("2026-02-01 05:00:00Z", "2026-02-01T05:00:00"),
    "lower case": ("2026-02-01t05:00:00z", "2026-02-01T05:00:00"),
    "no seconds": ("2026-02-01T05:00Z", "2026-02-01T05:00:00"),
    "epoch ms": (1769922000250, "2026-02-01T05:00:00.250"),
    "epoch ms as text": ("1769922000250", "2026-02-01T05:00:00.250"),
    "epoch ms with fraction": (1769922000250.5, "2026-02-01T05:00:00.250500"),
    "the last accepted moment": ("2026-02-01T05:35:00Z", "2026-02-01T05:35:00"),
    "the first accepted moment": ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"),
}


@pytest.mark.parametrize(("written", "moment"), GOOD.values(), ids=GOOD)
def test_a_timestamp_that_names_a_moment_places_the_message(written: Any, moment: str) -> None:
    row = place(arrived([message(timestamp=written)]), POLICY).row(0, named=True)
    expected = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert (row["reject_reason"], row["reject_detail"]) == (None, None)
    assert row["event_time"] == expected
    assert row["event_hour"] == expected.strftime("%Y-%m-%dT%H")
    assert row["vehicle_id"] == "v1"


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, None), (b"v1", None), (b"v2", "key_mismatch"), (b"", "key_mismatch"),
     (b"\xff", "key_mismatch")],
)  # fmt: skip
def test_the_key_must_name_the_same_vehicle(key: bytes | None, reason: str | None) -> None:
    found = place(arrived([message()], keys=[key]), POLICY)
    assert found["reject_reason"].to_list() == [reason]


def test_an_event_time_that_could_be_read_is_kept_with_the_reject() -> None:
    values = [message(timestamp="2019-01-01T00:00:00Z"), b"oops"]
    found = place(arrived(values), POLICY)
    assert found["event_time"].to_list() == [datetime(2019, 1, 1, tzinfo=UTC), None]


def test_an_arrival_before_the_first_partition_lies_under_the_first_hour() -> None:
    found = place(arrived([b"oops"], append_time=START - timedelta(days=9)), POLICY)
    assert found["event_hour"].to_list() == ["2026-01-01T00"]


def test_commas_before_brackets_inside_texts_are_no_trailing_commas() -> None:
    found = place(arrived([message(note="a,} b,]"), message(deep="[" * 9)]), POLICY)
    assert found["reject_reason"].to_list() == [None, None]


def test_a_message_of_one_mebibyte_is_placed() -> None:
    found = place(arrived([message(pad="x" * (1 << 20))]), POLICY)
    assert found["reject_reason"].to_list() == [None]


def test_any_time_accepts_all_moments() -> None:
    times = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    found = place(arrived([message(timestamp=time) for time in times]), ANY_TIME)
    assert found["reject_reason"].to_list() == [None, None]


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(
        st.one_of(
            st.sampled_from([value for _, value in BAD.values()]),
            st.binary(max_size=20),
            st.sampled_from([message(timestamp=written) for written, _ in GOOD.values()]),
        ),
        min_size=1,
        max_size=8,
    ),
    cut=st.integers(0, 8),
)
def test_placing_a_message_depends_on_nothing_but_itself(
    values: list[bytes | None], cut: int
) -> None:
    together = place(arrived(values), STRICT)
    parts = [part for part in (values[:cut], values[cut:]) if part]
    assert together.equals(pl.concat([place(arrived(part), STRICT) for part in parts]))
    assert together["value"].to_list() == values
