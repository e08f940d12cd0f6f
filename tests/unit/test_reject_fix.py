"""Mending a message: what is asked for changes, and not a digit more."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry_data import NOW, POLICY, message

from fleet_assets.errors import FleetError
from fleet_assets.rejects.fix import Fix
from fleet_assets.rejects.judge import judge


def fix(*renames: str, sets: tuple[str, ...] = (), drops: tuple[str, ...] = ()) -> Fix:
    return Fix.parse(renames, sets, drops)


def fixed(value: bytes, mapping: Fix) -> Any:
    done = mapping.apply(value)
    assert done is not None
    return json.loads(done)


def test_a_value_moves_to_its_new_key() -> None:
    assert fixed(b'{"vid": "v1", "speed": 3}', fix("vid=vehicle_id")) == {
        "vehicle_id": "v1",
        "speed": 3,
    }


def test_a_rename_leaves_a_value_that_is_there() -> None:
    both = b'{"vid":"a","vehicle_id":"b"}'
    assert fixed(both, fix("vid=vehicle_id")) == {"vid": "a", "vehicle_id": "b"}
    empty = b'{"vid":"a","vehicle_id":null}'
    assert fixed(empty, fix("vid=vehicle_id")) == {"vehicle_id": "a"}


def test_keys_may_be_paths() -> None:
    inside = b'{"position":{"latitude":1.50},"gps.lon":2}'
    mapping = fix("position.latitude=gps.lat", "gps.lon=gps.lon2", drops=("position",))
    assert fixed(inside, mapping) == {"gps": {"lat": 1.5, "lon2": 2}}


def test_values_are_set_and_keys_dropped_after_the_renames() -> None:
    mapping = fix("a=b", sets=("b=7", "c=text", "d=null", 'e="7"'), drops=("x",))
    assert fixed(b'{"a":1,"x":2}', mapping) == {"b": 7, "c": "text", "d": None, "e": "7"}


@pytest.mark.parametrize(
    "value", [None, b"", b"{not json", b"\xff\xfe", b"[1]", b"7", b"[" * 100_000]
)
def test_what_is_no_object_stays_as_it_is(value: bytes | None) -> None:
    assert fix("a=b").apply(value) == value


def test_without_a_fix_the_bytes_stay() -> None:
    odd = b' {"a" : 1.0e+00 ,"a":2} '
    assert fix().apply(odd) is odd


def test_numbers_keep_every_digit() -> None:
    done = fix("a=b").apply(b'{"a":0.10,"n":[12345678901234567890.123456789,-1E+400,NaN]}')
    assert done == b'{"n":[12345678901234567890.123456789,-1E+400,NaN],"b":0.10}'


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), _json, max_size=5))
def test_what_is_not_named_is_not_changed(given_: dict[str, Any]) -> None:
    value = json.dumps(given_).encode()
    assert fixed(value, fix(drops=("no such key \x00",))) == json.loads(value)


def test_half_a_surrogate_pair_survives() -> None:
    assert fixed(rb'{"a":"\ud83d","b":"\u00e9"}', fix("a=c")) == {"c": "\ud83d", "b": "é"}


@pytest.mark.parametrize(
    ("renames", "sets"), [(["ab"], []), (["=b"], []), (["a="], []), ([], ["a"]), ([], ["=1"])]
)
def test_a_fix_that_cannot_be_read_is_refused(renames: list[str], sets: list[str]) -> None:
    with pytest.raises(FleetError, match="--"):
        Fix.parse(renames, sets, [])


def judged(*values: bytes | None, key: bytes | None = b"old") -> list[tuple[Any, ...]]:
    rows = pl.DataFrame(
        {
            "key": pl.Series([key] * len(values), dtype=pl.Binary),
            "new_value": pl.Series(values, dtype=pl.Binary),
        }
    )
    found = judge(rows, POLICY, frozenset({"v1"}), NOW)
    return found.select("new_key", "new_reason").rows()


def test_the_judgement_is_that_of_landing_and_refresh() -> None:
    future = (NOW + timedelta(hours=1)).isoformat()
    assert judged(
        message(), message("v2"), message("v1", future), b"{", None, message("v1", "x" * 9)
    ) == [
        (b"v1", None),
        (b"v2", "unknown_vehicle"),
        (b"v1", "future"),
        (b"old", "invalid_json"),
        (b"old", "empty"),
        (b"v1", "invalid_timestamp"),
    ]


def test_nesting_beyond_reason_is_judged_too() -> None:
    deep = message().replace(b"}", b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}")
    ((_, reason), (_, plain)) = judged(deep, message())
    assert reason is not None
    assert plain is None
