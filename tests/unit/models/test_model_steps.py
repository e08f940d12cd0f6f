"""Steps: what each sensor did within ten seconds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from fleet_assets.errors import FleetError
from fleet_assets.features.kernel import feature_windows
from fleet_assets.models.frame import FEATURES, model_frame
from fleet_assets.models.steps import COLUMNS, MOST_SAME_S, steps_of
from tests.feature_rows import CONFLICT, NULL, START, rows
from tests.model_data import telemetry_days


def told(frame: pl.DataFrame, column: str, end_s: int = 10) -> Any:
    found = steps_of(frame).filter(pl.col("window_end") == START + timedelta(seconds=end_s))
    assert found.height == 1
    return found[column][0]


def test_a_step_tells_mean_range_and_greatest_change() -> None:
    frame = rows(range(10), engine_rpm=[1000, 1000, 1000, 1600, 1600, 1500, 1500, 1500, 1500, 1500])
    assert told(frame, "engine_rpm_mean") == pytest.approx(1370)
    assert told(frame, "engine_rpm_spread") == 600
    assert told(frame, "engine_rpm_jump") == 600


def test_what_changes_between_steps_belongs_to_the_later_one() -> None:
    frame = rows(range(20), speed=[10.0] * 10 + [30.0] * 10)
    assert told(frame, "speed_jump", 10) == 0
    assert told(frame, "speed_jump", 20) == 20
    assert told(frame, "speed_spread", 20) == 0


def test_how_long_a_value_has_stood() -> None:
    frame = rows(range(60), speed=[10.0] * 5 + [12.0] * 55)
    assert told(frame, "speed_same_s", 10) == 4
    assert told(frame, "speed_same_s", 60) == 54
    long = rows(range(400), speed=12.0)
    assert told(long, "speed_same_s", 400) == MOST_SAME_S


def test_a_silence_begins_anew() -> None:
    frame = rows([0, 1, 2, 100, 101], speed=12.0)
    assert told(frame, "speed_same_s", 110) == 1
    assert told(frame, "speed_jump", 110) == 0


def test_nulls_are_told_and_conflicts_say_nothing() -> None:
    frame = rows(range(4), coolant_temp=[80.0, NULL, CONFLICT, 82.0])
    assert told(frame, "coolant_temp_null_share") == 0.25
    assert told(frame, "coolant_temp_mean") == 81
    assert told(frame, "engine_rpm_null_share") == 0


def test_positions_beyond_what_the_wheels_tell() -> None:
    lat = [41.0 + 0.0001 * second for second in range(10)]
    lat[5:] = [value + 0.01 for value in lat[5:]]
    frame = rows(range(10), gps_lat=lat, gps_lon=10.0, speed=25.0)
    assert told(frame, "gps_excess_m") == pytest.approx(1112, abs=5)
    still = rows(range(10), gps_lat=[0.0] * 10, gps_lon=[0.0] * 10, speed=25.0)
    assert told(still, "gps_speed") is None


@pytest.mark.parametrize("cut_s", [130, 600, 1337])
def test_context_makes_cuts_not_matter(cut_s: int) -> None:
    frame = telemetry_days("v1", 1, missing=0.05).sort("event_time").head(2000)
    begin = frame["event_time"].min() + timedelta(seconds=cut_s)  # type: ignore[operator]
    whole = steps_of(frame).filter(pl.col("window_end") > begin + timedelta(seconds=10))
    context = frame.filter(pl.col("event_time") >= begin - timedelta(seconds=MOST_SAME_S + 1))
    part = steps_of(context).filter(pl.col("window_end") > begin + timedelta(seconds=10))
    assert whole.height > 50
    assert part.equals(whole)


def test_order_and_company_do_not_matter() -> None:
    one, other = telemetry_days("v1", 1).head(600), telemetry_days("v2", 1, seed=7).head(600)
    both = pl.concat([one, other]).sample(fraction=1, shuffle=True, seed=3)
    assert steps_of(both).equals(pl.concat([steps_of(one), steps_of(other)]))


def test_a_window_without_a_step_is_refused() -> None:
    frame = telemetry_days("v1", 1).head(600)
    windows = feature_windows(frame)
    joined = model_frame(windows, steps_of(frame))
    assert joined.columns == ["vehicle_id", "window_end", "regime", *FEATURES, *COLUMNS]
    with pytest.raises(FleetError, match="have no step"):
        model_frame(windows, steps_of(frame.head(100)))
