"""A row of telemetry, written as a message and decoded again, is the same row."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_data import message, placed

from fleet_assets.contracts.signals import SIGNALS
from fleet_assets.telemetry.decode import decode
from fleet_assets.telemetry.wire_form import wire_form

ODD = [
    {"gps": 5}, {"gps": "x"}, {"gps": None}, {"gps": {}}, {"gps": {"lat": "1", "lon": 2, "z": 3}},
    {"gps": [1, 2]}, {"speed": "31"}, {"speed": True}, {"speed": 1e9}, {"speed": 1.23456789},
    {"speed": float("nan")}, {"engine_rpm": float("-inf")}, {"dtc": []}, {"dtc": ["P0301", "x"]},
    {"dtc": [1]}, {"dtc": None}, {"driver_id": 7}, {"driver_id": "Zoë \"Z\""}, {"ignition": 1},
    {"firmware": {"a": [1, 2.50, None, "x"]}, "b": 1e400}, {"accelerometer": {"x": 0.1, "n": {}}},
]  # fmt: skip


def again(rows: pl.DataFrame) -> pl.DataFrame:
    messages = rows.select("event_hour", "vehicle_id", "event_time", value=wire_form(rows))
    return decode(messages).rows


def rows_of(values: list[bytes]) -> pl.DataFrame:
    accepted = placed(list(values)).filter(pl.col("reject_reason").is_null())
    return decode(accepted).rows


@pytest.mark.parametrize("values", ODD, ids=json.dumps)
def test_odd_values_come_back_as_they_were(values: dict[str, Any]) -> None:
    rows = rows_of([message(**values)])
    assert rows.height == 1
    assert again(rows).rows() == rows.rows()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5).filter(lambda text: "\x00" not in text),
)
KEYS = st.sampled_from([s.path[0] for s in SIGNALS] + ["other", "own key"])
NESTED = st.dictionaries(st.sampled_from(["lat", "lon", "x", "y", "w"]), VALUES, max_size=3)


@settings(deadline=None, max_examples=60)
@given(values=st.dictionaries(KEYS, st.one_of(VALUES, NESTED), max_size=6))
def test_any_message_comes_back(values: dict[str, Any]) -> None:
    rows = rows_of([message(**values)])
    assert again(rows).rows() == rows.rows()
