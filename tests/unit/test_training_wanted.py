"""When a training is asked for before its weekday: the first one, and by drift."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fleet_assets.lake.store import Lake
from fleet_assets.model_choice.audit import AuditRow, Serving
from fleet_assets.model_choice.drift import DRIFT_SCHEMA
from fleet_assets.model_flow import wanted
from fleet_assets.model_flow.wanted import COUNTS, LEAST_HOURS, REST, training_wanted
from fleet_assets.warehouse.model_drift import NOTED_DRIFT_SCHEMA
from fleet_assets.warehouse.model_registry import ModelVersion

TRAINED = datetime(2026, 3, 9, 3, 10, tzinfo=UTC)

SERVING = [
    AuditRow(1, TRAINED, TRAINED, "test", "truck", "first", None, Serving("fm-1"), "the first")
]


def version(at: datetime = TRAINED) -> ModelVersion:
    return ModelVersion("fm-1", {}, "ts-1", "d", at, "test", at, at, ("truck",))


def failure(at: datetime) -> AuditRow:
    state = Serving("fm-1")
    return AuditRow(2, at, at, "test", "truck", "training_failed", state, state, "it broke")


def drift_on(day: date, *, alarm: bool = True) -> pl.DataFrame:
    row = dict.fromkeys(DRIFT_SCHEMA) | {"vehicle_type": "truck", "alarm": alarm}
    return pl.DataFrame([{"day": day, "version_id": "fm-1"} | row], schema=NOTED_DRIFT_SCHEMA)


def ask(
    monkeypatch: pytest.MonkeyPatch,
    versions: list[ModelVersion],
    audit: list[AuditRow],
    drift: pl.DataFrame | None = None,
    hours: int = 0,
    today: date | None = None,
    problem: str | None = None,
) -> wanted.Wanted:
    known = NOTED_DRIFT_SCHEMA.to_frame() if drift is None else drift
    answers: dict[str, Any] = {
        "versions": versions, "read_audit": audit, "groups_of_register": {"v1": "truck"},
    }  # fmt: skip
    monkeypatch.setattr(wanted, "drift_rows", lambda _, first: known.filter(pl.col("day") >= first))
    for name, value in answers.items():
        monkeypatch.setattr(wanted, name, lambda *_, value=value: value)
    monkeypatch.setattr(wanted, "_driven_hours", lambda *_: hours)
    monkeypatch.setattr(wanted, "read_card", lambda *_: ({}, problem))
    wanted._read.cache_clear()
    return training_wanted(Lake("nowhere"), "nothing", today or TRAINED.date() + REST)


def test_the_first_training_waits_for_a_few_hours_and_is_not_tried_all_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not ask(monkeypatch, [], [], hours=LEAST_HOURS - 1).is_wanted
    assert ask(monkeypatch, [], [], hours=LEAST_HOURS).is_wanted
    again = ask(monkeypatch, [], [failure(TRAINED)], hours=100)
    assert not again.is_wanted
    assert "the schedule tries it again" in again.reason


def test_drift_asks_once_until_what_was_trained_could_be_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = TRAINED.date()
    assert not ask(monkeypatch, [version()], SERVING).is_wanted
    assert not ask(monkeypatch, [version()], SERVING, drift_on(day + REST, alarm=False)).is_wanted
    early = day + REST - timedelta(days=1)
    soon = ask(monkeypatch, [version()], SERVING, drift_on(early), today=early)
    assert not soon.is_wanted
    assert "drift counts from 2026-03-12 on" in soon.reason
    assert not ask(monkeypatch, [version()], SERVING, drift_on(early)).is_wanted
    later = ask(monkeypatch, [version()], SERVING, drift_on(day + REST))
    assert later.is_wanted
    assert "truck" in later.reason
    failed = [*SERVING, failure(TRAINED + timedelta(days=1))]
    assert not ask(monkeypatch, [version()], failed, drift_on(day + REST)).is_wanted


def test_while_no_model_serves_there_is_a_training_each_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day, refused = TRAINED.date(), AuditRow(
        1, TRAINED, TRAINED, "test", "truck", "refuse", None, None, "too loud; fm-1"
    )  # fmt: skip
    assert not ask(monkeypatch, [version()], [refused], today=day).is_wanted
    asked = ask(monkeypatch, [version()], [refused], today=day + timedelta(days=1))
    assert asked.is_wanted
    assert "no model serves" in asked.reason
    failed = replace(failure(TRAINED + timedelta(hours=1)), before=None, after=None)
    tried = [refused, failed]
    assert not ask(monkeypatch, [version()], tried, today=day + timedelta(days=1)).is_wanted


def test_a_champion_that_cannot_be_read_any_more_asks_unless_something_newer_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = "fm-1 cannot be used: the model has form 2, not 3: train it anew."
    found = ask(monkeypatch, [version()], SERVING, problem=problem, today=TRAINED.date())
    assert found.is_wanted
    assert problem in found.reason
    newer = replace(version(TRAINED + timedelta(hours=1)), version_id="fm-2")
    assert not ask(monkeypatch, [newer, version()], SERVING, problem=problem).is_wanted
    broken = [*SERVING, failure(TRAINED + timedelta(hours=1))]
    found = ask(monkeypatch, [version()], broken, problem=problem)
    assert (found.is_wanted, "schedule" in found.reason) == (False, True)


def test_a_version_that_can_be_read_is_read_once_one_that_cannot_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[str] = []

    def read(_: object, version_id: str) -> tuple[dict[str, Any], str | None]:
        reads.append(version_id)
        return {}, None if version_id == "fm-1" else "damaged"

    monkeypatch.setattr(wanted, "read_card", read)
    wanted._read.cache_clear()
    for name in ("fm-1", "fm-1", "fm-2", "fm-2"):
        serving = [replace(SERVING[0], after=Serving(name))]
        problem = wanted._unusable(Lake("nowhere"), name, serving)
        assert problem == (None if name == "fm-1" else "damaged")
    assert reads == ["fm-1", "fm-2", "fm-2"]


def test_drift_of_long_ago_or_of_who_does_not_serve_or_is_challenged_asks_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = TRAINED.date() + REST
    for days, is_wanted in ((COUNTS.days, True), (COUNTS.days + 1, False)):
        today = day + timedelta(days=days)
        asked = ask(monkeypatch, [version()], SERVING, drift_on(day), today=today)
        assert asked.is_wanted == is_wanted
    gone = drift_on(day).with_columns(version_id=pl.lit("fm-0"))
    assert not ask(monkeypatch, [version()], SERVING, gone).is_wanted
    trial = Serving("fm-1", "fm-2", "shadow")
    tried = AuditRow(
        2, TRAINED, TRAINED, "test", "truck", "challenge", Serving("fm-1"), trial, "new"
    )
    assert not ask(monkeypatch, [version()], [*SERVING, tried], drift_on(day)).is_wanted


def test_without_vehicles_there_are_no_hours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("versions", "read_audit"):
        monkeypatch.setattr(wanted, name, lambda *_: [])
    assert training_wanted(Lake(str(tmp_path)), "nothing").reason.startswith(
        "the first training: 0"
    )
