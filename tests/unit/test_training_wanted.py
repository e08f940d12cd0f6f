"""When a training is asked for before its weekday: the first one, and by drift."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fleet_assets.lake.store import Lake
from fleet_assets.model_choice.audit import AuditRow, Serving
from fleet_assets.model_choice.drift import DRIFT_SCHEMA
from fleet_assets.model_flow import wanted
from fleet_assets.model_flow.wanted import LEAST_HOURS, REST, training_wanted
from fleet_assets.warehouse.model_drift import NOTED_DRIFT_SCHEMA
from fleet_assets.warehouse.model_registry import ModelVersion

TRAINED = datetime(2026, 3, 9, 3, 10, tzinfo=UTC)


def version(at: datetime = TRAINED) -> ModelVersion:
    return ModelVersion("fm-1", {}, "ts-1", "d", at, "test", at, at, ("truck",))


def failure(at: datetime) -> AuditRow:
    state = Serving("fm-1")
    return AuditRow(1, at, at, "test", "truck", "training_failed", state, state, "it broke")


def drift_on(day: date, *, alarm: bool = True) -> pl.DataFrame:
    row = dict.fromkeys(DRIFT_SCHEMA) | {"vehicle_type": "truck", "alarm": alarm}
    return pl.DataFrame([{"day": day, "version_id": "fm-1"} | row], schema=NOTED_DRIFT_SCHEMA)


def ask(
    monkeypatch: pytest.MonkeyPatch,
    versions: list[ModelVersion],
    audit: list[AuditRow],
    drift: pl.DataFrame | None = None,
    hours: int = 0,
) -> wanted.Wanted:
    known = NOTED_DRIFT_SCHEMA.to_frame() if drift is None else drift
    answers: dict[str, Any] = {
        "versions": versions, "read_audit": audit, "drift_rows": known,
        "groups_of_register": {"v1": "truck"},
    }  # fmt: skip
    for name, value in answers.items():
        monkeypatch.setattr(wanted, name, lambda *_, value=value: value)
    monkeypatch.setattr(wanted, "_driven_hours", lambda *_: hours)
    return training_wanted(Lake("nowhere"), "nothing")


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
    assert not ask(monkeypatch, [version()], []).is_wanted
    assert not ask(monkeypatch, [version()], [], drift_on(day + REST, alarm=False)).is_wanted
    soon = ask(monkeypatch, [version()], [], drift_on(day + REST - timedelta(days=1)))
    assert not soon.is_wanted
    later = ask(monkeypatch, [version()], [], drift_on(day + REST))
    assert later.is_wanted
    assert "truck" in later.reason
    failed = [failure(TRAINED + timedelta(days=1))]
    assert not ask(monkeypatch, [version()], failed, drift_on(day + REST)).is_wanted


def test_without_vehicles_there_are_no_hours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("versions", "read_audit"):
        monkeypatch.setattr(wanted, name, lambda *_: [])
    assert training_wanted(Lake(str(tmp_path)), "nothing").reason.startswith(
        "the first training: 0"
    )
