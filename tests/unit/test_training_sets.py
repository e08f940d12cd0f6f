"""Training sets: named by what they are made of, healthy, bounded, apart from evaluation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from inspect import signature
from pathlib import Path

import polars as pl
import pytest
from simulated_lake import START, late, simulated_lake

from fleet_assets.assets.training import TrainingConfig
from fleet_assets.commands.model_training import train
from fleet_assets.errors import FleetError
from fleet_assets.features.kernel import feature_windows
from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.injection.draws import split_of
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import (
    Span,
    VehicleDay,
    Wanted,
    choose,
    chunks,
    data_version,
    days_with_data,
    newest_span,
    within,
)
from fleet_assets.model_flow import training_sets
from fleet_assets.model_flow.frames import healthy_frame
from fleet_assets.model_flow.incidents import FEEDBACK_SCHEMA, NOTHING, known_of
from fleet_assets.model_flow.set_files import TrainingSet, read_training_set
from fleet_assets.model_flow.set_frames import virtual_chunks, virtual_hours
from fleet_assets.model_flow.training_sets import SetSettings, make_training_set
from fleet_assets.models.frame import INPUTS, model_frame
from fleet_assets.models.kinds import AFTERMATH, HEALTHY, labels_of
from fleet_assets.models.steps import steps_of
from fleet_assets.models.virtual import is_real, real_of, virtual_vehicles

NO_FEEDBACK = FEEDBACK_SCHEMA.to_frame()
SMALL = SetSettings(hours=24, hours_of_vehicle=(4, 8), faulty_hours=60, passes=(3, 1))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(str(tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="module")
def types(lake: Lake) -> dict[str, str]:
    return simulated_lake(lake, 5, 4, hours_of_day=(12, 20))


@pytest.fixture(scope="module")
def made(lake: Lake, types: dict[str, str]) -> TrainingSet:
    return read_training_set(lake.url, make_training_set(lake, types, NO_FEEDBACK, SMALL))


def test_the_same_inputs_have_the_same_name_others_another(
    lake: Lake, types: dict[str, str], made: TrainingSet
) -> None:
    told: list[str] = []
    again = make_training_set(lake, types, NO_FEEDBACK, SMALL, lambda what, _: told.append(what))
    assert again == made.card["id"]
    assert told == [f"{again} is there already"]
    other_seed = make_training_set(lake, types, NO_FEEDBACK, replace(SMALL, seed=2))
    assert other_seed != again
    assert not read_training_set(lake.url, other_seed).healthy.equals(made.healthy)


def test_shell_and_ui_make_the_same_set_by_default() -> None:
    assert TrainingConfig().settings() == SetSettings()
    told = {name: each.default for name, each in signature(train).parameters.items()}
    options = {
        "span_days": "span_days", "seed": "seed", "vehicles": "most_vehicles", "hours": "hours",
        "faulty_hours": "faulty_hours", "virtual_each": "virtual_each",
    }  # fmt: skip
    for option, setting in options.items():
        assert told[option] == getattr(SetSettings(), setting), option


def test_other_telemetry_has_another_name(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    types = simulated_lake(lake, 2, 1, hours_of_day=(13, 17))
    less = replace(SMALL, passes=(1, 0))
    before = make_training_set(lake, types, NO_FEEDBACK, less)
    vehicle = read_training_set(lake.url, before).card["vehicles"]
    late(lake, "2026-03-02T15", next(iter(vehicle)), 600)
    after = make_training_set(lake, types, NO_FEEDBACK, less)
    assert after != before
    one, two = (read_training_set(lake.url, each) for each in (before, after))
    assert two.healthy.height < one.healthy.height
    assert one.card["data_version"] != two.card["data_version"]


def test_what_comes_while_a_set_is_made_is_neither_in_its_name_nor_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(tmp_path))
    types = simulated_lake(lake, 2, 2, hours_of_day=(13, 17))
    less = replace(SMALL, passes=(1, 0))
    before = read_training_set(lake.url, make_training_set(lake, types, NO_FEEDBACK, less))
    card = f"training_sets/{before.card['id']}/card.json"
    (tmp_path / "artifacts" / card).unlink()

    def disturbed(*given: object) -> str:
        name = data_version(*given)  # type: ignore[arg-type]
        late(lake, "2026-03-02T15", next(iter(before.types)), 600)
        return name

    monkeypatch.setattr(training_sets, "data_version", disturbed)
    after = read_training_set(lake.url, make_training_set(lake, types, NO_FEEDBACK, less))
    assert after.card["data_version"] == before.card["data_version"]
    assert after.healthy.equals(before.healthy)


def test_what_is_for_evaluation_is_not_in_it(made: TrainingSet) -> None:
    catalogue = read_catalogue()
    frames = [made.healthy, *(copy.frame for copy in made.copies)]
    last_moment = pl.col("window_end") - timedelta(microseconds=1)
    whose = real_of(pl.concat(frames)["vehicle_id"])
    days = pl.concat(frames).select(whose, last_moment.dt.date()).unique()
    assert days.height > 3
    assert {split_of(who, day, catalogue) for who, day in days.iter_rows()} == {"train"}
    families = pl.concat([copy.truth for copy in made.copies])["family"].unique()
    assert catalogue.held_out not in families.to_list()


def test_windows_are_those_of_one_pass_over_all_telemetry(
    lake: Lake, types: dict[str, str], made: TrainingSet
) -> None:
    telemetry = lake.open("telemetry").read().filter(pl.col("vehicle_id").is_in(list(made.types)))
    whole = model_frame(feature_windows(telemetry), steps_of(telemetry))
    whole = whole.cast(dict.fromkeys(INPUTS, pl.Float32()))
    real = made.healthy.filter(is_real(made.healthy))
    found = real.join(whole, on=["vehicle_id", "window_end"], how="semi")
    assert found.height == real.height
    same = whole.join(real.select("vehicle_id", "window_end"),
                      on=["vehicle_id", "window_end"], how="semi")  # fmt: skip
    assert same.sort("vehicle_id", "window_end").equals(real)


def test_copies_keep_all_windows_of_their_faults(made: TrainingSet) -> None:
    assert len(made.copies) == 4
    for copy in made.copies:
        labels = labels_of(copy.frame, copy.truth)
        faulty = labels.filter(~pl.col("fault").is_in([HEALTHY, AFTERMATH]))
        assert faulty["fault_id"].n_unique() > 0.9 * copy.truth.height
        before = copy.frame.height - faulty.height
        assert before <= copy.truth.height * 30
    sources = made.card["labels_by_source"]
    truth = pl.concat([copy.truth for copy in made.copies])
    assert sources["injected"] == made.card["faults"] == truth.filter(is_real(truth)).height


def test_virtual_vehicles_are_in_it_with_faults_and_counted_apart(
    lake: Lake, types: dict[str, str], made: TrainingSet
) -> None:
    virtual = made.healthy.filter(~is_real(made.healthy))
    truth = pl.concat([copy.truth for copy in made.copies])
    told = truth.filter(~is_real(truth))
    count = made.card["virtual"]
    assert count["vehicles"] == virtual["vehicle_id"].n_unique() == 5 * len(made.types)
    assert (count["windows"], count["faults"]) == (virtual.height, told.height)
    assert count["faults"] > 0.5 * made.card["faults"]
    assert set(made.labels["vehicle_id"]) <= set(made.types)
    assert sum(made.card["groups"].values()) == len(made.types)
    none = make_training_set(lake, types, NO_FEEDBACK, replace(SMALL, virtual_each=0))
    without = read_training_set(lake.url, none)
    assert without.healthy.equals(made.healthy.filter(is_real(made.healthy)))
    assert without.card["virtual"]["vehicles"] == 0
    for one, other in zip(without.copies, made.copies, strict=True):
        assert one.truth.equals(other.truth.filter(is_real(other.truth)), null_equal=True)


def test_a_virtual_vehicle_is_one_car_on_all_its_days(
    lake: Lake, types: dict[str, str], made: TrainingSet
) -> None:
    span = newest_span(days_with_data(lake), 30)
    assert span is not None
    chosen = choose(lake, span, types, Wanted("train", "a", hours=24, hours_of_vehicle=(4, 8)))
    who = chosen[0].vehicle_id
    mine = [each for each in chosen if each.vehicle_id == who]
    assert len({each.day for each in mine}) > 1
    (chunk,) = virtual_chunks(lake, lake.open("telemetry"), chosen, {who: 2}, 1)
    whole = pl.concat([each.core() for each in chunks(lake, mine)]).sort("event_time")
    assert chunk.telemetry.equals(virtual_vehicles(whole, {who: 2}, 1))
    assert within(chunk.telemetry, chunk.days, "event_time").all()
    hours = sum(each.driven_hours for each in chunk.days)
    assert hours == pytest.approx(virtual_hours(chosen, {who: 2}), rel=0.6)


def test_more_vehicles_do_not_make_it_larger(lake: Lake, types: dict[str, str]) -> None:
    span = newest_span(days_with_data(lake), 30)
    assert span == Span(START.date(), START.date() + timedelta(days=2))
    few = Wanted("train", "a", most_vehicles=2, hours=10, hours_of_vehicle=(2, 100))
    chosen = choose(lake, span, types, few)
    assert len({each.vehicle_id for each in chosen}) == 2
    assert {types[each.vehicle_id] for each in chosen} <= {"sedan", "truck", "van", "suv"}
    assert len({types[each.vehicle_id] for each in chosen}) == 2  # groups take turns
    least = Wanted("train", "a", hours=0, hours_of_vehicle=(2, 100))
    by_vehicle: dict[str, int] = {}
    for each in choose(lake, span, types, least):
        by_vehicle[each.vehicle_id] = by_vehicle.get(each.vehicle_id, 0) + each.driven_hours
    assert all(2 <= hours < 2 + 3 for hours in by_vehicle.values() if hours > 1)
    assert choose(lake, span, {}, least) == ()


def test_how_much_is_read_at_a_time_changes_nothing(lake: Lake, types: dict[str, str]) -> None:
    span = Span(START.date(), START.date() + timedelta(days=3))
    chosen = choose(lake, span, types, Wanted("train", "a", hours=24, hours_of_vehicle=(4, 8)))
    nothing = NOTHING.incidents

    def frames(rows: int) -> pl.DataFrame:
        parts = [healthy_frame(chunk, nothing) for chunk in chunks(lake, chosen, rows)]
        return pl.concat(parts).sort("vehicle_id", "window_end")

    assert frames(1).equals(frames(10_000_000))


@pytest.fixture
def with_incident(lake: Lake, made: TrainingSet) -> tuple[str, datetime]:
    who, end = made.healthy.select("vehicle_id", "window_end").row(400)
    return who, end


def incident(who: str, at: datetime, *, is_true: bool = True) -> pl.DataFrame:
    row = (1, "a" * 32, None, is_true, who, "R22", at, at + timedelta(seconds=60))
    return pl.DataFrame([row], schema=FEEDBACK_SCHEMA, orient="row")


def test_what_people_confirmed_is_cut_out_and_a_label(
    lake: Lake, types: dict[str, str], made: TrainingSet, with_incident: tuple[str, datetime]
) -> None:
    who, at = with_incident
    cut = read_training_set(lake.url, make_training_set(lake, types, incident(who, at), SMALL))
    assert cut.card["id"] != made.card["id"]
    gone = made.healthy.join(cut.healthy, on=["vehicle_id", "window_end"], how="anti")
    at_the_time = pl.col("window_end").is_between(at, at + timedelta(seconds=360))
    touched = made.healthy.filter(at_the_time, real_of(made.healthy["vehicle_id"]) == who)
    assert gone.equals(touched)
    assert set(gone["vehicle_id"]) > {who}  # of virtual vehicles that tell this drive as well
    assert cut.card["labels_by_source"]["feedback"] == 1
    denied = make_training_set(lake, types, incident(who, at, is_true=False), SMALL)
    assert read_training_set(lake.url, denied).healthy.equals(made.healthy)


def test_what_rules_found_of_the_vehicle_is_cut_out_not_what_its_driver_did(
    lake: Lake, types: dict[str, str]
) -> None:
    table = lake.open("rule_anomalies")
    at = START + timedelta(hours=14)

    def row(number: int, kind: str, severity: str) -> dict[str, object]:
        names = dict.fromkeys(table.contract.names)
        return names | {
            "event_hour": "2026-03-02T14", "anomaly_id": f"{number:032}", "vehicle_id": "SIM-1",
            "finding_id": f"{number:032}", "anomaly_type": kind, "condition": f"R{number:02}",
            "severity": severity, "severity_history": "[]", "confidence": 1.0, "started_at": at,
            "ended_at": at + timedelta(minutes=number), "detected_at": at, "state": "closed",
            "evidence": "{}", "description": "", "recommended_action": "", "stage": "live",
            "release": 1, "closes_at": at,
        }  # fmt: skip

    rows = [
        row(1, "engine_overheat", "high"), row(2, "engine_overheat", "medium"),
        row(3, "harsh_braking", "high"), row(4, "sensor_failure", "critical"),
    ]  # fmt: skip
    schema = table.contract.polars_schema
    table.commit_files({"2026-03-02T14": [pl.DataFrame(rows, schema=schema)]}, table.files, {})
    span = Span(date(2026, 3, 2), date(2026, 3, 3))
    known = known_of(lake, NO_FEEDBACK, span)
    assert known.labels.height == 4
    assert known.labels["source"].unique().to_list() == ["rule"]
    ends = known.incidents["ended_at"].to_list()
    assert ends == [at + timedelta(minutes=1), at + timedelta(minutes=4)]
    assert known_of(lake, NO_FEEDBACK, Span(date(2026, 3, 3), date(2026, 3, 3))).labels.is_empty()
    table = lake.open("rule_anomalies")
    table.commit_files({}, table.files, {})


def test_errors_say_what_is_there(tmp_path: Path, lake: Lake, made: TrainingSet) -> None:
    with pytest.raises(FleetError, match="no data yet"):
        make_training_set(Lake(str(tmp_path)), {}, NO_FEEDBACK, SMALL)
    with pytest.raises(FleetError, match="No vehicle of the register was driven"):
        make_training_set(lake, {}, NO_FEEDBACK, SMALL)
    with pytest.raises(FleetError, match=f"no training set ts-1; there are .*{made.card['id']}"):
        read_training_set(lake.url, "ts-1")


def test_rows_within_vehicle_days() -> None:
    day = VehicleDay("v1", date(2026, 3, 2), "2026-03-02T10", "2026-03-02T11", 2)
    assert day.hours == ["2026-03-02T09", "2026-03-02T10", "2026-03-02T11"]
    moments = [day.begin - timedelta(seconds=1), day.begin, day.end - timedelta(seconds=1), day.end]
    rows = pl.DataFrame(
        {"vehicle_id": ["v1"] * 4 + ["v2"], "window_end": [*moments, day.begin]},
        schema={"vehicle_id": pl.String, "window_end": pl.Datetime("us", "UTC")},
    )
    as_events = rows.rename({"window_end": "event_time"})
    assert within(as_events, [day], "event_time").to_list() == [False, True, True, False, False]
    assert within(rows, [day], "window_end").to_list() == [False, False, True, True, False]
