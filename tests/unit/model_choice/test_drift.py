"""Drift: a shifted sensor and a new vehicle model alarm; chance, seasons, few vehicles do not."""

from __future__ import annotations

import polars as pl
import pytest
from drift_data import FEATURES, NOW, TRAINED, TYPES, MadeFleet, shifted
from polars.testing import assert_frame_equal

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.drift import DRIFT_SCHEMA, DriftReport, drift
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_choice.vehicle_means import YEAR

NUMBERS = policy().drift
ANY_EFFECT = NUMBERS.model_copy(update={"least_effect": 0.0})
BINOMIAL_99 = 11
"""Of 100 draws at 5 %, at most so many in 99 of 100 cases."""


def alarming(report: DriftReport) -> set[tuple[str, str, str]]:
    return set(report.alarms.select("feature", "vehicle_type", "vehicles").rows())


def test_nothing_changed_alarms_at_most_at_the_stated_rate() -> None:
    """100 draws, new vehicles of the same kind among them, with and without the least effect."""
    alarms = {"stated": 0, "any effect": 0}
    for seed in range(100):
        fleet = MadeFleet(seed)
        trained = fleet.days(TRAINED, 30)
        for kind in TYPES:
            fleet.add(kind, 10)
        now = fleet.days(NOW, 7)
        for name, numbers in (("stated", NUMBERS), ("any effect", ANY_EFFECT)):
            report = drift(trained, now, FEATURES, numbers=numbers)
            assert report.rows["p"].null_count() == 0
            alarms[name] += report.alarms.height > 0
    assert alarms["stated"] <= 100 * NUMBERS.false_discovery_rate
    assert alarms["any effect"] <= BINOMIAL_99


def test_a_sensor_that_reads_more_in_one_type_alarms_there_and_only_there() -> None:
    for seed in range(20):
        fleet = MadeFleet(seed)
        trained, now = fleet.days(TRAINED, 30), fleet.days(NOW, 7)
        report = drift(trained, shifted(now, 5, pl.col("vehicle_type") == "suv"), FEATURES)
        assert alarming(report) == {("coolant", "suv", "known")}
        assert report.types_to_train == ["suv"]
        row = report.alarms.row(0, named=True)
        assert "vehicles that the champion knows have changed: 8" in row["why"]
        assert row["effect"] > 0.4


def test_less_than_the_least_effect_does_not_alarm_however_sure_it_is() -> None:
    fleet = MadeFleet(3)
    trained, now = fleet.days(TRAINED, 60), fleet.days(NOW, 60)
    report = drift(trained, shifted(now, 0.9, pl.col("vehicle_type") == "van"), FEATURES)
    row = report.rows.filter(feature="coolant", vehicle_type="van", vehicles="known")
    assert row["q"].item() < 0.001
    assert 0 < row["effect"].item() < 0.2
    assert not row["alarm"].item()


def test_a_new_vehicle_model_alarms_when_it_is_much_of_the_type() -> None:
    for many, level, expected in ((20, 1.8, True), (20, 0.0, False), (3, 1.8, False)):
        fleet = MadeFleet(5)
        trained = fleet.days(TRAINED, 30)
        fleet.add("van", many, level)
        report = drift(trained, fleet.days(NOW, 7), FEATURES)
        found = report.alarms.select("vehicle_type", "vehicles").unique().rows()
        assert found == ([("van", "new")] if expected else [])
    few = report.rows.filter(vehicle_type="van", vehicles="new")
    assert few["p"].null_count() == len(FEATURES)
    assert few["why"].str.starts_with("3 new vehicles beside 40, at least 5").all()


def test_a_few_unlike_vehicles_do_not_speak_for_the_type() -> None:
    fleet = MadeFleet(5)
    trained = fleet.days(TRAINED, 30)
    fleet.add("van", 6, 2.5)
    report = drift(trained, fleet.days(NOW, 7), FEATURES)
    tested = report.rows.filter(vehicle_type="van", vehicles="new", feature="coolant")
    assert tested["q"].item() < 0.05
    assert not report.alarms.height


@pytest.mark.parametrize("weather", [0.1, 0.3])
def test_a_season_that_comes_to_all_types_does_not_alarm(weather: float) -> None:
    alarms = 0
    for seed in range(30):
        fleet = MadeFleet(seed)
        trained = fleet.days(TRAINED, 30, weather)
        fleet.add("van", 12)
        report = drift(trained, shifted(fleet.days(NOW, 7, weather), -6), FEATURES)
        alarms += report.alarms.height > 0
        seasonal = report.rows.filter(feature="coolant", vehicles="known")
        assert (seasonal["effect_with_season"] < -0.5).all()
        assert (seasonal["season_by"] == "other types").all()
    assert alarms <= 3  # 97 % of binomial draws at 5 %
    assert seasonal["why"].str.starts_with("taken for the season (other types)").all()


def test_a_sensor_that_shifts_within_a_season_still_alarms() -> None:
    fleet = MadeFleet(4)
    trained, now = fleet.days(TRAINED, 30), shifted(fleet.days(NOW, 7), -6)
    report = drift(trained, shifted(now, -6, pl.col("vehicle_type") == "truck"), FEATURES)
    assert alarming(report) == {("coolant", "truck", "known")}


