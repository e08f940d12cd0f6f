"""Feature windows of a lake: over the turn of the hour, after late messages, once it is judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from judging import bring_up
from polars.testing import assert_frame_equal
from telemetry_data import land_values, message

from fleet_assets.features.kernel import feature_windows
from fleet_assets.features.tables import by_hour
from fleet_assets.lake.feature_windows import hours_to_window, refresh_feature_windows
from fleet_assets.lake.store import Lake

START = datetime(2026, 2, 1, 4, 50, tzinfo=UTC)
"""Ten minutes before the turn of the hour."""


def drive(first_minute: float, last_minute: float, vehicle_id: str = "v1") -> list[bytes]:
    """A message every 2 s, faster and slower by turns."""
    return [
        message(
            vehicle_id,
            (START + timedelta(seconds=second)).isoformat(),
            speed=20 + second % 60,
            engine_rpm=1500 + 10 * (second % 60),
        )
        for second in range(round(60 * first_minute), round(60 * last_minute), 2)
    ]


def windows(lake: Lake) -> pl.DataFrame:
    for hour in hours_to_window(lake):
        refresh_feature_windows(lake, hour)
    assert hours_to_window(lake) == []
    return lake.open("feature_windows").read().sort("vehicle_id", "window_end")


def in_one_pass(lake: Lake) -> pl.DataFrame:
    """No interval is known on the first day."""
    return by_hour(feature_windows(lake.open("telemetry").read()))


@pytest.mark.parametrize("batches", [1, 3])
def test_any_arrival_ends_in_the_windows_of_one_pass(tmp_path: Path, batches: int) -> None:
    lake, landed = Lake(str(tmp_path)), 0
    messages = [*drive(0, 25), *drive(5, 25, "v2")]
    Random(batches).shuffle(messages)
    for number in range(batches):
        some = messages[number::batches]
        land_values(lake, some, start=landed)
        landed += len(some)
        bring_up(lake)
        windows(lake)
    found = windows(lake)
    assert found["event_hour"].unique().sort().to_list() == ["2026-02-01T04", "2026-02-01T05"]
    whole = in_one_pass(lake).sort("vehicle_id", "window_end")
    assert_frame_equal(found, whole, check_exact=True)
    first = found.filter((pl.col("vehicle_id") == "v1") & (pl.col("event_hour") > "2026-02-01T04"))
    assert first["speed_mean_60s"][0] is not None  # it looks back beyond the turn of the hour


def test_hours_wait_for_the_rules_and_follow_a_new_interval(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, drive(0, 5))
    assert hours_to_window(lake) == []
    bring_up(lake)
    (hour,) = hours_to_window(lake)
    assert refresh_feature_windows(lake, hour).verdict is not None
    assert refresh_feature_windows(lake, hour).verdict is None
    assert hours_to_window(lake) == []


def test_what_late_messages_of_the_hour_before_change(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    early = drive(0, 8)
    later = drive(11, 20)
    land_values(lake, [*early, *later])
    bring_up(lake)
    before = windows(lake)
    land_values(lake, drive(8, 10), start=len(early) + len(later))
    bring_up(lake)
    assert hours_to_window(lake) == ["2026-02-01T04", "2026-02-01T05"]
    after = windows(lake)
    five = pl.col("event_hour") == "2026-02-01T05"
    assert not after.filter(five).equals(before.filter(five))
    assert_frame_equal(after, in_one_pass(lake).sort("vehicle_id", "window_end"))
