"""What holds for every plan and everything that is injected by it."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from injection_data import ALL, days, healthy

from fleet_assets.contracts.signals import SIGNAL_BY_NAME
from fleet_assets.errors import FleetError
from fleet_assets.injection.catalogue import KINDS, read_catalogue
from fleet_assets.injection.draws import bands_of, in_split
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.injection.signals import GROUPS, signals_of
from fleet_assets.injection.truth import PLAN_SCHEMA, TRUTH_SCHEMA

CATALOGUE = read_catalogue()
EVERYWHERE = Chosen(untouched=0)
KEY = ["vehicle_id", "event_time"]


@st.composite
def fleets(draw: st.DrawFn) -> pl.DataFrame:
    """One to three vehicles with signals, rates and gaps of their own."""
    units = [[name] for name in ALL if not any(name in of for of in GROUPS.values())]
    units += [list(names) for names in GROUPS.values()]
    parts = []
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(units), min_size=1, unique_by=lambda unit: unit[0]))
        parts.append(
            healthy(
                f"v{number}",
                minutes=draw(st.floats(5, 100)),
                rate_hz=draw(st.sampled_from([0.2, 0.5, 1.0, 3.7])),
                signals=[name for unit in chosen for name in unit],
                seed=draw(st.integers(0, 99)),
                missing=draw(st.sampled_from([0.0, 0.0, 0.05])),
            )
        )
    return pl.concat(parts, how="diagonal")


def touched(truth: pl.DataFrame) -> pl.DataFrame:
    """Vehicle, signal and span of everything that may have changed."""
    named = truth["signal"].map_elements(
        lambda subject: list(signals_of(subject)), return_dtype=pl.List(pl.String)
    )
    return truth.select("vehicle_id", "started_at", "ended_at", name=named).explode("name")


def changes(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Vehicle, time and name of all values that differ."""
    names = [name for name in before.columns if name in SIGNAL_BY_NAME]
    found = [
        before.select(KEY)
        .with_columns(name=pl.lit(name))
        .filter(before[name].ne_missing(after[name]))
        for name in names
    ]
    return pl.concat(found)


@given(fleets(), st.integers(0, 2**40))
@settings(max_examples=60)
def test_only_named_signals_change_and_only_within_the_truth(
    telemetry: pl.DataFrame, seed: int
) -> None:
    after, truth = inject(telemetry, plan(telemetry, seed, EVERYWHERE))
    assert after.schema == telemetry.schema
    assert after.select(*KEY, "conflict").equals(telemetry.select(*KEY, "conflict"))
    changed = changes(telemetry, after)
    inside = changed.join(touched(truth), on=["vehicle_id", "name"]).filter(
        pl.col("event_time").is_between("started_at", "ended_at")
    )
    assert inside.height == changed.height
    assert truth["fault_id"].n_unique() == truth.height
    in_truth = changed.join(truth, on="vehicle_id").filter(
        pl.col("event_time").is_between("started_at", "ended_at")
    )
    assert set(in_truth["fault_id"]) == set(truth["fault_id"]), "every fault changes something"


@given(fleets(), st.integers(0, 99))
@settings(max_examples=30)
def test_values_can_be_sent_and_only_what_failed_is_null(
    telemetry: pl.DataFrame, seed: int
) -> None:
    after, _ = inject(telemetry, plan(telemetry, seed, EVERYWHERE))
    for name in (name for name in after.columns if name in SIGNAL_BY_NAME):
        contract = SIGNAL_BY_NAME[name]
        values = after[name].cast(pl.Float64)
        assert not values.is_nan().any()
        assert values.drop_nulls().is_between(contract.minimum, contract.maximum).all()
        failed = after[name].is_null() & telemetry[name].is_not_null()
        assert (after["null_signals"].list.contains(name) == failed).all()


@given(fleets(), st.integers(0, 99), st.integers(0, 99))
@settings(max_examples=20)
def test_order_of_rows_and_other_vehicles_do_not_matter(
    telemetry: pl.DataFrame, seed: int, shuffle: int
) -> None:
    order = np.random.default_rng(shuffle).permutation(telemetry.height)
    shuffled = telemetry[order]
    once, again = plan(telemetry, seed, EVERYWHERE), plan(shuffled, seed, EVERYWHERE)
    assert once.equals(again)
    assert once.schema == PLAN_SCHEMA
    alone = pl.concat(
        plan(of_vehicle, seed, EVERYWHERE)
        for of_vehicle in telemetry.partition_by("vehicle_id", maintain_order=True)
    )
    assert once.equals(alone.sort("vehicle_id", "started_at"))
    after, truth = inject(telemetry, once)
    after_shuffled, truth_again = inject(shuffled, once)
    assert after_shuffled.equals(after[order])
    assert truth.equals(truth_again)
    assert truth.schema == TRUTH_SCHEMA


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_a_stretch_has_one_fault_between_healthy_margins(seed: int) -> None:
    telemetry = healthy(minutes=170)
    truth = plan(telemetry, seed, EVERYWHERE).sort("started_at")
    hours = truth["started_at"].dt.truncate("1h")
    assert hours.n_unique() == truth.height == 3
    assert (truth["ended_at"].dt.truncate("1h") == hours).all()
    healthy_between = (truth["started_at"] - truth["ended_at"].shift(1)).drop_nulls()
    assert (healthy_between >= timedelta(seconds=2 * CATALOGUE.margin_s)).all()
    first = telemetry["event_time"].min()
    assert truth["started_at"][0] - first >= timedelta(seconds=CATALOGUE.margin_s)


