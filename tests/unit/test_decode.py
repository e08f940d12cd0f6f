"""From the bytes of a message to its row: nothing is lost, whatever a sender sends."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from telemetry_data import POLICY, arrived, message

from fleet_assets.contracts.signals import NUMBERS, SIGNALS, Signal
from fleet_assets.contracts.tables import TELEMETRY
from fleet_assets.telemetry.decode import Decoded, decode
from fleet_assets.telemetry.placement import place


def decoded(*values: bytes) -> Decoded:
    found = place(arrived(values), POLICY)
    assert found["reject_reason"].null_count() == len(values), found["reject_detail"].to_list()
    return decode(found)


def row(value: bytes) -> dict[str, Any]:
    return decoded(value).rows.row(0, named=True)


def raw_message(body: str) -> bytes:
    return b'{"vehicle_id":"v1","timestamp":"2026-02-01T05:00:00Z",' + body.encode() + b"}"


def test_a_full_message_fills_its_columns() -> None:
    found = row(
        message(
            engine_rpm=1650.25, speed=52, gps={"lat": 41.881832, "lon": -87.6},
            accelerometer={"x": 0.1, "y": -0.2, "z": 9.81}, driver_id="d", private=False,
            ignition=True, dtc=["P0420", "U0100"],
        )
    )  # fmt: skip
    assert found["engine_rpm"] == Decimal("1650.25")
    assert (found["gps_lat"], found["gps_lon"]) == (Decimal("41.881832"), Decimal("-87.6"))
    assert found["accel_z"] == Decimal("9.81")
    assert (found["driver_id"], found["private"], found["ignition"]) == ("d", False, True)
    assert found["dtc"] == ["P0420", "U0100"]
    assert found["null_signals"] == []
    assert [found[c] for c in ("invalid_values", "inexact_values", "extra")] == [None] * 3
    assert found["conflict"] is False


REFUSED: dict[str, tuple[str, str, Any, str]] = {
    "above the bound": ('"speed":158.46', "speed", 158.46, "out_of_bounds"),
    "below the bound": ('"coolant_temp":-40.01', "coolant_temp", -40.01, "out_of_bounds"),
    "far too big": ('"odometer":1e300', "odometer", 1e300, "out_of_bounds"),
    "big integer": (f'"engine_rpm":{10**30}', "engine_rpm", 10**30, "out_of_bounds"),
    "nested": ('"gps":{"lat":90.000001}', "gps_lat", 90.000001, "out_of_bounds"),
    "number as text": ('"speed":"55"', "speed", "55", "wrong_type"),
    "number as boolean": ('"speed":true', "speed", True, "wrong_type"),
    "number as list": ('"speed":[1,2]', "speed", [1, 2], "wrong_type"),
    "number as object": ('"speed":{"v":1}', "speed", {"v": 1}, "wrong_type"),
    "boolean as number": ('"ignition":1', "ignition", 1, "wrong_type"),
    "boolean as text": ('"private":"true"', "private", "true", "wrong_type"),
    "text as number": ('"driver_id":17', "driver_id", 17, "wrong_type"),
    "empty text": ('"driver_id":""', "driver_id", "", "out_of_bounds"),
    "text too long": (f'"driver_id":"{"x" * 129}"', "driver_id", "x" * 129, "out_of_bounds"),
    "text with a control": ('"driver_id":"a\\nb"', "driver_id", "a\nb", "out_of_bounds"),
    "code of no form": ('"dtc":["P0420","X1"]', "dtc", ["P0420", "X1"], "out_of_bounds"),
    "code in lower case": ('"dtc":["p0420"]', "dtc", ["p0420"], "out_of_bounds"),
    "null among the codes": ('"dtc":["P0420",null]', "dtc", ["P0420", None], "out_of_bounds"),
    "only null among the codes": ('"dtc":[null]', "dtc", [None], "out_of_bounds"),
    "codes as text": ('"dtc":"P0420"', "dtc", "P0420", "wrong_type"),
    "codes as numbers": ('"dtc":[1]', "dtc", [1], "wrong_type"),
    "lists of codes": ('"dtc":[["P0420"]]', "dtc", [["P0420"]], "wrong_type"),
}


@pytest.fixture(scope="module")
def refused_rows() -> dict[str, dict[str, Any]]:
    """One row for each case, decoded together to save time."""
    values = [raw_message(body + ',"fuel_level":50') for body, *_ in REFUSED.values()]
    return dict(zip(REFUSED, decoded(*values).rows.iter_rows(named=True), strict=True))


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_cannot_be_costs_only_itself(
    refused_rows: dict[str, dict[str, Any]], case: str
) -> None:
    _, name, value, reason = REFUSED[case]
    found = refused_rows[case]
    assert found[name] is None
    assert json.loads(found["invalid_values"]) == {name: {"value": value, "reason": reason}}
    assert found["fuel_level"] == 50
    assert found["null_signals"] == []


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "nan", "inf"])
def test_a_number_that_is_none_is_rejected_or_refused(word: str) -> None:
    placed = place(arrived([raw_message(f'"speed":{word}')]), POLICY)
    if placed["reject_reason"].to_list() == ["invalid_json"]:
        return
    found = decode(placed).rows.row(0, named=True)
    assert found["speed"] is None
    note = json.loads(found["invalid_values"])["speed"]
    assert note == {"value": word, "reason": "not_finite"}


@pytest.mark.parametrize("body", ['"gps":5', '"gps":"here"', '"gps":[1,2]', '"gps":true'])
def test_a_group_of_a_wrong_type_refuses_all_its_signals(body: str) -> None:
    found = row(raw_message(body))
    original = json.loads("{" + body + "}")["gps"]
    note = {"value": original, "reason": "wrong_type"}
    assert json.loads(found["invalid_values"]) == {"gps_lat": note, "gps_lon": note}


def test_null_is_told_from_absent() -> None:
    sent = [raw_message(nested(signal, "null")) for signal in SIGNALS]
    rows = decoded(*sent, message()).rows
    assert rows["null_signals"].to_list() == [[signal.name] for signal in SIGNALS] + [[]]
    assert rows["invalid_values"].null_count() == rows.height
    assert rows.select(signal.name for signal in SIGNALS).null_count().row(0) == (
        (rows.height,) * len(SIGNALS)
    )


def test_a_group_that_is_null_makes_its_signals_null() -> None:
    assert row(message(gps=None))["null_signals"] == ["gps_lat", "gps_lon"]


@pytest.mark.parametrize(
    ("values", "extra"),
    [
        ({"firmware": "1.2"}, {"firmware": "1.2"}),
        ({"gps": {"lat": 1, "alt": 3}}, {"gps": {"alt": 3}}),
        ({"a": {"b": [1, {"c": "d"}]}, "x": 1.50}, {"a": {"b": [1, {"c": "d"}]}, "x": 1.5}),
        ({"gps": {"alt": 3}, "n": 1}, {"gps": {"alt": 3}, "n": 1}),
        ({"": 1}, {"": 1}),
        ({"GPS": {"lat": 1}, "Speed": 3}, {"GPS": {"lat": 1}, "Speed": 3}),
        ({"a/b": 1, "a~b": 2, 'q"': 3}, {"a/b": 1, "a~b": 2, 'q"': 3}),
    ],
    ids=str,
)
def test_unknown_keys_are_kept(values: dict[str, Any], extra: dict[str, Any]) -> None:
    assert json.loads(row(message(**values))["extra"]) == extra


def test_an_unknown_key_that_is_null_is_kept() -> None:
    found = json.loads(row(message(firmware=None, gps={"lat": 1, "alt": None}))["extra"])
    assert found == {"firmware": None, "gps": {"alt": None}}


def test_nesting_deeper_than_the_decoder_reads_is_rejected() -> None:
    found = decoded(raw_message('"x":' + "[" * 5000 + "]" * 5000), message(speed=1))
    assert found.rejects.select("i", "reason").rows() == [(0, "invalid_json")]
    assert found.rows["i"].to_list() == [1]


def test_a_message_of_one_mebibyte_is_decoded() -> None:
    found = row(message(speed=1, pad="x" * (1 << 20)))
    assert found["speed"] == 1
    assert len(json.loads(found["extra"])["pad"]) == 1 << 20


def test_nothing_decodes_to_nothing() -> None:
    found = decode(place(arrived([message()]), POLICY).clear())
    assert found.rows.is_empty()
    assert found.rows.drop("i").schema == TELEMETRY.polars_schema


ODD_BODIES = [body for body, *_ in REFUSED.values()] + [
    '"gps":5', '"gps":null', '"speed":null', '"firmware":1', '"gps":{"alt":1}', '"speed":1.12345',
    '"speed":10', '"dtc":[]', '"dtc":["P0420"]', '"driver_id":"d"', '"x":' + "[" * 300 + "]" * 300,
]  # fmt: skip


@settings(deadline=None, max_examples=15)
@given(
    bodies=st.lists(st.sampled_from(ODD_BODIES), min_size=1, max_size=10), cut=st.integers(0, 10)
)
def test_any_batching_decodes_to_the_same_rows(bodies: list[str], cut: int) -> None:
    values = [raw_message(body) for body in bodies]
    together = decoded(*values)
    parts = [decoded(*part) for part in (values[:cut], values[cut:]) if part]
    assert together.rows.drop("i").equals(pl.concat([part.rows.drop("i") for part in parts]))
    reasons = pl.concat([part.rejects.drop("i") for part in parts])
    assert together.rejects.drop("i").equals(reasons)
    assert together.rows.height + together.rejects.height == len(values)


def texts_of_numbers(signal: Signal) -> st.SearchStrategy[str]:
    low, high = Decimal(str(signal.minimum)), Decimal(str(signal.maximum))
    fitting = st.decimals(low, high, places=signal.scale).map(lambda d: format(d, "f"))
    floats = st.floats(signal.minimum, signal.maximum).map(json.dumps)
    return fitting | floats


def test_every_number_column_holds_its_bounds() -> None:
    sent = [(s, bound) for s in NUMBERS for bound in (s.minimum, s.maximum)]
    rows = decoded(*(raw_message(nested(s, json.dumps(bound))) for s, bound in sent)).rows
    stored = [float(row[s.name]) for (s, _), row in zip(sent, rows.to_dicts(), strict=True)]
    assert stored == [bound for _, bound in sent]
    assert rows["inexact_values"].null_count() == rows.height


def nested(signal: Signal, text: str) -> str:
    for key in reversed(signal.path):
        text = f'{{"{key}":{text}}}'
    return text[1:-1]


@settings(deadline=None, max_examples=12)
@example([(s, t) for s in NUMBERS for t in ("0.1", "10.005", "1e-7", "-0.0", "1.0000000000000002")])
@given(
    st.lists(
        st.sampled_from(NUMBERS).flatmap(lambda s: st.tuples(st.just(s), texts_of_numbers(s))),
        min_size=1,
        max_size=60,
    )
)
def test_a_number_is_stored_exactly_or_keeps_what_was_sent(sent: list[tuple[Signal, str]]) -> None:
    found = decoded(*(raw_message(nested(signal, text)) for signal, text in sent)).rows
    for (signal, text), row in zip(sent, found.iter_rows(named=True), strict=True):
        stored = row[signal.name]
        assert abs(stored - Decimal(text)) <= Decimal(10) ** -signal.scale
        kept = json.loads(row["inexact_values"] or "{}")
        assert float(kept.get(signal.name, stored)) == float(text)
        assert (row["inexact_values"] is None) == (float(stored) == float(text))
        assert row["invalid_values"] is None
