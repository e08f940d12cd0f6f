"""Baselines in a lake: pins stay, late data is scored as its hour was, any order ends the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from baseline_flow import (
    DAYS,
    FLEET,
    NOTHING_SAID,
    arrive,
    compare,
    drive,
    hour_of,
    lake_of,
    settle,
    summarise,
    window,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fleet_assets.features.kernel import feature_windows
from fleet_assets.features.scores import with_z_scores
from fleet_assets.features.tables import by_hour
from fleet_assets.lake.feature_days import summarise_day
from fleet_assets.lake.feature_windows import (
    hours_to_window,
    hours_without_windows,
    refresh_feature_windows,
)
from fleet_assets.lake.pins import pins_in_lake
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_baselines import (
    baselines_of,
    days_to_compare,
    make_baselines,
    versions,
)
from partitions.days import day_of

SCORE = "rpm_mean_60s_z_vehicle"


def scores(lake: Lake, day: int) -> pl.Series:
    return lake.open("feature_windows").read(hour_of(day))[SCORE]


def baseline_pins(lake: Lake) -> dict[str, str]:
    pins = pins_in_lake(lake).filter(pl.col("input") == "baselines")
    return dict(pins.select("event_hour", "version").iter_rows())


def scored_in_one_pass(lake: Lake) -> pl.DataFrame:
    """By the pins: what one pass over all telemetry gives, scored hour by hour."""
    whole, pins = by_hour(feature_windows(lake.open("telemetry").read())), baseline_pins(lake)
    parts = []
    for (hour,), rows in whole.group_by("event_hour"):
        version = int(pins.get(str(hour), "/0").partition("/")[2])
        parts.append(with_z_scores(rows, baselines_of(lake, day_of(str(hour)), version)))
    return pl.concat(parts).sort("vehicle_id", "window_end")


ACTIONS = {"window": window, "summarise": summarise, "compare": compare}
ALL = [
    (day, vehicle_id, part) for day in range(3) for vehicle_id in ("v1", "v2") for part in (0, 1)
]


@given(
    order=st.permutations(ALL),
    cuts=st.lists(st.integers(1, len(ALL) - 1), max_size=2, unique=True),
    done=st.lists(st.lists(st.sampled_from(sorted(ACTIONS)), max_size=4), min_size=2, max_size=2),
)
@example(order=ALL, cuts=[4, 8], done=[["window", "summarise", "compare"]] * 2)
@example(order=ALL[::-1], cuts=[4, 8], done=[["window", "summarise", "compare", "window"]] * 2)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_given_the_pins_any_arrival_ends_in_the_rows_of_one_pass(
    order: list[tuple[int, str, int]], cuts: list[int], done: list[list[str]]
) -> None:
    bounds = [0, *sorted(cuts), len(order)]
    with TemporaryDirectory() as folder:
        lake, pinned = Lake(folder), dict[str, str]()
        for number, (first, last) in enumerate(pairwise(bounds)):
            some = [m for d, v, part in order[first:last] for m in drive(d, v)[part::2]]
            arrive(lake, some)
            for action in done[number] if number < len(done) else ():
                ACTIONS[action](lake)
                now = baseline_pins(lake)
                assert pinned.items() <= now.items()  # a pin is for good
                pinned = now
        settle(lake)
        found = lake.open("feature_windows").read().sort("vehicle_id", "window_end")
        assert pinned.items() <= baseline_pins(lake).items()
        assert_frame_equal(found, scored_in_one_pass(lake), check_exact=True)
        assert set(baseline_pins(lake)) == {
            hour_of(day) for day in (1, 2) if DAYS[day] in versions(lake)
        }
        kept = lake.open("feature_days").read()
        for day in DAYS[:2]:
            summarise_day(lake, day, NOTHING_SAID, force=True)
        assert_frame_equal(lake.open("feature_days").read(), kept, check_row_order=False)
        assert set(kept["event_day"]) == set(DAYS[:2])


def test_cold_start_has_no_baselines_no_pins_and_no_scores(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 1)
    assert scores(lake, 0).to_list() == [None] * 32
    assert versions(lake) == baseline_pins(lake) == {}
    assert lake.find("feature_days") is None  # the day is not over yet


def test_a_day_is_scored_by_the_days_before_it(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 3)
    assert versions(lake) == {DAYS[1]: 1, DAYS[2]: 1}
    assert baseline_pins(lake) == {hour_of(1): f"{DAYS[1]}/1", hour_of(2): f"{DAYS[2]}/1"}
    assert scores(lake, 0).null_count() == 32
    assert scores(lake, 2).null_count() < 32
    first = baselines_of(lake, DAYS[1], 1)
    assert first["days"].unique().to_list() == [1]
    assert dict(first.select("vehicle_id", "vehicle_type").unique().iter_rows()) == {
        "v1": "van", "v2": None,
    }  # fmt: skip
    assert baselines_of(lake, DAYS[2], 1)["days"].unique().to_list() == [2]


def test_hours_that_came_before_their_baselines_are_scored_once_there_are_some(
    tmp_path: Path,
) -> None:
    lake = Lake(str(tmp_path))
    arrive(lake, [*drive(0), *drive(1)])
    window(lake)
    assert scores(lake, 1).null_count() == 16
    assert summarise(lake) == [DAYS[0]]
    assert hours_to_window(lake) == []
    assert compare(lake) == [DAYS[1]]
    assert hours_to_window(lake) == [hour_of(1)]
    assert hours_without_windows(lake) == set()  # windows are there, only scores are not
    assert window(lake) == [hour_of(1)]
    assert scores(lake, 1).null_count() < 16
    assert summarise(lake) == compare(lake) == []  # scores change no summaries


def test_late_data_is_scored_by_the_pin_and_moves_it_not(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 2)
    usual = baselines_of(lake, DAYS[1], 1)
    arrive(lake, [m for n, m in enumerate(drive(0, rpm=3000, seconds=320)) if n > 16])
    settle(lake)
    assert versions(lake) == {DAYS[1]: 1}
    assert_frame_equal(baselines_of(lake, DAYS[1], 1), usual)
    arrive(lake, drive(1, rpm=1510, seconds=320)[16:])
    settle(lake)
    assert baseline_pins(lake) == {hour_of(1): f"{DAYS[1]}/1"}
    found = lake.open("feature_windows").read().sort("vehicle_id", "window_end")
    assert_frame_equal(found, scored_in_one_pass(lake), check_exact=True)


def test_repinning_makes_a_version_beside_and_moves_only_who_asks(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 3)
    before, usual = scores(lake, 1), baselines_of(lake, DAYS[1], 1)
    arrive(lake, drive(0, rpm=4000, seconds=1000)[17:])
    settle(lake)
    assert make_baselines(lake, DAYS[1], FLEET).version == 1
    made = make_baselines(lake, DAYS[1], FLEET, repin=True)
    assert (made.version, made.rows) == (2, usual.height)
    assert_frame_equal(baselines_of(lake, DAYS[1], 1), usual)
    assert not baselines_of(lake, DAYS[1], 2).equals(usual)
    assert hours_to_window(lake) == []
    refresh_feature_windows(lake, hour_of(1), force=True)
    assert scores(lake, 1).equals(before)
    refresh_feature_windows(lake, hour_of(1), repin=True)
    assert not scores(lake, 1).equals(before)
    assert baseline_pins(lake)[hour_of(1)] == f"{DAYS[1]}/2"
    settle(lake)
    found = lake.open("feature_windows").read().sort("vehicle_id", "window_end")
    assert_frame_equal(found, scored_in_one_pass(lake), check_exact=True)


@pytest.mark.parametrize("repin", [False, True])
def test_without_a_day_before_there_is_nothing_to_make(tmp_path: Path, repin: bool) -> None:
    lake = lake_of(tmp_path, 2)
    assert make_baselines(lake, DAYS[0], FLEET, repin=repin).version == 0
    assert DAYS[0] not in versions(lake)


def test_baselines_wait_for_windows_of_the_days_before(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    arrive(lake, [*drive(0), *drive(1), *drive(2)])
    window(lake)
    summarise(lake)
    assert days_to_compare(lake, {DAYS[1]}) == [DAYS[1]]
    assert days_to_compare(lake, {DAYS[0]}) == []
    assert days_to_compare(lake, {DAYS[2]}) == [DAYS[1], DAYS[2]]


def test_days_without_data_between_do_not_matter(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    arrive(lake, [*drive(0), *drive(3)])
    settle(lake)
    assert versions(lake) == {DAYS[3]: 1}
    assert scores(lake, 3).null_count() < 16


def test_the_windows_of_an_older_lake_count_as_well(tmp_path: Path) -> None:
    """Their commits carry no number, no pin and no catalogue."""
    lake = lake_of(tmp_path, 1)
    table = lake.open("feature_windows")
    plain = {"hour/2026-01-20T08": table.committed("hour/2026-01-20T08") or 0}
    other = Lake(str(tmp_path / "old"))
    other.open("feature_windows").commit_files(
        {hour_of(0): [table.read()]}, table.files.clear(), plain
    )
    assert summarise_day(other, DAYS[0], NOTHING_SAID).rows > 0
