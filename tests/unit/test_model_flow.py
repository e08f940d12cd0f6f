"""Drift from feature_days, groups of the register, vehicles that move with few new windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fleet_assets.errors import FleetError
from fleet_assets.lake.artifacts import Artifacts
from fleet_assets.lake.marks import app_id
from fleet_assets.lake.store import Lake
from fleet_assets.lake.training_data import Span, newest_hours, newest_span
from fleet_assets.model_choice import rollout
from fleet_assets.model_choice.audit import AuditRow, Request
from fleet_assets.model_flow import book, daily, vehicle_models
from fleet_assets.model_flow import drift as drift_flow
from fleet_assets.model_flow.drift import NothingToReportError, drift_report, vehicle_days
from fleet_assets.model_flow.groups import groups_of
from fleet_assets.model_flow.releases import (
    Fitted,
    Index,
    indexes,
    newest,
    read_release,
    write_release,
)
from fleet_assets.model_flow.vehicle_models import Refreshed
from fleet_assets.models.frame import INPUTS
from fleet_assets.models.recalibration import HALF_WEIGHT, recalibrated
from fleet_assets.models.releases import Release
from fleet_assets.models.vehicle import fit_vehicle
from fleet_assets.rules.resolve import VEHICLE_SCHEMA
from tests.model_data import healthy_days
from tests.model_rows import verdict, version_of

TRAINED = Span(date(2026, 3, 2), date(2026, 3, 12))
TODAY = date(2026, 3, 20)
TYPES = {f"v{n:02}": ("truck", "van")[n % 2] for n in range(40)}


def windows(days: Span, shift: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Two windows a vehicle and day; trucks' rpm may be shifted."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(days.days):
        day = datetime.combine(days.first_day + timedelta(days=number), time(12), UTC)
        for who, kind in TYPES.items():
            moved = 1500 + int(who[1:]) * 5 + (shift if kind == "truck" else 0.0)
            for end in (day + timedelta(seconds=10), day + timedelta(seconds=20)):
                rpm, speed = moved + random.normal(0, 10), 30 + random.normal(0, 1)
                rows.append((f"{day:%Y-%m-%dT%H}", who, end, rpm, speed, 0.0))
    names = ["event_hour", "vehicle_id", "window_end", "rpm_mean_60s", "speed_mean_60s",
             "silent_share_300s"]  # fmt: skip
    return pl.DataFrame(rows, schema=names, orient="row")


def filled(lake: Lake, *parts: pl.DataFrame) -> Lake:
    table = lake.open("feature_windows")
    rows = pl.concat(parts)
    lacking = [
        pl.lit(None).alias(name) for name in table.contract.names if name not in rows.columns
    ]
    whole = rows.with_columns(lacking).select(table.contract.names)
    by_hour = whole.cast(table.contract.polars_schema).partition_by("event_hour", as_dict=True)  # type: ignore[arg-type]
    marks = {app_id(str(hour)): 1 for (hour,) in by_hour}
    table.commit_files(
        {str(hour): [of] for (hour,), of in by_hour.items()}, table.files.clear(), marks
    )
    return lake


@pytest.mark.parametrize(("shift", "alarming"), [(0.0, []), (60.0, ["truck"])])
def test_drift_is_told_from_feature_windows(
    tmp_path: Path, shift: float, alarming: list[str]
) -> None:
    now = Span(TODAY - timedelta(days=6), TODAY)
    lake = filled(Lake(str(tmp_path)), windows(TRAINED), windows(now, shift, seed=2))
    report = drift_report(lake, TYPES, TRAINED, TODAY)
    assert report.types_to_train == alarming
    assert set(report.alarms["feature"]) == ({"rpm_mean_60s"} if alarming else set())


def test_means_of_a_day_are_kept_until_its_windows_change(tmp_path: Path) -> None:
    one = Span(TODAY, TODAY)
    lake = filled(Lake(str(tmp_path)), windows(one))
    days = vehicle_days(lake, {"v00": "truck"}, one)
    assert days.select("vehicle_id", "vehicle_type", "day").row(0) == ("v00", "truck", TODAY)
    mine = windows(one).filter(vehicle_id="v00")
    assert days["rpm_mean_60s"][0] == pytest.approx(mine["rpm_mean_60s"].mean())
    assert vehicle_days(lake, {"v00": "truck"}, TRAINED).is_empty()
    artifacts = Artifacts(lake.url)
    (kept,) = artifacts.names("vehicle_day_means")
    assert vehicle_days(lake, {"v00": "truck"}, one).equals(days)
    assert artifacts.names("vehicle_day_means") == [kept]
    table = lake.open("feature_windows")
    hour = table.files["event_hour"][0]
    table.commit_files({}, table.files, {app_id(hour): 2})
    assert vehicle_days(lake, {"v00": "truck"}, one).is_empty()


def test_without_features_drift_says_which_days_lack(tmp_path: Path) -> None:
    lake = filled(Lake(str(tmp_path)), windows(TRAINED))
    with pytest.raises(NothingToReportError, match="from 2026-03-14 to 2026-03-20"):
        drift_report(lake, TYPES, TRAINED, TODAY)


def test_a_champion_without_features_does_not_hide_the_drift_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Span(TODAY - timedelta(days=6), TODAY)
    lake = filled(Lake(str(tmp_path)), windows(TRAINED), windows(now, 60.0, seed=2))
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    later = begin + timedelta(days=90)
    of = {
        "fm-1": version_of(
            "fm-1", first_event_time=begin, last_event_time=begin + timedelta(days=10)
        ),
        "fm-2": version_of("fm-2", first_event_time=later, last_event_time=later),
    }
    audit = [
        rollout.first([], Request("bus", begin, "me", "first"), "fm-1"),
        rollout.first([], Request("truck", begin, "me", "first"), "fm-1"),
        rollout.first([], Request("van", begin, "me", "first"), "fm-2"),
    ]
    noted: list[str] = []
    answers: dict[str, Any] = {
        "read_audit": lambda _: audit, "groups_of_register": lambda _: TYPES,
        "version": lambda _, each: of[each], "note_drift": lambda *given: noted.append(given[2]),
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(drift_flow, name, answer)
    told = drift_flow.drift_reports(lake, "nothing", TODAY)
    assert [(each.champion, each.report.types_to_train) for each in told.found] == [
        ("fm-1", ["truck"])
    ]
    assert "from 2026-05-31 to 2026-05-31" in told.untold["fm-2"]
    assert noted == ["fm-1"]
    audit = audit[2:]
    with pytest.raises(NothingToReportError, match="2026-05-31"):
        drift_flow.drift_reports(lake, "nothing", TODAY)


def test_a_group_without_vehicles_has_no_features(tmp_path: Path) -> None:
    lake = filled(Lake(str(tmp_path)), windows(TRAINED))
    with pytest.raises(NothingToReportError, match="from 2026-03-02"):
        drift_report(lake, {}, TRAINED, TODAY)


def test_the_newest_type_of_a_vehicle_is_its_group() -> None:
    rows = [
        {"vehicle_id": "a", "valid_from": datetime(2026, 1, 1, tzinfo=UTC), "vehicle_type": "van"},
        {"vehicle_id": "a", "valid_from": datetime(2026, 2, 1, tzinfo=UTC), "vehicle_type": "suv"},
        {"vehicle_id": "b", "valid_from": datetime(2026, 1, 1, tzinfo=UTC), "vehicle_type": None},
    ]
    assert groups_of(pl.DataFrame(rows, schema=VEHICLE_SCHEMA)) == {"a": "suv", "b": "fleet"}


def test_spans_end_with_the_newest_closed_day_once_there_are_enough() -> None:
    days = [date(2026, 3, n) for n in (1, 2, 5, 6)]
    assert newest_span([], 30) is None
    assert newest_span(days[:1], 30) == Span(days[0], days[0])
    assert newest_span(days[:3], 30) == Span(days[0], days[2])  # few days: all of them
    assert newest_span(days, 30) == Span(days[0], days[2])
    assert newest_span(days, 2) == Span(date(2026, 3, 4), date(2026, 3, 5))


def test_newest_hours_come_from_the_newest_days() -> None:
    days = {
        date(2026, 3, day): [f"2026-03-{day:02}T{hour:02}" for hour in range(8, 18)]
        for day in (1, 2, 3, 4)
    }
    found = newest_hours("v1", days, 8)
    assert [each.day.day for each in found] == [4, 3, 2]
    assert found[0].last_hour == "2026-03-04T17"
    assert sum(each.driven_hours for each in found) == 9
    few = newest_hours("v1", {date(2026, 3, 1): ["2026-03-01T08"]}, 8)
    assert [each.driven_hours for each in few] == [1]


def test_few_new_windows_move_what_is_usual_and_more_move_it_further() -> None:
    frame = healthy_days("v1", 2)
    vehicle = fit_vehicle(frame, 1)
    hotter = frame.with_columns(pl.col("coolant_temp_mean") + 20, pl.col("engine_rpm_mean") + 300)
    coolant = INPUTS.index("coolant_temp_mean")

    def moved(windows: int) -> tuple[float, float]:
        after = recalibrated(vehicle, hotter.head(windows))
        rpm = after.expectations["rpm"].off["all"][2] - vehicle.expectations["rpm"].off["all"][2]
        return after.usual[coolant] - vehicle.usual[coolant], rpm

    assert moved(20) == (0.0, 0.0)
    some, more = moved(100), moved(HALF_WEIGHT)
    assert 0 < some[0] < more[0] < 20
    assert 0 < some[1] < more[1] < 320
    after = recalibrated(vehicle, hotter)
    known = ~np.isnan(vehicle.usual)
    assert (after.low[known] < after.usual[known]).all()
    assert (after.usual[known] < after.high[known]).all()
    same = recalibrated(vehicle, frame)
    assert abs(same.usual[coolant] - vehicle.usual[coolant]) < 1


def test_releases_serve_whole_days_and_the_newest_one_counts(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))

    def index(day: int, serves: int, number: int, *vehicles: str) -> Index:
        fitted = {who: Fitted("fitted", "2026-03-01T00:00:00+00:00", 500) for who in vehicles}
        return Index("fm-1", date(2026, 3, day), number, date(2026, 3, serves), fitted)

    first, second = index(1, 3, 1, "a", "b"), index(2, 4, 1, "b")
    for each in (second, first):
        write_release(artifacts, each, {0: Release({})})
    assert indexes(artifacts, "fm-1") == [first, second]
    assert newest(indexes(artifacts, "fm-1"), date(2026, 3, 2)) == {}
    early = newest(indexes(artifacts, "fm-1"), date(2026, 3, 3))
    assert {who: of[0].day.day for who, of in early.items()} == {"a": 1, "b": 1}
    late = newest(indexes(artifacts, "fm-1"), date(2026, 3, 9))
    assert {who: of[0].day.day for who, of in late.items()} == {"a": 1, "b": 2}
    assert set(newest(indexes(artifacts, "fm-1"), date(2026, 3, 9), {"a"})) == {"a"}
    again = index(1, 4, 2, "a")
    write_release(artifacts, again, {0: Release({})})
    assert again.name == "models/fm-1/vehicles/2026-03-01.2.json"
    assert newest(indexes(artifacts, "fm-1"), date(2026, 3, 9))["a"][0] == again


def test_a_release_that_was_cut_off_is_written_again_and_a_whole_one_never(tmp_path: Path) -> None:
    artifacts, day = Artifacts(str(tmp_path)), date(2026, 3, 1)
    fitted = {"a": Fitted("fitted", "2026-03-01T00:00:00+00:00", 500)}
    index = Index("fm-1", day, 1, date(2026, 3, 3), fitted)
    artifacts.write(f"{index.stem}/0.zip", b"of a writer that was killed before its index")
    one, two = (Release({}, types={"a": name}) for name in ("truck", "van"))
    write_release(artifacts, index, {0: one})
    assert read_release(artifacts, index, 0) == one
    with pytest.raises(FleetError, match="there already"):
        write_release(artifacts, index, {0: two})


def test_a_model_that_cannot_be_read_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Refreshed(None, {"kept": 1}, is_old=False, seconds=0.1)
    monkeypatch.setattr(daily, "models_at_work", lambda _: {"fm-gone": ["van"], "fm-1": ["truck"]})
    monkeypatch.setattr(daily, "groups_of_register", lambda _: {"v1": "truck"})
    monkeypatch.setattr(daily, "feedback_of", lambda _: None)
    asked: list[date] = []
    monkeypatch.setattr(daily, "known_until", lambda _, __, day: asked.append(day))
    monkeypatch.setattr(daily, "refresh_vehicles", lambda *_, **__: good)
    monkeypatch.setattr(
        daily, "unusable", lambda _, model: "its file is missing" if model == "fm-gone" else None
    )
    done = daily.refresh_all(Lake(str(tmp_path)), "nothing", TODAY)
    assert done["fm-gone"].problem == "its file is missing"
    assert done["fm-1"] == good
    assert asked == [TODAY], "what is known is the same for all models"
    monkeypatch.setattr(daily, "models_at_work", lambda _: {})
    assert daily.refresh_all(Lake(str(tmp_path)), "nothing", TODAY) == {}


def test_models_at_work_serve_are_tried_or_may_still_come_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    old, new = (
        version_of(name, trained_at=begin + timedelta(days=n), groups=("van",))
        for n, name in enumerate(("fm-old", "fm-new"))
    )
    audit: list[AuditRow] = []
    monkeypatch.setattr(daily, "versions", lambda _: [new, old])
    monkeypatch.setattr(daily, "read_audit", lambda _: audit)
    assert daily.models_at_work("") == {"fm-new": ["van"]}
    audit.append(rollout.first([], Request("van", begin, "me", "first"), "fm-old"))
    assert daily.models_at_work("") == {"fm-old": ["van"], "fm-new": ["van"]}
    stay = verdict("stay", "van").of("van")
    audit.append(rollout.challenge(audit, Request("van", begin, "me", "new"), "fm-new", stay))
    assert audit[-1].action == "refuse"
    assert daily.models_at_work("") == {"fm-old": ["van"]}


def test_those_with_most_new_hours_share_files_with_their_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vehicle_models, "MOST_VEHICLES", 4)
    monkeypatch.setattr(vehicle_models, "SHARD_VEHICLES", 2)
    hours = {"e": 9, "d": 1, "c": 5, "b": 7, "a": 6}
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    due = {who: vehicle_models.Due("fitted", begin, new) for who, new in hours.items()}
    assert vehicle_models.in_files(due) == [["a", "b"], ["c", "e"]]


def test_a_book_lists_the_releases_of_a_model_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = {"a": Fitted("fitted", "2026-03-01T00:00:00+00:00", 500)}
    index = Index("fm-1", date(2026, 3, 1), 1, date(2026, 3, 3), fitted)
    listings: list[str] = []
    told = [index]
    monkeypatch.setattr(book, "indexes", lambda _, model: listings.append(model) or list(told))
    monkeypatch.setattr(book, "read_audit", lambda _: [])
    monkeypatch.setattr(book, "vehicles_by_time", lambda _: VEHICLE_SCHEMA.to_frame())
    loaded: list[Any] = []
    monkeypatch.setattr(book, "model_for", lambda *given: loaded.append(given[-1]))
    made = book.model_book(Lake(str(tmp_path)), "nothing")
    assert made.files("fm-1", "2026-03-02") == []
    assert made.files("fm-1", "2026-03-03") == [index.name]
    told.append(replace(index, number=2))  # released while the book is used: it is of another book
    made.load("fm-1", "2026-03-03", ["a"])
    assert loaded == [[index]]
    assert listings == ["fm-1"]