@given(st.integers(0, 10_000), st.sampled_from([name for name in KINDS if name != "fuel_leak"]))
@settings(max_examples=60)
def test_a_fault_that_hardly_fits_has_its_margins(seed: int, kind: str) -> None:
    telemetry = healthy(minutes=8, seed=seed)
    margin = timedelta(seconds=CATALOGUE.margin_s)
    for fault in plan(telemetry, seed, Chosen([kind], untouched=0)).iter_rows(named=True):
        assert fault["started_at"] - telemetry["event_time"].min() >= margin
        assert telemetry["event_time"].max() - fault["ended_at"] >= margin


def test_another_seed_draws_other_faults() -> None:
    telemetry = healthy(minutes=170)
    assert not plan(telemetry, 1, EVERYWHERE).equals(plan(telemetry, 2, EVERYWHERE))


@pytest.mark.parametrize("untouched", [0.0, 0.3, 0.7, 1.0])
def test_a_share_of_vehicle_hours_stays_untouched(untouched: float) -> None:
    telemetry = days("v1", 200, rate_hz=0.2)
    found = plan(telemetry, 3, Chosen(untouched=untouched)).height / 200
    assert found == pytest.approx(1 - untouched, abs=0.1)


def test_vehicles_without_the_signal_are_left_alone() -> None:
    telemetry = healthy(minutes=170, signals=["speed", "engine_rpm"]).with_columns(
        pl.lit(None, pl.Decimal(5, 2)).alias("coolant_temp")
    )
    none = plan(telemetry, 1, Chosen(["thermostat", "gps_jump", "fuel_leak"], untouched=0))
    assert none.is_empty()
    after, truth = inject(telemetry, none)
    assert after.equals(telemetry)
    assert truth.is_empty()


def test_nothing_is_injected_where_it_cannot_show() -> None:
    parked = healthy(minutes=170).with_columns(
        speed=pl.lit(0).cast(pl.Decimal(5, 2)), engine_rpm=pl.lit(0).cast(pl.Decimal(7, 2))
    )
    shown = [name for name in KINDS if name != "gps_jump"]
    assert plan(parked, 1, Chosen(shown, untouched=0)).is_empty()


@given(st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=8)
def test_training_and_evaluation_share_nothing(seed: int, other: int) -> None:
    telemetry = pl.concat([days("v1", 40, rate_hz=0.5), days("v2", 40, rate_hz=0.5)])
    train = plan(telemetry, seed, Chosen(split="train", untouched=0))
    evaluate = plan(telemetry, other, Chosen(split="evaluate", untouched=0))
    assert train.height > 20
    assert evaluate.height > 15

    def day(plan: pl.DataFrame) -> set[Any]:
        return set(zip(plan["vehicle_id"], plan["started_at"].dt.date(), strict=True))

    assert not day(train) & day(evaluate)
    assert CATALOGUE.held_out not in set(train["family"])
    for part, split in ((train, "train"), (evaluate, "evaluate")):
        for row in part.iter_rows(named=True):
            kind = CATALOGUE.of(row["kind"])
            lengths = bands_of(kind.duration_s, CATALOGUE, split)  # type: ignore[arg-type]
            length = (row["ended_at"] - row["started_at"]).total_seconds()
            assert sum(low <= length < high for low, high in lengths) == 1
            if (whole := kind.magnitude_range(row["signal"])) is not None:
                bands = bands_of(whole, CATALOGUE, split)  # type: ignore[arg-type]
                assert sum(low <= row["magnitude"] < high for low, high in bands) == 1


def test_the_bands_of_the_splits_share_nothing_and_leave_nothing_out() -> None:
    both = bands_of((3, 60), CATALOGUE, "train") + bands_of((3, 60), CATALOGUE, "evaluate")
    ordered = sorted(both)
    assert ordered == bands_of((3, 60), CATALOGUE, None)
    assert all(one[1] <= next_[0] for one, next_ in itertools.pairwise(ordered))


def test_rows_of_a_split_are_those_that_its_plans_touch() -> None:
    telemetry = days("v1", 60, rate_hz=0.2)
    is_train = in_split(telemetry, "train", CATALOGUE)
    assert (is_train != in_split(telemetry, "evaluate", CATALOGUE)).all()
    assert is_train.mean() == pytest.approx(1 - CATALOGUE.evaluation_share, abs=0.2)
    truth = plan(telemetry, 1, Chosen(split="train", untouched=0))
    after, _ = inject(telemetry, truth)
    rows = changes(telemetry, after)["event_time"]
    assert rows.is_in(telemetry.filter(is_train)["event_time"].implode()).all()
    assert len(rows)


def test_a_family_of_ones_own_is_held_out_and_unknown_names_are_refused() -> None:
    telemetry = healthy(minutes=170)
    chosen = Chosen(["stuck", "dropout"], split="train", held_out="missing", untouched=0)
    assert "dropout" not in set(plan(days("v1", 30), 1, chosen)["kind"])
    with pytest.raises(FleetError, match="no fault stucked"):
        plan(telemetry, 1, Chosen(["stucked"]))
    with pytest.raises(FleetError, match="no family odd"):
        plan(telemetry, 1, Chosen(held_out="odd"))
    with pytest.raises(FleetError, match="No kind is left"):
        plan(telemetry, 1, Chosen(["scale"], split="train"))


def test_empty_telemetry_has_no_faults() -> None:
    telemetry = healthy().clear()
    after, truth = inject(telemetry, plan(telemetry, 1))
    assert after.equals(telemetry)
    assert truth.is_empty()
