"""Habits: what a vehicle never did surprises, what it does does not, and surprises add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fleet_assets.models.detector import with_habits
from fleet_assets.models.habits import (
    AGAINST,
    HABITS,
    LEAST_WINDOWS,
    MOST_SURPRISE,
    NEED,
    added_up,
    fit_habits,
    said,
)

GEARS = {15.0: 4.5, 30.0: 4.0, 60.0: 3.5}
"""ln(rpm/mph) at the speeds (mph) of a car with three gears."""
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def frame(**columns: object) -> pl.DataFrame:
    """Windows of even driving at 30 mph in second gear, but for some columns."""
    usual: dict[str, object] = {
        "speed_mean": 30.0, "speed_spread": 1.0, "engine_rpm_mean": 30 * np.exp(4.0),
        "engine_rpm_spread": 40.0, "gear": 4.0, "gear_spread": 0.02, "gps_speed": 30.0,
        "engine_rpm_same_s": 0.0, "speed_same_s": 2.0, "throttle_position_same_s": 3.0,
        "coolant_temp_mean": 85.0,
    }  # fmt: skip
    given = usual | columns
    length = max(len(value) for value in given.values() if isinstance(value, (list, np.ndarray)))
    told = {
        name: value if isinstance(value, (list, np.ndarray)) else [value] * length
        for name, value in given.items()
    }
    ends = [BEGIN + timedelta(seconds=10 * (n + 1)) for n in range(length)]
    return pl.DataFrame(told).with_columns(
        vehicle_id=pl.lit("v1"), window_end=pl.Series(ends).dt.cast_time_unit("us")
    )


def driven(windows: int, seed: int = 1) -> pl.DataFrame:
    """Windows in all three gears, and some at an idle of 700 rpm."""
    random = np.random.default_rng(seed)
    mph = random.choice([0.0, *GEARS], windows)
    gear = np.array([GEARS.get(speed, np.nan) for speed in mph]) + random.normal(0, 0.005, windows)
    gear = np.where(mph == 0, np.nan, gear)
    rpm = np.where(mph == 0, random.normal(700, 5, windows), mph * np.exp(gear))
    return frame(
        speed_mean=mph, speed_spread=np.where(mph == 0, 0.0, 1.0), engine_rpm_mean=rpm, gear=gear,
        engine_rpm_spread=np.full(windows, 20.0), gps_speed=mph * random.normal(1, 0.01, windows),
        throttle_position_same_s=random.choice([1.0, 4.0, 12.0], windows),
        gear_spread=np.where(mph == 0, np.nan, 0.02),
    ).with_columns(pl.col("gear", "gear_spread").fill_nan(None))  # fmt: skip


def alone(name: str, **columns: object) -> list[float]:
    """What each window alone says against the car."""
    told = said(fit_habits(driven(1000)), frame(**columns))
    return [round(value, 2) for value in told[f"{name}_against"].tolist()]


def test_a_gear_is_a_habit_at_its_speed_alone() -> None:
    usual, between, at_another_speed, unknown = alone(
        "gear", gear=[4.0, 3.8, 4.0, 4.0], speed_mean=[30.0, 30.0, 60.0, 30.0],
        gear_spread=[0.02, 0.02, 0.02, 0.5],
    )  # fmt: skip
    assert usual < -1
    assert between == MOST_SURPRISE
    assert at_another_speed > 0
    assert np.isnan(unknown)


@pytest.mark.parametrize("factor", [0.8, 1.2, 1.45])
def test_engine_and_wheel_speed_off_by_a_share_surprise(factor: float) -> None:
    speeds = np.array([*GEARS])
    ratios = np.array([*GEARS.values()])
    (wheels,) = {tuple(alone("gear", gear=ratios - np.log(factor), speed_mean=speeds * factor))}
    (engine,) = {tuple(alone("gear", gear=ratios + np.log(factor), speed_mean=speeds))}
    assert min(wheels) > 1
    assert min(engine) > 1
    assert min(alone("wheels", speed_mean=speeds * factor, gps_speed=speeds)) > 1
    assert max(alone("wheels", speed_mean=speeds, gps_speed=speeds)) < -0.5


def test_another_warm_idle_surprises() -> None:
    standing = {"speed_mean": 0.0, "speed_spread": 0.0, "gear": None, "gear_spread": None}
    usual, high = alone("gear", engine_rpm_mean=[700.0, 900.0], **standing)
    assert usual < -1
    assert high == MOST_SURPRISE
    assert np.isnan(alone("gear", engine_rpm_mean=[1200.0], coolant_temp_mean=30.0, **standing))


def test_an_open_clutch_is_no_gear() -> None:
    rolling = {"engine_rpm_mean": [750.0], "throttle_position_same_s": 90.0}
    assert np.isnan(alone("gear", gear=np.log(750 / 30), **rolling))
    assert np.isnan(alone("throttle_still", **rolling))


def test_to_stand_still_for_longer_than_ever_is_the_rarer_the_longer() -> None:
    seconds = [3.0, 15.0, 35.0, 65.0, 120.0]
    told = alone("throttle_still", throttle_position_same_s=seconds)
    third = -np.log10(1 / 3)  # of the windows have stood still for 10 s, none for 20 s
    assert told == pytest.approx([0, third, 3 * third, 6 * third, 12 * third], rel=0.1, abs=0.01)


def test_who_never_moves_it_may_let_it_stand_still() -> None:
    still = driven(1000).with_columns(throttle_position_same_s=pl.lit(120.0))
    told = said(fit_habits(still), still.head(20))["throttle_still_against"]
    assert set(told[~np.isnan(told)]) == {0}


def test_few_windows_make_no_habit_and_lacking_signals_say_nothing() -> None:
    assert fit_habits(driven(LEAST_WINDOWS // 2)) == {}
    without = driven(500).with_columns(gps_speed=pl.lit(None, pl.Float64))
    habits = fit_habits(without)
    assert set(habits) == set(HABITS) - {"wheels"}
    told = said(habits, driven(20))
    assert list(told) == list(AGAINST)
    assert np.isnan(told["wheels_against"]).all()


def told(values: list[float | None]) -> pl.DataFrame:
    """What windows say alone about the gear; of the others nothing is known."""
    rows = frame(gear=[0.0] * len(values)).select("vehicle_id", "window_end")
    nothing = {name: pl.lit(None, pl.Float32) for name in AGAINST}
    return rows.with_columns(**nothing).with_columns(
        gear_against=pl.Series(values, dtype=pl.Float32)
    )


def test_windows_add_up_whatever_was_usual_before() -> None:
    found = added_up(told([-1.5] * 500 + [2.0, None, 2.0, -0.5, -1.5, -1.5, -1.5]))
    assert found.columns == [*frame(gear=[0.0]).columns[-2:], *AGAINST]
    assert found["gear_against"][-8:].to_list() == [0.0, 2.0, 2.0, 4.0, 3.5, 2.0, 0.5, 0.0]
    assert found["wheels_against"].null_count() == found.height


def test_what_was_said_is_forgotten_after_three_minutes() -> None:
    found = added_up(told([2.0] + [None] * 20))["gear_against"]
    assert found.to_list() == [2.0] * 18 + [None] * 3


def test_where_a_history_is_cut_changes_nothing() -> None:
    values = said(fit_habits(driven(1000)), driven(400, seed=2))["gear_against"]
    whole = told([None if np.isnan(value) else float(value) for value in values])
    part = added_up(whole[200:])[18:]
    assert added_up(whole)[218:].equals(part)


def test_an_alarm_needs_what_the_budget_allows_by_chance() -> None:
    per_window = 0.7 / (8 * 360)
    assert 10**-NEED * len(HABITS) == pytest.approx(per_window / 2, rel=0.1)
    evidence = told([NEED, NEED - 1, None])
    odds, names = with_habits(np.zeros((3, 1)), ["any"], evidence, 1.5)
    assert names == ["any", *AGAINST]
    assert odds[:, 1].tolist() == pytest.approx([1.5, 0.5, 1.5 - NEED], abs=1e-6)
