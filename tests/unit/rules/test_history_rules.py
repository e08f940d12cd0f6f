"""Rules on repetition, days and trips: R08, R17, R37, R41, R42."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl
import pytest
from drives import Drive, found
from hypothesis import given
from hypothesis import strategies as st
from stories.past import DAY, MINUTE, Trip, code_trips, signal_trips

from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.findings import FINDING_SCHEMA
from fleet_assets.rules.history import (
    CODE_TRIP_SCHEMA,
    IDLE_DAY_SCHEMA,
    SIGNAL_TRIP_SCHEMA,
    idle_days,
    lost_signals,
    new_codes,
    recurring_codes,
)
from fleet_assets.rules.repeated import series

RULE = read_catalogue().by_id
WINDOW = timedelta(minutes=10)


def events(minutes: Sequence[float], vehicle_id: str = "v1") -> pl.DataFrame:
    starts = [DAY + minute * MINUTE for minute in minutes]
    return pl.DataFrame(
        {
            "vehicle_id": [vehicle_id] * len(starts),
            "condition": ["R05"] * len(starts),
            "started_at": starts,
            "ended_at": [start + timedelta(seconds=2) for start in starts],
            "detected_at": starts,
            "is_open": [False] * len(starts),
        },
        schema_overrides={
            name: FINDING_SCHEMA[name] for name in ("started_at", "ended_at", "detected_at")
        },
    )


@pytest.mark.parametrize(
    ("minutes", "runs"),
    [
        ([0, 5, 10], [(0, 10, 10, 3)]),
        ([0, 5, 10.1], []),
        ([0, 1], []),
        ([0, 1, 2, 3, 4], [(0, 2, 4, 5)]),
        ([0, 4, 8, 15, 17], [(0, 8, 17, 3)]),  # 8 belongs to both threes
        ([0, 1, 2, 30, 31, 32], [(0, 2, 2, 3), (30, 32, 32, 3)]),
        ([0, 1, 2, 11.5, 13], [(0, 2, 2, 3)]),
        ([0, 1, 2, 11.5, 12], [(0, 2, 12, 3)]),
    ],
)
def test_three_in_ten_minutes(
    minutes: list[float], runs: list[tuple[float, float, float, int]]
) -> None:
    made = series(events(minutes), 3, WINDOW)
    shown = [
        ((start - DAY) / MINUTE, (detected - DAY) / MINUTE, (end - DAY) // MINUTE, peak)
        for start, detected, end, peak in made.select(
            "started_at", "detected_at", "ended_at", "peak"
        ).iter_rows()
    ]
    assert shown == [pytest.approx(run) for run in runs]


def test_events_of_two_vehicles_do_not_add_up() -> None:
    both = pl.concat([events([0, 1]), events([2, 3], "v2")])
    assert series(both, 3, WINDOW).is_empty()


@given(st.lists(st.integers(0, 60), max_size=14, unique=True), st.integers(1, 4))
def test_runs_are_the_events_of_all_full_windows(minutes: list[int], count: int) -> None:
    times = sorted(minutes)
    full = [
        set(times[i - count + 1 : i + 1])
        for i in range(count - 1, len(times))
        if times[i] - times[i - count + 1] <= 10
    ]
    runs: list[set[int]] = []
    for window in full:  # in order of time: one that shares an event goes on with the last run
        if runs and runs[-1] & window:
            runs[-1] |= window
        else:
            runs.append(set(window))
    made = series(events(times), count, WINDOW)
    assert [s // MINUTE for s in (made["started_at"] - DAY)] == [min(run) for run in runs]
    assert made["samples"].to_list() == [len(run) for run in runs]
    most = [max(sum(t - 10 <= s <= t for s in times) for t in run) for run in runs]
    assert made["peak"].to_list() == most


def test_a_driver_who_brakes_harshly_again_and_again() -> None:
    trip = Drive(1, noise={"engine_rpm": 12.0}).phase(60).travel(20, (0, 50))
    for _ in range(3):
        trip.travel(4, (50, 5)).phase(5, accel_x=0.0).travel(20, (5, 50)).travel(60, 50)
    rows = found(trip.travel(20, 50))
    assert rows["rule_id"].to_list() == ["R05", "R05", "R05", "R08"]
    repeated, brakes = rows.row(3, named=True), rows["started_at"]
    assert (repeated["started_at"], repeated["detected_at"]) == (brakes[0], brakes[2])
    assert repeated["severity_history"] == [
        {"at": brakes[2], "severity": "high", "rule_id": "R08"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("idle_h", "running_h", "is_found"),
    [(3, 6, True), (2, 4.9, True), (1.9, 2, False), (4, 10, False), (0, 0, False)],
    ids=["half", "just two hours", "too short", "exactly the share", "never on"],
)
def test_idle_share_of_a_day(idle_h: float, running_h: float, is_found: bool) -> None:
    midnight = DAY.replace(hour=0)
    day = ("v1", midnight, midnight + timedelta(days=1), idle_h * 3600, running_h * 3600)
    rows = idle_days(pl.DataFrame([day], schema=IDLE_DAY_SCHEMA, orient="row"), RULE["R17"])
    assert rows.schema == FINDING_SCHEMA
    assert rows["detected_at"].to_list() == ([day[2]] if is_found else [])


WITH, WITHOUT = ["speed", "fuel_level"], ["speed"]


@pytest.mark.parametrize(
    ("trips", "lost_on"),
    [
        ([(0, 20, WITH), (1, 20, WITH), (2, 20, WITH), (3, 10, WITHOUT)], [3]),
        ([(0, 20, WITH), (1, 20, WITH), (2, 20, WITH), (3, 9, WITHOUT)], []),
        ([(0, 20, WITH), (1, 20, WITH), (2, 20, WITHOUT)], []),
        ([(0, 20, WITH), (0.1, 20, WITH), (0.2, 20, WITH), (1, 20, WITHOUT)], []),
        ([(0, 20, WITH), (1, 20, WITH), (2, 20, WITH), (40, 20, WITHOUT)], []),
        ([(n, 20, WITHOUT) for n in range(5)], []),
        ([*((n, 20, WITH) for n in range(3)), (3, 20, WITHOUT), (4, 20, WITH), (5, 20, WITHOUT)],
         [3, 5]),
    ],
    ids=["lost", "short trip", "two days", "one day", "long ago", "never fitted", "twice"],
)  # fmt: skip
def test_a_signal_is_lost(trips: list[Trip], lost_on: list[int]) -> None:
    rows = lost_signals(signal_trips(*trips), RULE["R37"])
    assert rows.schema == FINDING_SCHEMA
    assert [(start - DAY).days for start in rows["started_at"]] == lost_on
    assert set(rows["condition"]) <= {"R37/fuel_level"}


def test_a_lost_signal_stays_lost_until_it_comes_again() -> None:
    trips: list[Trip] = [(n, 20, WITH) for n in range(3)]
    trips += [(3, 20, WITHOUT), (4, 2, WITHOUT), (30, 20, WITHOUT)]
    lost = lost_signals(signal_trips(*trips), RULE["R37"]).row(0, named=True)
    assert lost["detected_at"] == DAY + timedelta(days=3, minutes=20)
    assert lost["ended_at"] == DAY + timedelta(days=30, minutes=20)
    assert lost["is_open"]
    again = lost_signals(signal_trips(*trips, (31, 1, WITH)), RULE["R37"]).row(0, named=True)
    assert again | {"is_open": True} == lost
    assert not again["is_open"]


def days_of(rows: pl.DataFrame) -> list[int]:
    return [(start - DAY).days for start in rows["started_at"]]


@pytest.mark.parametrize(
    ("trips", "days", "is_open"),
    [
        ([(0, []), (1, ["P0420"])], [1], [True]),
        ([(0, ["P0420"]), (1, ["P0420"]), (2, [])], [0], [False]),
        ([(0, ["P0420"]), (1, []), (29, ["P0420"])], [0], [False]),
        ([(0, ["P0420"]), (1, []), (31, ["P0420"])], [0, 31], [False, True]),
        ([(0, ["P0420"]), (1, None), (40, ["P0420"])], [0], [True]),
        ([(0, None), (1, [])], [], []),
    ],
    ids=["new", "gone", "back soon", "back late", "silence is no contrary", "none"],
)
def test_a_new_code(
    trips: list[tuple[float, list[str] | None]], days: list[int], is_open: list[bool]
) -> None:
    rows = new_codes(code_trips(*trips), RULE["R41"])
    assert rows.schema == FINDING_SCHEMA
    assert (days_of(rows), rows["is_open"].to_list()) == (days, is_open)


def test_the_class_of_a_code_decides_how_grave_it_is() -> None:
    codes = ["P0217", "P0524", "C0035", "P0301", "P0700", "P0420", "B1234"]
    rows = new_codes(code_trips((0, codes)), RULE["R41"])
    shown = dict(rows.select(pl.col("condition").str.slice(4), "severity").iter_rows())
    assert shown == {
        "P0217": "critical", "P0524": "critical", "C0035": "critical", "P0301": "high",
        "P0700": "high", "P0420": "medium", "B1234": "medium",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("days", "found_on"),
    [([0, 3, 7], [0]), ([0, 3, 7.1], []), ([0, 1], []), ([0, 5, 10, 11], [5])],
)
def test_a_recurring_code(days: list[float], found_on: list[int]) -> None:
    trips = code_trips(*((day, ["P0301"]) for day in days))
    other = code_trips(*((day, ["P0301"]) for day in (0, 1)), vehicle_id="v2")
    rows = recurring_codes(pl.concat([trips, other]), RULE["R42"])
    assert rows.schema == FINDING_SCHEMA
    assert days_of(rows) == found_on
    assert set(rows["condition"]) <= {"R42/P0301"}


def test_no_history_finds_nothing() -> None:
    assert idle_days(IDLE_DAY_SCHEMA.to_frame(), RULE["R17"]).schema == FINDING_SCHEMA
    assert lost_signals(SIGNAL_TRIP_SCHEMA.to_frame(), RULE["R37"]).schema == FINDING_SCHEMA
    assert new_codes(CODE_TRIP_SCHEMA.to_frame(), RULE["R41"]).schema == FINDING_SCHEMA
    assert recurring_codes(CODE_TRIP_SCHEMA.to_frame(), RULE["R42"]).schema == FINDING_SCHEMA