def a_year(fleet: MadeFleet, cold: float) -> pl.DataFrame:
    """Days of the year before, colder in autumn."""
    spans = [fleet.days(TRAINED - YEAR, 30), shifted(fleet.days(NOW - YEAR, 7), cold)]
    return pl.concat(spans)


def test_with_a_year_of_history_even_one_type_tells_season_from_drift() -> None:
    fleet = MadeFleet(2, {"van": 30})
    trained, now = fleet.days(TRAINED, 30), shifted(fleet.days(NOW, 7), -6)
    blind = drift(trained, now, FEATURES)
    assert alarming(blind) == {("coolant", "van", "known")}
    assert blind.alarms["why"].item().endswith("may be the season")
    history = a_year(fleet, -6)
    assert not drift(trained, now, FEATURES, history).alarms.height
    colder = drift(trained, shifted(now, -6), FEATURES, history).alarms
    assert colder["season_by"].to_list() == ["year before"]
    assert colder["season_shift"].item() == pytest.approx(-6, abs=1)


def test_a_season_of_last_year_that_did_not_come_makes_no_drift() -> None:
    fleet = MadeFleet(2, {"van": 30})
    history = a_year(fleet, -8)
    assert not drift(fleet.days(TRAINED, 30), fleet.days(NOW, 7), FEATURES, history).alarms.height


def test_too_few_vehicles_or_days_are_told_and_not_tested() -> None:
    fleet = MadeFleet(1, {"van": 7, "suv": 20})
    trained = fleet.days(TRAINED, 30)
    report = drift(trained, shifted(fleet.days(NOW, 7), 40), FEATURES)
    few = report.rows.filter(vehicle_type="van", vehicles="known")
    assert few["p"].null_count() == len(FEATURES)
    assert few["why"].to_list() == ["7 vehicles, at least 8"] * len(FEATURES)
    short = drift(trained, fleet.days(NOW, NUMBERS.least_days - 1), FEATURES)
    assert short.rows["p"].null_count() == short.rows.height


def test_values_that_are_not_known_are_left_out() -> None:
    fleet = MadeFleet(6)
    trained, now = fleet.days(TRAINED, 30), fleet.days(NOW, 7)
    never = now.with_columns(
        rpm=None, noise=pl.when(pl.col("day").dt.day() % 2 == 0).then(float("nan")).otherwise(1e9)
    )
    report = drift(trained.with_columns(noise=1e9), never, FEATURES)
    assert (
        report.rows.filter(feature="rpm")["p"].null_count()
        == report.rows.filter(feature="rpm").height
    )
    assert report.rows.filter(feature="noise", vehicles="known")["p"].to_list() == [1.0] * 4


def test_a_vehicle_that_changes_its_type_stands_under_the_newest() -> None:
    fleet = MadeFleet(7, {"van": 30, "suv": 30})
    trained, now = fleet.days(TRAINED, 30), fleet.days(NOW, 7)
    kind = pl.col("vehicle_type").cast(pl.String)
    moved = now.with_columns(
        vehicle_type=pl.when(pl.col("vehicle_id") == "van3").then(pl.lit("suv")).otherwise(kind)
    )
    rows = drift(trained, moved, FEATURES).rows.filter(vehicles="known", feature="rpm")
    assert dict(rows.select("vehicle_type", "count").iter_rows()) == {"van": 29, "suv": 31}
    assert drift(trained, moved, FEATURES).rows.filter(vehicles="new")["count"].sum() == 0


def test_one_vehicle_with_many_days_counts_as_one() -> None:
    fleet = MadeFleet(8)
    trained, now = fleet.days(TRAINED, 30), fleet.days(NOW, 30)
    broken = shifted(now, 500, pl.col("vehicle_id").is_in(["van1", "van2"]))
    assert not drift(trained, broken, FEATURES).alarms.height


def test_a_fleet_that_was_replaced_is_compared_with_training() -> None:
    old, new = MadeFleet(9), MadeFleet(10)
    new.levels += 1.5
    new.vehicles = [(f"n{name}", kind) for name, kind in new.vehicles]
    report = drift(old.days(TRAINED, 30), new.days(NOW, 7), FEATURES)
    assert report.types_to_train == sorted(TYPES)
    assert set(report.alarms["season_by"]) == {"not known"}


def test_the_order_of_rows_changes_nothing() -> None:
    fleet = MadeFleet(11)
    trained, now = fleet.days(TRAINED, 30), fleet.days(NOW, 7)
    expected = drift(trained, now, FEATURES)
    found = drift(
        *(each.sample(fraction=1, shuffle=True, seed=1) for each in (trained, now)), FEATURES
    )
    assert_frame_equal(found.rows, expected.rows)


def test_no_days_at_all_give_an_empty_report() -> None:
    days = MadeFleet(1).days(TRAINED, 5)
    report = drift(days, days.clear(), FEATURES, history=days)
    assert report.rows.is_empty()
    assert report.rows.schema == DRIFT_SCHEMA
    assert report.types_to_train == []


def test_wrong_days_are_refused() -> None:
    days = MadeFleet(1).days(TRAINED, 5)
    with pytest.raises(FleetError, match="lack speed"):
        drift(days, days, ["rpm", "speed"])
    with pytest.raises(FleetError, match="twice"):
        drift(days, pl.concat([days, days]), FEATURES)
