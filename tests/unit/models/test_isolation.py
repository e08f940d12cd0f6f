"""Isolation Forests by vehicle type."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fleet_assets.models.frame import FEATURES
from fleet_assets.models.isolation import FLEET, fit_isolation, fit_isolations, isolation_scores
from tests.model_data import healthy_days


@pytest.fixture(scope="module")
def fleet() -> pl.DataFrame:
    few = ("engine_rpm", "speed", "throttle_position")
    return pl.concat([healthy_days("v1", 2), healthy_days("v2", 2, seed=8, signals=few)])


def test_what_is_far_off_is_more_unusual(fleet: pl.DataFrame) -> None:
    made = fit_isolation(fleet, 1)
    odd = fleet.with_columns(
        pl.lit(6000.0).alias(name) for name in ("rpm_mean_10s", "rpm_mean_60s", "rpm_max_60s")
    )
    assert np.mean(made.scores(odd) > made.scores(fleet)) > 0.95
    assert ((made.scores(odd) > 0) & (made.scores(odd) < 1)).all()


def test_a_sensor_that_is_not_fitted_is_nothing_unusual(fleet: pl.DataFrame) -> None:
    made = fit_isolation(fleet, 1)
    mine = fleet.filter(pl.col("vehicle_id") == "v1")
    lacking = mine.with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in FEATURES if "coolant" in name
    )
    assert np.mean(made.scores(lacking)) <= np.mean(made.scores(mine))


def test_each_type_has_its_own_forest_and_the_rest_that_of_the_fleet(fleet: pl.DataFrame) -> None:
    types = {"v1": "sedan", "v2": "van"}
    made = fit_isolations(fleet, types, 1)
    assert set(made) == {"sedan", "van", FLEET}
    assert "coolant_mean_60s" not in made["van"].columns
    shuffled = fleet.sample(fraction=1, shuffle=True, seed=1)
    found = isolation_scores(made, shuffled, types)
    vans = (shuffled["vehicle_id"] == "v2").to_numpy()
    assert np.array_equal(found[vans], made["van"].scores(shuffled.filter(pl.Series(vans))))
    stranger = isolation_scores(made, fleet, {})
    assert np.array_equal(stranger, made[FLEET].scores(fleet))


def test_the_same_seed_gives_the_same_scores(fleet: pl.DataFrame) -> None:
    one, same, other = (fit_isolation(fleet, seed).scores(fleet) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
