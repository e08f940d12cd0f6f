"""Training on injected faults, judging, naming, explaining, and the way to a file and back."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import skops.io as sio
from sklearn.neighbors import KNeighborsClassifier

from fleet_assets.errors import FleetError
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.inject import inject
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.models.alarms import alarms_of
from fleet_assets.models.artifact import from_bytes, signature, to_bytes
from fleet_assets.models.bounds import refined
from fleet_assets.models.card import model_card
from fleet_assets.models.device_forests import DeviceForests
from fleet_assets.models.evidence import GROUP
from fleet_assets.models.fleet_model import SCORE_SCHEMA, FleetModel
from fleet_assets.models.mixing import Settling
from fleet_assets.models.reasons import explained
from fleet_assets.models.releases import Release, overlaid
from fleet_assets.models.settling import settled
from fleet_assets.models.training import Copy, Recipe, day_folds, train
from fleet_assets.models.vehicle import Vehicle, fit_vehicle
from tests.model_data import frame_of, telemetry_days

SIGNALS = ("engine_rpm", "speed", "throttle_position", "coolant_temp")
RECIPE = Recipe(seed=3, folds=2)
TYPES = {"v1": "sedan", "v2": "van"}


@pytest.fixture(scope="module")
def early() -> pl.DataFrame:
    parts = [telemetry_days(v, 4, signals=SIGNALS, seed=n) for v, n in (("v1", 0), ("v2", 20))]
    return pl.concat(parts)


@pytest.fixture(scope="module")
def later() -> pl.DataFrame:
    return telemetry_days("v1", 2, signals=SIGNALS, seed=90)


@pytest.fixture(scope="module")
def copies(early: pl.DataFrame) -> list[Copy]:
    every_day = read_catalogue().model_copy(update={"evaluation_share": 0.0})
    found = []
    for seed in (1, 2, 3):
        chosen = Chosen(kinds=("bias", "dropout", "stuck"), split="train", untouched=0.0)
        changed, truth = inject(early, plan(early, seed, chosen, every_day))
        found.append(Copy(frame_of(changed), truth))
    return found


@pytest.fixture(scope="module")
def model(early: pl.DataFrame, copies: list[Copy]) -> FleetModel:
    return train(frame_of(early), copies, TYPES, RECIPE)


def without_rpm(telemetry: pl.DataFrame, begin_s: int, seconds: int) -> pl.DataFrame:
    start = telemetry["event_time"].min() + timedelta(seconds=begin_s)  # type: ignore[operator]
    lost = pl.col("event_time").is_between(start, start + timedelta(seconds=seconds), closed="left")
    return telemetry.with_columns(
        pl.when(~lost).then("engine_rpm").alias("engine_rpm"),
        pl.when(lost).then(pl.lit(["engine_rpm"])).otherwise("null_signals").alias("null_signals"),
    )


def test_a_sensor_that_fails_is_an_alarm_with_its_name_and_its_bounds(
    model: FleetModel, later: pl.DataFrame
) -> None:
    telemetry = without_rpm(later, 1204, 120)
    frame = frame_of(telemetry)
    scores = model.judged(frame)
    alarms = alarms_of(scores, 1.0)
    start = later["event_time"].min() + timedelta(seconds=1204)  # type: ignore[operator]
    near = pl.col("started_at") - start
    mine = alarms.filter(near.is_between(timedelta(seconds=-30), timedelta(seconds=60)))
    assert mine.height == 1
    assert mine["detected_at"][0] - start <= timedelta(seconds=40)
    named = mine.join(
        scores.select("vehicle_id", "window_end", "fault"),
        left_on=["vehicle_id", "peak_at"], right_on=["vehicle_id", "window_end"],
    )  # fmt: skip
    assert named["fault"][0] == "dropout/engine_rpm"
    exact = refined(named, telemetry)
    assert exact["started_at"][0] == start
    assert abs(exact["ended_at"][0] - start - timedelta(seconds=119)) <= timedelta(seconds=2)
    told = explained(named, frame, model)
    assert "engine speed sensor sends no value" in told["description"][0]
    reasons = told["reasons"][0]
    assert len(reasons) >= 1
    assert all(
        not reason["low"] <= reason["value"] <= reason["high"] for reason in reasons.to_list()
    )


def test_healthy_days_that_were_not_trained_on_hardly_alarm(
    model: FleetModel, later: pl.DataFrame
) -> None:
    scores = model.judged(frame_of(later))
    assert scores.schema == SCORE_SCHEMA
    assert scores["is_known"].all()
    assert (scores["score"] >= 1).mean() < 0.03  # type: ignore[operator]
    assert ((scores["confidence"] >= 0) & (scores["confidence"] <= 1)).all()


def test_strangers_are_judged_by_their_group(model: FleetModel, later: pl.DataFrame) -> None:
    known = frame_of(later)
    strange = known.with_columns(vehicle_id=pl.lit("v9"))
    both = pl.concat([known, strange])
    told = model.judged(both)
    assert told.select("vehicle_id", "window_end").equals(both.select("vehicle_id", "window_end"))
    assert told["is_known"].to_list() == [True] * known.height + [False] * strange.height
    assert told.head(known.height).equals(model.judged(known))
    lonely = dataclasses.replace(model, strange=None)
    assert lonely.judged(strange)["score"].null_count() == strange.height


def test_a_settled_vehicle_is_known_and_loses_what_is_its_habit(model: FleetModel) -> None:
    mine = telemetry_days("v7", 3, signals=SIGNALS, seed=200)
    # its engine turns faster, and its throttle stands still for a minute now and then
    wait = (pl.int_range(pl.len()) // 60 % 5 == 0).over("vehicle_id")
    throttle = pl.when(wait).then(pl.lit(30.0)).otherwise("throttle_position")
    mine = mine.with_columns(
        engine_rpm=(pl.col("engine_rpm") * 1.3).cast(mine.schema["engine_rpm"]),
        throttle_position=throttle.cast(mine.schema["throttle_position"]),
    )
    days = mine["event_time"].dt.date()
    frame = frame_of(mine.filter(days < days.max()))
    last = frame_of(mine.filter(days == days.max()))
    after = settled(model, frame, RECIPE)
    assert after.judged(last)["is_known"].all()
    settling = after.settlings["v7"]
    assert min(settling.offsets.values()) >= 0
    assert settling.threshold < model.settled.threshold
    devices = {name.split("/")[0] for name in settling.classifier.classes}
    assert devices <= {"engine_rpm", "speed", "throttle_position", "coolant_temp"}
    strange = model.judged(last)  # by its group, which does not know its gears
    assert (after.judged(last)["score"] >= 1).sum() < (strange["score"] >= 1).sum()
    others = frame_of(telemetry_days("v1", 1, signals=SIGNALS, seed=300))
    assert after.judged(others).equals(model.judged(others))
    # judged together as each by itself, by settings of its own
    other = dataclasses.replace(settling, threshold=settling.threshold + 1.0, offsets={})
    two = dataclasses.replace(
        after,
        vehicles={**after.vehicles, "v8": after.vehicles["v7"]},
        settlings={"v7": settling, "v8": other},
    )
    eighth = last.with_columns(vehicle_id=pl.lit("v8"))
    together = two.judged(pl.concat([last, eighth]))
    assert together.filter(vehicle_id="v7").equals(after.judged(last))
    assert together.filter(vehicle_id="v8").equals(two.judged(eighth))
    assert not two.judged(eighth)["score"].equals(after.judged(last)["score"])
    back, _ = from_bytes(to_bytes(after), FleetModel)
    assert back.settlings["v7"].offsets == settling.offsets
    assert back.judged(last).equals(after.judged(last))


def test_the_same_recipe_trains_the_same_model(
    model: FleetModel, early: pl.DataFrame, copies: list[Copy], later: pl.DataFrame
) -> None:
    again = train(frame_of(early), copies, TYPES, RECIPE)
    frame = frame_of(later)
    assert again.judged(frame).equals(model.judged(frame))
    assert to_bytes(again) == to_bytes(model)


def test_two_healthy_vehicles_of_one_day_are_enough(
    early: pl.DataFrame, copies: list[Copy], later: pl.DataFrame
) -> None:
    """Their hours are dealt into folds, or parts of an hour."""
    first = pl.col("window_end").dt.date() == early["event_time"].dt.date().min()
    one_day = frame_of(early).filter(first)
    some = [Copy(copy.frame.filter(first), copy.truth) for copy in copies]
    less = dataclasses.replace(RECIPE, least_windows=100)
    model = train(one_day, some, TYPES, less)
    assert model.own.classifier.classes
    assert set(model.vehicles) == {"v1", "v2", GROUP}
    assert model.judged(frame_of(later))["is_known"].all()


def test_too_little_is_said_with_numbers(early: pl.DataFrame, copies: list[Copy]) -> None:
    frame = frame_of(early)
    with pytest.raises(FleetError, match=r"most healthy windows has 100, at least 600"):
        train(frame.head(100), copies, TYPES, RECIPE)
    with pytest.raises(FleetError, match=r"Too few faults to train on: 0, at least 20"):
        train(frame, [], TYPES, RECIPE)


def test_dealt_parts_are_whole_and_differ_by_one_at_most(early: pl.DataFrame) -> None:
    frame = frame_of(early)
    for folds, unit in ((4, "1d"), (5, "10m"), (100, "10m")):
        dealt = day_folds(dataclasses.replace(RECIPE, folds=folds))(frame)
        counted = frame.select("vehicle_id", part=pl.col("window_end").dt.truncate(unit))
        counted = counted.with_columns(fold=pl.Series(dealt)).unique()
        assert not counted.select("vehicle_id", "part").is_duplicated().any()
        sizes = counted.group_by("vehicle_id", "fold").len()["len"]
        assert sizes.max() - sizes.min() <= 1  # type: ignore[operator]


def test_releases_replace_vehicles_the_last_one_counts(model: FleetModel) -> None:
    one, two = model.vehicles["v1"], model.vehicles["v2"]
    settlings = [Settling(DeviceForests({}), {}, 2.0, {"motion": less}) for less in (1.0, 2.0)]
    first = Release({"v7": one, "v8": one}, dict(zip(("v7", "v8"), settlings, strict=True)))
    both = overlaid(model, [first, Release({"v7": two})])
    assert both.vehicles == {**model.vehicles, "v7": two, "v8": one}
    assert both.settlings == {"v8": settlings[1]}
    assert overlaid(model, []) == model
    back, _ = from_bytes(to_bytes(first), Release)
    assert back.settlings == first.settlings


def test_a_model_comes_back_from_its_file_and_judges_the_same(
    model: FleetModel, later: pl.DataFrame, early: pl.DataFrame, copies: list[Copy]
) -> None:
    card = model_card(model, frame_of(early), copies, RECIPE)
    back, told = from_bytes(to_bytes(model, card), FleetModel)
    assert told == json.loads(json.dumps(card))
    assert told["data"]["faults"].keys() == {"bias", "dropout", "stuck"}
    frame = frame_of(later)
    assert back.judged(frame).equals(model.judged(frame))
    assert np.array_equal(back.vehicles[GROUP].high, model.vehicles[GROUP].high, equal_nan=True)


def test_one_vehicle_is_small(early: pl.DataFrame) -> None:
    vehicle = fit_vehicle(frame_of(early.filter(pl.col("vehicle_id") == "v1")), 1)
    data = to_bytes(vehicle)
    assert len(data) <= 500_000
    back, _ = from_bytes(data, Vehicle)
    assert back.windows == vehicle.windows
    with pytest.raises(FleetError, match="is a Vehicle, not a FleetModel"):
        from_bytes(data, FleetModel)


def rewritten(data: bytes, name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, content if entry == name else old.read(entry))
    return file.getvalue()


@pytest.fixture(scope="module")
def small(early: pl.DataFrame) -> bytes:
    return to_bytes(fit_vehicle(frame_of(early.head(3000)), 1))


def test_types_that_are_not_trusted_are_refused(small: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(small)) as archive:
        forest = next(name for name in archive.namelist() if name.endswith(".skops"))
    other = KNeighborsClassifier(1).fit([[0.0], [1.0]], [0, 1])
    other.spoilt = np.random.default_rng  # a function: skops names what it does not trust
    with pytest.raises(FleetError, match="not trusted"):
        from_bytes(rewritten(small, forest, sio.dumps(other)), Vehicle)


def test_what_is_no_model_is_refused_with_a_reason(small: bytes) -> None:
    with pytest.raises(FleetError, match="no model of the platform"):
        from_bytes(b"something else", Vehicle)
    with zipfile.ZipFile(io.BytesIO(small)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["signature"] == signature()
    manifest["signature"]["inputs"][0]["name"] = "rpm_of_yesterday"
    changed = rewritten(small, "manifest.json", json.dumps(manifest).encode())
    with pytest.raises(FleetError, match="rpm_of_yesterday"):
        from_bytes(changed, Vehicle)
    manifest["form"] = 99
    with pytest.raises(FleetError, match="form 99"):
        from_bytes(rewritten(small, "manifest.json", json.dumps(manifest).encode()), Vehicle)
