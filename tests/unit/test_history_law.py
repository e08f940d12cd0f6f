"""Law of findings on days and trips: any arrival in any order ends as a look at the whole past."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from outings import FIRST, VEHICLES, Arriving, Outing, usual
from polars.testing import assert_frame_equal

from fleet_assets.anomalies.local_days import in_local_days
from fleet_assets.lake.store import Lake
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.history.find import day_findings, trip_findings


def of_history(lake: Lake) -> pl.DataFrame:
    rows = lake.open("rule_anomalies").read()
    mine = pl.col("condition").str.slice(0, 3).is_in(["R17", "R28", "R37"])
    return rows.filter(mine).sort("vehicle_id", "condition", "started_at")


def told(lake: Lake) -> list[tuple[str, timedelta, timedelta, str]]:
    return [
        (condition, start - FIRST, end - FIRST, state)
        for condition, start, end, state in of_history(lake)
        .select("condition", "started_at", "ended_at", "state")
        .iter_rows()
    ]


def test_fuel_that_goes_over_a_stop_is_found_and_late_trips_correct_it(tmp_path: Path) -> None:
    drive = timedelta(minutes=11, seconds=30)
    day = timedelta(days=1)
    arriving = Arriving(Lake(str(tmp_path)))
    arriving.take(*usual(7), Outing(8, 30.0))
    (anomaly,) = of_history(arriving.lake).to_dicts()
    assert told(arriving.lake) == [("R28", 6 * day + drive, 8 * day, "closed")]
    assert anomaly["severity"] == "high"
    assert '"peak": 24.0, ' in anomaly["evidence"]
    assert "Fuel fell by 24 % over a stop of 1 d 23 h (limit 8 %)." in anomaly["description"]
    arriving.take(Outing(7, 31.0))
    assert told(arriving.lake) == [("R28", 6 * day + drive, 7 * day, "closed")]


def test_a_lost_signal_and_a_day_of_idling(tmp_path: Path) -> None:
    arriving = Arriving(Lake(str(tmp_path)))
    idle = Outing(4, 50.0, idle_h=3, vehicle_id="v2")
    arriving.take(*usual(4), idle, Outing(5, None), Outing(6, None))
    day, drive = timedelta(days=1), timedelta(minutes=11, seconds=30)
    # a local day in Kolkata ends at 18:30 UTC
    midnight = 3 * day + timedelta(hours=13, minutes=40)
    assert told(arriving.lake) == [
        # the last trip may go on: only one that is over lacks a signal
        ("R37/fuel_level", 5 * day, 5 * day + drive, "open"),
        ("R17", midnight, midnight + day, "closed"),
    ]
    arriving.take(Outing(5.2))
    assert told(arriving.lake)[0] == ("R37/fuel_level", 5 * day, 5 * day + drive, "closed")


def test_a_day_ends_also_without_a_message_of_the_vehicle(tmp_path: Path) -> None:
    arriving = Arriving(Lake(str(tmp_path)))
    arriving.take(Outing(0, idle_h=3, vehicle_id="v2"))
    assert told(arriving.lake) == []
    arriving.take(Outing(1))
    assert [condition for condition, *_ in told(arriving.lake)] == ["R17"]


OUTINGS = st.builds(
    Outing,
    st.integers(0, 60).map(lambda n: n / 5),
    st.sampled_from([None, 60.0, 58.0, 20.0]),
    st.sampled_from([0.0, 0.0, 0.0, 2.5]),
    st.sampled_from(["v1", "v1", "v2"]),
)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    st.lists(OUTINGS, min_size=1, max_size=8, unique_by=lambda o: (o.day, o.vehicle_id)),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_any_arrival_ends_in_what_the_whole_past_gives(
    outings: list[Outing], batches: int, random: Any
) -> None:
    parts: list[list[Outing]] = [[] for _ in range(batches)]
    for outing in [*usual(6), *outings]:
        parts[random.randrange(batches)].append(outing)
    with TemporaryDirectory() as folder:
        arriving = Arriving(Lake(folder))
        for part in parts:
            arriving.take(*part)
        stored = of_history(arriving.lake)
        newest = arriving.lake.open("telemetry").read(columns=["event_time"])["event_time"].max()
        assert isinstance(newest, datetime)
        made = whole_past(arriving.lake, newest)
    columns = ["vehicle_id", "condition", "rule_id", "started_at", "ended_at", "severity"]
    assert_frame_equal(stored.select(columns), made.select(columns))


def whole_past(lake: Lake, horizon: datetime) -> pl.DataFrame:
    catalogue = read_catalogue()
    trips = lake.open("trips").read().filter(pl.col("trip_kind") == "motion")
    days = in_local_days(lake.open("vehicle_hours").read(), VEHICLES)
    found = [trip_findings(trips, catalogue), day_findings(days, catalogue, horizon)]
    return pl.concat(found).sort("vehicle_id", "condition", "started_at")
