"""Scoring of a lake by models: over the turn of the hour, in any order, with pins and trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judging import bring_up
from polars.testing import assert_frame_equal
from telemetry_data import land_values

from fleet_assets.errors import FleetError
from fleet_assets.lake.anomalies import collect_anomalies, hours_to_collect
from fleet_assets.lake.by_onset import stitch_hours
from fleet_assets.lake.feature_windows import hours_to_window, refresh_feature_windows
from fleet_assets.lake.model_anomalies import by_models
from fleet_assets.lake.model_segments import hours_to_score, refresh_model_segments
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.model_choice.audit import AuditRow, Serving
from fleet_assets.models.fleet_model import FleetModel
from fleet_assets.scoring.book import ModelBook
from tests.scoring_data import FAILS, LASTS, START, failing_drive, small_model

FIRST, SECOND = "fm-0123456789ab", "fm-ba9876543210"
FAILS_AT = START + FAILS
EVER = datetime(2026, 1, 1, tzinfo=UTC)
VEHICLES = pl.DataFrame(
    {"vehicle_id": ["v1", "v2"], "valid_from": [EVER] * 2, "vehicle_type": ["sedan", None]},
    schema_overrides={"valid_from": pl.Datetime("us", "UTC")},
)


def served(*states: tuple[datetime, str, Serving]) -> ModelBook:
    """A book by an audit: when, which group, what serves."""
    rows: list[AuditRow] = []
    for number, (valid_from, group, after) in enumerate(states, 1):
        before = next((row.after for row in reversed(rows) if row.group == group), None)
        action = "first" if before is None else "to_all"
        rows.append(
            AuditRow(number, valid_from, valid_from, "test", group, action, before, after, "test")  # type: ignore[arg-type]
        )
    return ModelBook(rows, VEHICLES, lambda *_: (), lambda *_: small_model())


ALWAYS = served((EVER, "sedan", Serving(FIRST)), (EVER, "fleet", Serving(FIRST)))


@cache
def messages() -> tuple[bytes, ...]:
    """50 minutes over the turn of the hour; v1 sends null for its engine speed for 12 of them."""
    both = (*failing_drive("v1"), *failing_drive("v2", 91, fails=False))
    return tuple(message for _, message in both)


def score(lake: Lake, book: ModelBook) -> None:
    """What the pipeline does once messages are taken in."""
    for hour in hours_to_window(lake):
        refresh_feature_windows(lake, hour)
    for hour in hours_to_score(lake, book):
        refresh_model_segments(lake, hour, book)
    assert not hours_to_score(lake, book)
    found = by_models()
    stitch_hours(lake, found.follows.hours_left(lake), found)
    assert not found.follows.hours_left(lake)
    collect_anomalies(lake, hours_to_collect(lake))


def arrive(folder: str, batches: Sequence[Sequence[bytes]], book: ModelBook = ALWAYS) -> Lake:
    lake, landed = Lake(folder), 0
    for batch in batches:
        if batch:
            land_values(lake, batch, start=landed, append_time=START + timedelta(days=1))
            landed += len(batch)
            bring_up(lake)
            score(lake, book)
    return lake


def of(lake: Lake, table: str) -> pl.DataFrame:
    return lake.open(table).read()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return arrive(str(tmp_path_factory.mktemp("lake")), [messages()])


def test_a_fault_over_the_turn_of_the_hour_is_one_anomaly_with_its_bounds(whole: Lake) -> None:
    found = of(whole, "model_anomalies").filter(pl.col("fault") == "dropout/engine_rpm")
    assert found.height == 1
    one = found.row(0, named=True)
    assert one["vehicle_id"] == "v1"
    assert one["event_hour"] == "2026-02-02T04"
    assert one["started_at"] == FAILS_AT
    assert abs(one["ended_at"] - (FAILS_AT + LASTS)) <= timedelta(seconds=2)
    assert one["detected_at"] - FAILS_AT <= timedelta(seconds=40)
    assert (one["fault"], one["anomaly_type"]) == ("dropout/engine_rpm", "sensor_failure")
    assert (one["stage"], one["state"], one["model_id"]) == ("live", "closed", FIRST)
    evidence = json.loads(one["evidence"])
    assert evidence["reasons"]
    assert evidence["judged_by"] == "its own forests"
    assert "engine speed sensor sends no value" in one["description"]
    assert 0 < one["confidence"] <= 1


def test_it_stands_beside_what_the_rules_found_and_shares_its_finding(whole: Lake) -> None:
    rows = of(whole, "anomalies").filter(
        pl.col("vehicle_id") == "v1",
        pl.col("anomaly_type") == "sensor_failure",
        pl.col("ended_at") >= FAILS_AT,
    )
    assert set(rows["source"]) == {"rule", "model"}
    assert rows["finding_id"].n_unique() == 1
    assert rows.filter(pl.col("source") == "model")["rule_id"].to_list() == [None]
    assert rows.filter(pl.col("source") == "rule")["model_id"].null_count() >= 1


def test_every_window_is_accounted_for(whole: Lake) -> None:
    windows = of(whole, "feature_windows").group_by("event_hour").len()
    told = of(whole, "model_hours").group_by("event_hour").agg(pl.col("windows").sum())
    both = windows.join(told, on="event_hour")
    assert both.height == 2
    assert (both["len"] == both["windows"]).all()
    assert set(of(whole, "model_hours")["vehicle_group"]) == {"sedan", "fleet"}


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.integers(2, 4))
def test_any_arrival_ends_in_the_same_anomalies(whole: Lake, seed: int, batches: int) -> None:
    shuffled = list(messages())
    Random(seed).shuffle(shuffled)
    with TemporaryDirectory() as folder:
        lake = arrive(folder, [shuffled[number::batches] for number in range(batches)])
        for table in ("model_segments", "model_hours", "model_anomalies"):
            key = list(lake.open(table).contract.key)
            assert_frame_equal(of(lake, table).sort(key), of(whole, table).sort(key))
        drop = ["revision", "finding_id"]
        mine, theirs = (
            of(each, "anomalies").drop(drop).sort("anomaly_id") for each in (lake, whole)
        )
        assert_frame_equal(mine, theirs)


def test_an_hour_before_the_first_model_is_not_scored_and_one_on_trial_counts_nothing(
    tmp_path: Path,
) -> None:
    later = datetime(2026, 2, 2, 5, tzinfo=UTC)
    trial = Serving(FIRST, SECOND, "shadow")
    book = served((later, "sedan", trial))
    lake = arrive(str(tmp_path), [messages()], book)
    assert set(of(lake, "model_hours")["event_hour"]) == {"2026-02-02T05"}
    found = of(lake, "model_anomalies").filter(pl.col("vehicle_id") == "v1")
    assert dict(found.select("stage", "model_id").iter_rows()) == {"live": FIRST, "shadow": SECOND}
    assert set(of(lake, "anomalies").drop_nulls("model_id")["model_id"]) == {FIRST}
    # v2 has no type, and nothing serves the group of those
    assert of(lake, "model_hours")["vehicles"].to_list() == [1, 1]


def test_a_model_on_trial_that_cannot_be_read_costs_only_its_own_scores(tmp_path: Path) -> None:
    def load(model_id: str, *_: object) -> FleetModel:
        if model_id == SECOND:
            raise FleetError(f"{SECOND} is damaged.")
        return small_model()

    book = replace(served((EVER, "sedan", Serving(FIRST, SECOND, "shadow"))), load=load)
    lake = arrive(str(tmp_path), [messages()], book)
    hours = (
        of(lake, "model_hours").group_by("stage").agg(pl.col("windows", "unscored_windows").sum())
    )
    by_stage = {stage: (windows, unscored) for stage, windows, unscored in hours.iter_rows()}
    windows, unscored = by_stage["live"]
    assert unscored < windows == by_stage["shadow"][1]
    assert set(of(lake, "model_anomalies")["model_id"]) == {FIRST}

    with pytest.raises(FleetError, match="damaged"):
        refresh_model_segments(
            lake, "2026-02-02T04", replace(served((EVER, "sedan", Serving(SECOND))), load=load)
        )


def test_what_is_left_to_score_is_told_without_reading_windows(
    whole: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scan = TableSnapshot.scan

    def noted(self: TableSnapshot, files: pl.DataFrame) -> pl.LazyFrame:
        read.append(self.contract.name)
        return scan(self, files)

    monkeypatch.setattr(TableSnapshot, "scan", noted)
    other = served((EVER, "sedan", Serving(SECOND)))
    assert hours_to_score(whole, ALWAYS) == []
    assert hours_to_score(whole, other) == ["2026-02-02T04", "2026-02-02T05"]
    assert set(read) == {"rule_eligibility"}
    read.clear()
    assert hours_to_score(whole, other, compare_models=False) == []
    assert not read


def test_vehicles_fitted_anew_make_the_sensor_compare(whole: Lake) -> None:
    fitted = replace(ALWAYS, files=lambda model, day: ["2026-02-02"] if day >= "2026-02-02" else [])
    assert fitted.whole_fingerprint != ALWAYS.whole_fingerprint
    assert hours_to_score(whole, fitted) == ["2026-02-02T04", "2026-02-02T05"]


def test_a_new_champion_leaves_earlier_hours_as_they_were(whole: Lake, tmp_path: Path) -> None:
    lake = arrive(str(tmp_path), [messages()])
    before = of(lake, "model_segments").filter(pl.col("event_hour") == "2026-02-02T04")
    five = datetime(2026, 2, 2, 5, tzinfo=UTC)
    changed = served(
        (EVER, "sedan", Serving(FIRST)), (EVER, "fleet", Serving(FIRST)),
        (five, "sedan", Serving(SECOND)), (five, "fleet", Serving(SECOND)),
    )  # fmt: skip
    assert hours_to_score(lake, changed) == ["2026-02-02T05"]
    score(lake, changed)
    rows = of(lake, "model_segments")
    assert_frame_equal(rows.filter(pl.col("event_hour") == "2026-02-02T04"), before)
    assert set(rows.filter(pl.col("event_hour") == "2026-02-02T05")["condition"]) == {
        f"live/{SECOND}"
    }
    # pinned anew for an explicit backfill: nothing of the other model is left
    score(lake, ALWAYS)
    for table in ("model_segments", "model_anomalies", "model_hours"):
        key = list(lake.open(table).contract.key)
        assert_frame_equal(of(lake, table).sort(key), of(whole, table).sort(key))
