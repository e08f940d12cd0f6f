"""The quick way of placing a message comes to what the exact way comes to, whatever is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from telemetry_data import START, arrived, message

from fleet_assets.telemetry import placement
from fleet_assets.telemetry.placement import ANY_TIME, TimePolicy, place
from fleet_assets.telemetry.placement_exact import place_exactly

STRICT = TimePolicy(START, timedelta(minutes=5), timedelta(hours=1))

TIMES = [
    *(f'"2026-02-01T05:00:00{fraction}{zone}"'
      for fraction in ("", ".2", ".250", ".123456", ".1234567", ".999999999", ".", ",5")
      for zone in ("Z", "+00:00", "-00:00", "+05:30", "+0530", "+05", "z", " Z", "+24:00", "")),
    '"2026-02-01T05:35:00.001Z"', '"2026-02-01T05:35:00Z"', '"2026-02-01T04:30:00Z"',
    '"2026-02-01T04:29:59.999999Z"', '"2025-12-31T23:59:59Z"', '"2026-02-01t05:00:00z"',
    '"2026-02-01 05:00:00Z"', '"2026-02-01T05:00Z"', '"2026-02-01"', '"2026-02-01T24:00:00Z"',
    '"2026-02-01T05:60:00Z"', '"2026-02-01T05:00:60Z"', '"2016-12-31T23:59:60Z"',
    '"2026-02-30T05:00:00Z"', '"2026-13-01T05:00:00Z"', '"2026-02-00T05:00:00Z"',
    '"0000-01-01T00:00:00Z"', '"0001-01-01T00:00:00+12:00"', '"9999-12-31T23:59:59-12:00"',
    '"+2026-02-01T05:00:00Z"', '"-2026-02-01T05:00:00Z"', '"12026-02-01T05:00:00Z"',
    '"2026-02-01T05:00:00Z "', '" 2026-02-01T05:00:00Z"', '"2026-02-01T05:00:00Z\\n"',
    '"2026-02-01T05:00:00Z\\u0000"', '"2026\\u002d02-01T05:00:00Z"', '"２０２６-02-01T05:00:00Z"',
    '"2026-02-01T05:00:00ZZ"', '"2026-02-01T05:00:00Z+00:00"', '"infinity"', '"epoch"', '"now"',
    '"2026-02-01T05:00:00 Europe/Berlin"', '""', '"Z"',
    "1769922000250", '"1769922000250"', "1769922000250.5", "1769922000250.", "1.76992200025e12",
    "1769922000", "9999999999999", "10000000000000", "253402300799999", "253402300799999.4",
    "253402300800000", "9007199254740993", "99999999999999999999999", "0", "-0", "-1", "00017",
    "+1769922000250", "0x19C0", "1769922000250 ", "null", "true", "[1]", '{"s": 1}', "NaN",
    "Infinity", "-Infinity", '"NaN"', "1e400",
]  # fmt: skip
IDS = [
    '"v1"', '"v 1"', '"v\\n1"', '"v\\u00001"', '"v\x7f1"', '"v\\\\1"', '"v\\"1"',
    '"\\u0076\\u0031"',
    '"v\\/1"', '"v/1"', '"é"', '"\\u00e9"', '"\\ud83d\\ude97"', '"🚗"', '"\\ud800"', '""', '" "',
    f'"{"x" * 128}"', f'"{"x" * 129}"', f'"{"é" * 128}"', "7", "1.5", "null", "true", "[]",
    '{"vehicle_id": "v1"}', '["v1"]', "NaN", '"v\t1"', '"\u2028"', '"\x85"', "'v1'",
]  # fmt: skip
KEYS = ['"vehicle_id"', '"vehicle\\u005fid"', '"Vehicle_ID"', '"vehicle_id "', "vehicle_id"]
TIME_KEYS = ['"timestamp"', '"time\\u0073tamp"', '"/timestamp"', '"timestamp\\u0000"']
REST = [
    '"a": 1', '"speed": NaN', '"speed": -Infinity', '"note": "a,} b,]"', '"note": "é\\ud800"',
    '"dtc": ["P0420",]', '"dtc": [,]', '"dtc": []', '"gps": {"lat": 1, "vehicle_id": "v9"}',
    '"gps": {"lat": 1, }', '"a": 1e999', '"a": 99999999999999999999999', '"a": 01', '"a": .5',
    '"a": 1.', '"a": +1', '"a": "x\ny"', '"a": tru', '"": 0', '"a":: 1', "", "/* c */",
    '"a": \'x\'',
    '"a": "\\x"', '"a": "\\u12"', '"note": "' + "y" * 300 + '"', '"a": ' + "[" * 30 + "]" * 30,
]  # fmt: skip
SPACES = ["", " ", "\n", "\t", "\r\n", "\f", "\v", "\u00a0", "\ufeff", "\x00"]


@st.composite
def messy(draw: st.DrawFn) -> bytes:
    """Something like a message; mostly nearly right, so that one thing at a time is wrong."""
    usual = draw(st.integers(0, 3)) > 0
    names = st.just('"vehicle_id"') if usual else st.sampled_from(KEYS)
    time_names = st.just('"timestamp"') if usual else st.sampled_from(TIME_KEYS)
    space = st.just("") if usual else st.sampled_from(SPACES)
    ids = st.one_of(st.just('"v1"'), st.sampled_from(IDS))
    parts = [
        f"{draw(names)}{draw(space)}:{draw(space)}{draw(ids)}",
        f"{draw(time_names)}:{draw(space)}{draw(st.sampled_from(TIMES))}{draw(space)}",
        *draw(st.lists(st.sampled_from(REST), max_size=2)),
    ]
    if not usual:
        parts += draw(st.lists(st.sampled_from(parts), max_size=1))  # a key twice
        parts = draw(st.permutations(parts))
    comma = draw(st.sampled_from(["", "", "", ",", ", ", ",\n", " "]))
    text = draw(space) + "{" + (draw(space) + ",").join(parts) + comma + "}" + draw(space)
    written = text.encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 11)):
        case 0:
            return written[: draw(st.integers(0, len(written)))]
        case 1:
            at = draw(st.integers(0, len(written)))
            return written[:at] + draw(st.binary(min_size=1, max_size=2)) + written[at:]
        case 2:
            around = [b"[%s]", b"%s%s", b"%s,", b"\xef\xbb\xbf%s", b"%s\x00"]
            return draw(st.sampled_from(around)).replace(b"%s", written)
    return written


def assert_same(
    values: Sequence[bytes | None],
    policy: TimePolicy = STRICT,
    keys: Sequence[bytes | None] | None = None,
) -> None:
    messages = arrived(values, keys=keys)
    quick = place(messages, policy)
    exact = place_exactly(messages, policy)
    assert quick.select(exact.columns).equals(exact), (quick, exact)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.one_of(messy(), st.none(), st.binary(max_size=6)), min_size=1, max_size=30),
    keys=st.lists(
        st.sampled_from([None, b"v1", b'"v1"', b"", b"\xff", b"v 1"]), min_size=30, max_size=30
    ),
    policy=st.sampled_from([STRICT, ANY_TIME, TimePolicy(START, timedelta(0))]),
)
@example(values=[b'{"vehicle_id":"v1","timestamp":1}'] * 2, keys=[None, b"v2"], policy=ANY_TIME)
def test_both_ways_agree_on_whatever_is_sent(
    values: list[bytes | None], keys: list[bytes | None], policy: TimePolicy
) -> None:
    assert_same(values, policy, keys[: len(values)])


@pytest.mark.parametrize("policy", [STRICT, ANY_TIME], ids=["strict", "any time"])
def test_both_ways_agree_on_every_way_to_write_a_time_or_an_identifier(policy: TimePolicy) -> None:
    for time_key in TIME_KEYS:
        assert_same([f'{{"vehicle_id":"v1",{time_key}:{time}}}'.encode() for time in TIMES], policy)
    for key in KEYS:
        assert_same(
            [f'{{{key}:{name},"timestamp":1769922000250}}'.encode() for name in IDS], policy
        )


def test_both_ways_agree_on_every_character() -> None:
    characters = [chr(code).encode("utf-8", "surrogatepass") for code in range(0x11000)]
    whole = b'{"vehicle_id":"v%s","timestamp":1769922000250}'
    assert_same([whole.replace(b"%s", character) for character in characters])
    beside = b'{"vehicle_id":"v1","timestamp":1769922000250,"note":"%s"}'
    assert_same([beside.replace(b"%s", character) for character in characters])


def test_messages_that_are_plainly_right_are_not_read_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(messages: pl.DataFrame, policy: TimePolicy) -> pl.DataFrame:
        raise AssertionError(messages["value"].to_list())

    monkeypatch.setattr(placement, "place_exactly", slow)
    times = ["2026-02-01T05:00:00Z", "2026-02-01T05:00:00.250+02:30", 1769922000250]
    values = [message("VIN 1/2-3", time, speed=1.5, dtc=[], note="a, b") for time in times]
    assert place(arrived(values), ANY_TIME)["vehicle_id"].to_list() == ["VIN 1/2-3"] * 3


def test_a_few_bad_messages_leave_the_others_in_their_places() -> None:
    good = [message(f"v{number}", 1769922000000 + number) for number in range(5000)]
    values: list[bytes | None] = [*good]
    values[17], values[2048], values[4999] = b"{", b"\xff", None
    placed = place(arrived(values), ANY_TIME)
    assert placed["value"].to_list() == values
    wrong = {17: "invalid_json", 2048: "not_utf8", 4999: "empty"}
    assert placed["reject_reason"].to_list() == [wrong.get(number) for number in range(5000)]
    assert placed["vehicle_id"].to_list() == [
        None if number in wrong else f"v{number}" for number in range(5000)
    ]
    assert_same(values, ANY_TIME)


@pytest.mark.parametrize("shift", range(4))
def test_a_broken_text_whose_error_message_cannot_be_decoded(shift: int) -> None:
    assert_same([('{"a":1}' + "x" * shift + "é" * 60).encode()])
