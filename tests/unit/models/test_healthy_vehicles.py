"""Forests that say what a healthy vehicle would show, and evidence against it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from fleet_assets.models.evidence import EVIDENCE, GROUP, evidence
from fleet_assets.models.forests import predict
from fleet_assets.models.frame import matrix
from fleet_assets.models.habits import AGAINST
from fleet_assets.models.healthy import MOST_WINDOWS, chosen_windows, expectations
from fleet_assets.models.vehicle import Vehicle, fit_group, fit_vehicle
from tests.model_data import frame_of, healthy_days, telemetry_days

RPM_AND_SPEED = ("engine_rpm", "speed", "throttle_position")


@pytest.fixture(scope="module")
def known() -> pl.DataFrame:
    return healthy_days("v1", 4)


@pytest.fixture(scope="module")
def vehicle(known: pl.DataFrame) -> Vehicle:
    return fit_vehicle(known, 1)


def test_what_is_out_of_bag_lies_where_the_quantiles_say(
    vehicle: Vehicle, known: pl.DataFrame
) -> None:
    later = frame_of(telemetry_days("v1", 2, seed=50))
    for name, one in vehicle.expectations.items():
        off = one.residuals(later)
        beyond = np.nanmean(np.abs(off) > 1)
        assert beyond < 0.25, f"{name}: {beyond:.0%} of healthy windows beyond 5th and 95th"
        assert abs(np.nanmedian(off)) < 0.4, name


def test_a_sensor_that_lies_leaves_its_residuals(vehicle: Vehicle) -> None:
    telemetry = telemetry_days("v1", 1, seed=60)
    biased = telemetry.with_columns(
        engine_rpm=(pl.col("engine_rpm") * 1.3).cast(telemetry.schema["engine_rpm"])
    )
    before, after = (
        np.nanmedian(vehicle.expectations["rpm"].residuals(frame_of(rows)))
        for rows in (telemetry, biased)
    )
    assert abs(before) < 0.5
    assert after > 2


def test_only_what_the_vehicle_has_is_told() -> None:
    frame = healthy_days("v1", 1, signals=RPM_AND_SPEED)
    made = expectations(frame, 1)
    assert set(made) == {"rpm", "speed", "speed_change", "throttle"}
    assert all("coolant" not in name for one in made.values() for name in one.columns)


def test_the_same_seed_makes_the_same_vehicle(vehicle: Vehicle, known: pl.DataFrame) -> None:
    again = fit_vehicle(known, 1)
    other = fit_vehicle(known, 2)
    one = evidence(known, {"v1": vehicle, GROUP: vehicle})
    assert one.equals(evidence(known, {"v1": again, GROUP: again}))
    assert not one.equals(evidence(known, {"v1": other, GROUP: other}))


def test_chosen_windows_come_from_each_day_and_regime() -> None:
    frame = healthy_days("v1", 8)
    chosen = chosen_windows(frame, 1, most=400)
    assert chosen.height == 400
    per_day = chosen.group_by(pl.col("window_end").dt.date()).len()
    assert per_day.height == 8
    least = frame.group_by("regime", pl.col("window_end").dt.date()).len()["len"].min()
    assert isinstance(least, int)
    assert per_day["len"].min() >= min(least, 20)  # type: ignore[operator]
    assert chosen_windows(frame, 1).height <= MOST_WINDOWS


def test_a_group_is_less_sure_of_strangers_than_a_vehicle_of_itself() -> None:
    fast = telemetry_days("v2", 2, seed=9)
    fast = fast.with_columns(
        engine_rpm=(pl.col("engine_rpm") * 1.5).cast(fast.schema["engine_rpm"])
    )
    mine = healthy_days("v1", 2)
    group = fit_group(pl.concat([mine, frame_of(fast)]), 1)
    own = fit_vehicle(mine, 1)
    width = {
        name: one.expectations["rpm"].off["all"][3] - one.expectations["rpm"].off["all"][1]
        for name, one in (("group", group), ("own", own))
    }
    assert width["group"] > 3 * width["own"]
    assert len(group.gears) == 0


def test_evidence_keeps_rows_and_uses_the_group_for_strangers(vehicle: Vehicle) -> None:
    stranger = healthy_days("v9", 1).head(40)
    mine = healthy_days("v1", 1).head(40)
    group = fit_group(healthy_days("v3", 2, seed=4), 1)
    both = pl.concat([mine, stranger])
    found = evidence(both, {"v1": vehicle, GROUP: group})
    assert found.select("vehicle_id", "window_end").equals(both.select("vehicle_id", "window_end"))
    assert found.columns == ["vehicle_id", "window_end", *EVIDENCE, *AGAINST]
    alone = evidence(stranger, {GROUP: group})
    assert found.filter(pl.col("vehicle_id") == "v9").equals(alone)


def test_trailing_evidence_knows_no_future(vehicle: Vehicle) -> None:
    frame = healthy_days("v1", 1, seed=70)
    cut = frame["window_end"][100]
    told = evidence(frame, {GROUP: vehicle}).filter(pl.col("window_end") <= cut)
    past = evidence(frame.filter(pl.col("window_end") <= cut), {GROUP: vehicle})
    assert told.equals(past)
    assert told["rpm_residual_60s"].count() > 90
    assert cut - told["window_end"][0] > timedelta(minutes=10)


def test_asking_tree_by_tree_is_what_the_forest_says(vehicle: Vehicle, known: pl.DataFrame) -> None:
    one = vehicle.expectations["rpm"]
    rows = matrix(known, one.columns)
    assert np.allclose(predict(one.forest, rows)[:, 0], one.forest.predict(rows))
