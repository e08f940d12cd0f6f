"""Virtual vehicles: drives as another car would tell them, with signals that still agree."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from fleet_assets.contracts.columns import VEHICLE_ID
from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.injection.stretches import M_PER_DEGREE
from fleet_assets.models.made_up import followed
from fleet_assets.models.steps import SIGNALS
from fleet_assets.models.virtual import (
    ENOUGH,
    LEAST_ROWS,
    MARK,
    MOST_EACH,
    how_many,
    is_real,
    real_of,
    virtual_vehicles,
)
from tests.model_data import telemetry_days

SENT = ("engine_rpm", "speed", "throttle_position")


@pytest.fixture(scope="module")
def telemetry() -> pl.DataFrame:
    return telemetry_days("v1", 2, signals=SENT, seed=5)


@pytest.fixture(scope="module")
def told(telemetry: pl.DataFrame) -> pl.DataFrame:
    return virtual_vehicles(telemetry, {"v1": 12}, 1)


def test_each_is_named_after_its_real_vehicle(told: pl.DataFrame) -> None:
    assert told["vehicle_id"].unique().sort().to_list() == sorted(f"v1{MARK}{n}" for n in range(12))
    assert real_of(told["vehicle_id"]).unique().to_list() == ["v1"]
    assert real_of(pl.Series(["v1", "v2"])).to_list() == ["v1", "v2"]


def test_no_vehicle_that_the_register_allows_is_taken_for_a_virtual_one() -> None:
    pattern = str(VEHICLE_ID.pattern)
    assert not re.match(pattern, f"v1{MARK}0")
    ids = ["van~3", "a|b", "v1~0", "Ü-1", "x y"]
    assert all(re.match(pattern, name) for name in ids)
    assert is_real(pl.DataFrame({"vehicle_id": ids})).all()


def test_the_same_seed_gives_the_same_ones_whoever_else_is_there(
    telemetry: pl.DataFrame, told: pl.DataFrame
) -> None:
    other = telemetry_days("v0", 1, signals=SENT, seed=9)
    both = virtual_vehicles(pl.concat([telemetry, other]).reverse(), {"v0": 12, "v1": 12}, 1)
    assert both.filter(pl.col("vehicle_id").str.starts_with("v1")).equals(told)
    assert not virtual_vehicles(telemetry, {"v1": 12}, 2).equals(told)


def test_values_keep_to_the_contract(told: pl.DataFrame) -> None:
    for name in SIGNALS:
        contract = SIGNAL_BY_NAME[name]
        known = told[name].drop_nulls()
        assert known.len() > 0, f"no virtual vehicle has {name}"
        assert known.is_between(contract.minimum, contract.maximum).all()
        assert np.allclose(known, known.round(contract.scale), atol=1e-9)


def test_wheels_and_made_up_positions_agree(told: pl.DataFrame) -> None:
    fixes = told.filter(pl.col("gps_lat").is_not_null(), pl.col("speed").is_not_null())
    passed = pl.col("event_time").diff().dt.total_microseconds() / 1e6
    north = pl.col("gps_lat").diff() * M_PER_DEGREE
    east = pl.col("gps_lon").diff() * M_PER_DEGREE * pl.col("gps_lat").radians().cos()
    same = (pl.col("vehicle_id") == pl.col("vehicle_id").shift(1)) & (passed <= 10)
    ways = fixes.with_columns(metres=(north**2 + east**2).sqrt(), passed=passed).filter(same)
    by_fix = ways.group_by("vehicle_id").agg(
        ratio=pl.col("metres").sum() / (pl.col("speed") * 0.44704 * pl.col("passed")).sum()
    )
    assert by_fix.height >= 4
    assert by_fix["ratio"].is_between(0.85, 1.25).all()


def test_engine_speed_goes_with_wheel_speed_by_another_factor(
    telemetry: pl.DataFrame, told: pl.DataFrame
) -> None:
    driving = pl.col("speed").cast(pl.Float64) > 15
    ratio = pl.col("engine_rpm").cast(pl.Float64) / pl.col("speed").cast(pl.Float64)
    own = telemetry.filter(driving).select(ratio.median()).item()
    others = told.filter(driving).group_by("vehicle_id").agg(ratio=ratio.median())["ratio"] / own
    assert others.max() / others.min() > 1.2  # type: ignore[operator]
    assert others.is_between(0.6, 1.6).all()


def test_what_is_unknown_stays_unknown(telemetry: pl.DataFrame) -> None:
    lost = telemetry.with_columns(
        pl.when(pl.int_range(pl.len()) % 50 != 0).then("engine_rpm").alias("engine_rpm")
    )
    told = virtual_vehicles(lost, {"v1": 6}, 1)
    gone = lost.filter(pl.col("engine_rpm").is_null())["event_time"]
    there = told.filter(pl.col("event_time").is_in(gone.implode()))
    assert there.height > 0
    assert there["engine_rpm"].null_count() >= 0.7 * there.height  # some repeat older readings


def test_hours_are_bounded_and_short_histories_have_none(telemetry: pl.DataFrame) -> None:
    long = telemetry_days("v1", 6, signals=SENT)
    bounded, whole = (virtual_vehicles(long, {"v1": 8}, 1, most_hours=most) for most in (2, 100))
    hours = [frame["event_time"].dt.truncate("1h").n_unique() for frame in (bounded, whole)]
    each = bounded.group_by("vehicle_id").agg(pl.col("event_time").dt.date().n_unique())
    assert each["event_time"].mean() < 4  # type: ignore[operator]
    assert hours[1] == 6
    assert virtual_vehicles(telemetry.head(LEAST_ROWS - 1), {"v1": 3}, 1).is_empty()
    assert virtual_vehicles(telemetry.head(0), {"v1": 3}, 1).is_empty()


def test_what_follows_comes_near_in_its_time_constant() -> None:
    seconds = np.arange(0, 100.0)
    target = np.where(seconds < 50, 0.0, 1.0)
    found = followed(target, seconds, 10)
    assert found[50] < 0.2
    assert found[60] == pytest.approx(1 - np.exp(-1), abs=0.1)
    assert np.isnan(followed(np.where(seconds == 7, np.nan, target), seconds, 10)[7])


@pytest.mark.parametrize("vehicles", [1, 3, 6, 7, 12, 18, 19, 100])
def test_types_with_many_real_vehicles_get_few_virtual_ones(vehicles: int) -> None:
    types = {f"v{n}": "truck" for n in range(vehicles)} | {"w": "van"}
    numbers = how_many(types)
    assert numbers["w"] == MOST_EACH
    trucks = [numbers.get(f"v{n}", 0) for n in range(vehicles)]
    assert len(set(trucks)) == 1
    assert trucks[0] <= MOST_EACH
    assert sum(trucks) <= max(ENOUGH - vehicles, 0)
    assert (trucks[0] == 0) == (2 * vehicles > ENOUGH)


def test_who_gets_none_has_none(telemetry: pl.DataFrame) -> None:
    assert virtual_vehicles(telemetry, {"another": 3}, 1).is_empty()
    assert how_many({"v1": "van"}, 0) == {}
