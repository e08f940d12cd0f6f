"""Law of anomalies and trips: any arrival in any order ends as one pass over all messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from drives import ABSENT, WANTED, Drive, found, in_force, vehicle
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import bring_up
from polars.testing import assert_frame_equal
from telemetry_data import land_values

from fleet_assets.lake.store import Lake
from fleet_assets.lake.trip_replay import trips_of

FIRST = datetime(2026, 2, 1, 4, 30, tzinfo=UTC)
TOLD: dict[float, list[str]] = {111.0: ["P0217"], 106.0: []}
"""Trouble codes by coolant; at other temperatures nothing is told."""
PHASES = st.tuples(
    st.sampled_from([20.0, 130.0, 700.0, 1500.0]),
    st.fixed_dictionaries(
        {},
        optional={
            "engine_rpm": st.sampled_from([800.0, 6100.0, 6700.0, 0.0]),
            "speed": st.sampled_from([0.0, 2.0, 40.0, 78.0, 105.0]),
            "ignition": st.sampled_from([0.0, 1.0]),
            "coolant_temp": st.sampled_from([85.0, 106.0, 111.0]),
            "fuel_level": st.sampled_from([60.0, 12.0, 9.0, 4.0]),
            "accel_x": st.sampled_from([0.0, -5.0, ABSENT]),
        },
    ),
    st.sampled_from([0.0, 0.0, 30.0, 4000.0, 9000.0]),
)


def messages(drive: Drive) -> list[bytes]:
    """The drive as a vehicle sends it."""
    found = []
    for row in drive.rows.iter_rows(named=True):
        value: dict[str, Any] = {
            name: row[name]
            for name in WANTED
            if row[name] is not None
            and name != "ignition"
            and not name.startswith(("gps", "accel"))
        }
        value["gps"] = {"lat": row["gps_lat"], "lon": row["gps_lon"]}
        if row["accel_x"] is not None:
            value["accelerometer"] = {axis: row[f"accel_{axis}"] for axis in "xyz"}
        if row["ignition"] is not None:
            value["ignition"] = bool(row["ignition"])
        if row["coolant_temp"] in TOLD:
            value["dtc"] = TOLD[row["coolant_temp"]]
        when = row["event_time"].isoformat()
        found.append(json.dumps({"vehicle_id": row["vehicle_id"], "timestamp": when, **value}))
    return [text.encode() for text in found]


def scripted(phases: Sequence[tuple[float, dict[str, Any], float]], vehicle_id: str) -> Drive:
    drive = Drive(0.2, vehicle_id, start=FIRST)
    drive.phase(60)
    for seconds, signals, gap in phases:
        drive.phase(seconds, **signals)
        drive.gap(gap)
    return drive.phase(60)


def arrive(folder: str, batches: Sequence[Sequence[bytes]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Anomalies and trips after the batches have come one after the other."""
    lake, offset = Lake(folder), 0
    for batch in batches:
        if batch:
            land_values(lake, batch, start=offset, append_time=FIRST + timedelta(days=3))
            offset += len(batch)
            bring_up(lake)
    rows = lake.open("anomalies").read().drop("revision")
    trips = lake.open("trips").read().sort("vehicle_id", "trip_kind", "started_at")
    hours = lake.open("telemetry").files["event_hour"].unique().to_list()
    in_one_pass = trips_of(lake.open("telemetry"), hours).drop("is_open")
    assert_frame_equal(trips.select(in_one_pass.columns), in_one_pass)
    return rows.sort("vehicle_id", "condition", "started_at"), trips


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.lists(PHASES, min_size=1, max_size=6),
    st.lists(PHASES, min_size=1, max_size=3),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_any_arrival_ends_in_the_same_anomalies_and_trips(
    one: Any, other: Any, batches: int, random: Any
) -> None:
    drives = scripted(one, "v1"), scripted(other, "v2")
    values = [message for drive in drives for message in messages(drive)]
    size = max(1, len(values) // 15)
    stretches = [values[n : n + size] for n in range(0, len(values), size)]
    parts: list[list[bytes]] = [[] for _ in range(batches)]
    for stretch in stretches:
        parts[random.randrange(batches)] += stretch
    with TemporaryDirectory() as a, TemporaryDirectory() as b:
        (at_once, trips), (in_parts, trips_in_parts) = arrive(a, [values]), arrive(b, parts)
    assert_frame_equal(in_parts, at_once)
    assert_frame_equal(trips_in_parts, trips)
    known = in_force(vehicle("v1"), vehicle("v2"))
    passes = pl.concat([found(drive, known=known) for drive in drives])
    whole = passes.sort("vehicle_id", "condition", "started_at")
    columns = ["vehicle_id", "condition", "rule_id", "severity", "started_at", "ended_at"]
    by_window = at_once.filter(pl.col("anomaly_type") != "diagnostic_trouble_code")
    assert_frame_equal(by_window.select(columns), whole.select(columns))
