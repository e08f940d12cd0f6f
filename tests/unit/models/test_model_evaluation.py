"""Figures of detectors: plain events, plain windows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from fleet_assets.injection.truth import TRUTH_SCHEMA
from fleet_assets.models.evaluation import (
    Outcome,
    by_kind,
    events_of,
    quality,
    reliability,
    vehicle_days,
)
from fleet_assets.models.kinds import AFTERMATH, HEALTHY, labels_of
from tests.model_data import BEGIN

TIME = pl.Datetime("us", "UTC")


def at(seconds: float) -> Any:
    return BEGIN + timedelta(seconds=seconds)


def faults(*spans: tuple[float, float], clear: bool = True, kind: str = "bias") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "vehicle_id": "v1", "fault_id": f"f{n}", "kind": kind, "family": "offset",
                "signal": "speed", "started_at": at(begin), "ended_at": at(end),
                "magnitude": 30.0, "unit": "%", "is_clear": clear, "seed": 1,
            }
            for n, (begin, end) in enumerate(spans)
        ],
        schema=TRUTH_SCHEMA,
    )  # fmt: skip


def alarms(*spans: tuple[float, float, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"vehicle_id": "v1", "started_at": at(a), "ended_at": at(b), "detected_at": at(c)}
            for a, b, c in spans
        ],
        schema={
            "vehicle_id": pl.String, "started_at": TIME, "ended_at": TIME, "detected_at": TIME,
        },
    )  # fmt: skip


def test_an_alarm_within_a_fault_finds_it_with_its_delay() -> None:
    events = events_of(Outcome(alarms((110, 200, 130)), faults((100, 300))))
    assert events["delay_s"].to_list() == [30]


@pytest.mark.parametrize("alarm", [(50, 200, 90), (301, 400, 320), (320, 400, 320), (0, 40, 20)])
def test_alarms_before_or_after_a_fault_do_not_find_it(alarm: tuple[float, float, float]) -> None:
    outcome = Outcome(alarms(alarm), faults((100, 300)))
    assert events_of(outcome)["detected_at"].null_count() == 1
    assert quality([outcome], alarms(), 1.0).precision == 0


def test_many_alarms_in_one_fault_are_all_true_and_find_it_once() -> None:
    outcome = Outcome(
        alarms((110, 120, 120), (150, 160, 160), (500, 510, 510)), faults((100, 300), (900, 950))
    )
    found = quality([outcome], alarms((0, 1, 1)), 20.0)
    assert found.precision == pytest.approx(2 / 3)
    assert (found.recall, found.clear_recall, found.delay_s) == (0.5, 0.5, 20)
    assert found.false_alarms_per_hour == 0.05


def test_faults_that_nobody_has_to_find_count_apart() -> None:
    truth = pl.concat([faults((100, 200)), faults((500, 600), clear=False)])
    truth = truth.with_columns(fault_id=pl.Series(["a", "b"]))
    found = quality([Outcome(alarms((510, 520, 520)), truth)], alarms(), 1.0)
    assert (found.recall, found.clear_recall) == (0.5, 0)
    told = by_kind([Outcome(alarms((510, 520, 520)), truth)])
    assert told.select("faults", "found", "clear", "clear_found").row(0) == (2, 1, 1, 0)


def test_windows_are_judged_plainly_and_without_the_aftermath() -> None:
    ends = [at(10.0 * n) for n in range(1, 61)]
    truth = faults((100, 200))
    windows = pl.DataFrame({"vehicle_id": ["v1"] * 60, "window_end": ends}).cast(
        {"window_end": TIME}
    )
    labels = labels_of(windows, truth)
    assert labels["fault"][:10].to_list() == [HEALTHY] * 10
    assert labels["fault"][10:20].to_list() == ["bias/speed"] * 10
    assert labels["fault"][20:50].to_list() == [AFTERMATH] * 30
    score = np.where((labels["fault"] == "bias/speed").to_numpy(), 2.0, 0.1)
    score[20:50] = 9.0
    outcome = Outcome(alarms(), truth, windows.with_columns(score=pl.Series(score)))
    found = quality([outcome], alarms(), 1.0, outcome.scores)
    assert (found.pr_auc, found.balanced_accuracy) == (1, 1)
    score[0:5], score[10:15] = 3.0, 0.0
    outcome = Outcome(alarms(), truth, windows.with_columns(score=pl.Series(score)))
    found = quality([outcome], alarms(), 1.0)
    assert found.pr_auc < 0.7
    assert found.balanced_accuracy == pytest.approx((0.5 + 14 / 19) / 2)


def test_short_faults_mark_the_step_that_has_most_of_them() -> None:
    windows = pl.DataFrame({"vehicle_id": ["v1"] * 3, "window_end": [at(10), at(20), at(30)]}).cast(
        {"window_end": TIME}
    )
    assert labels_of(windows, faults((12, 14)))["fault"][1] == "bias/speed"
    assert labels_of(windows, faults((12, 14)))["fault"][0] == HEALTHY


def test_vehicle_days_tell_faults_and_alarms_by_day() -> None:
    hours = pl.DataFrame(
        {"vehicle_id": ["v1", "v2"], "day": [BEGIN.date()] * 2, "hours": [2.0, 1.0]}
    )
    outcome = Outcome(alarms((110, 120, 120), (500, 510, 510)), faults((100, 200)))
    told = vehicle_days(outcome, hours)
    assert told.select("faults", "found", "alarms", "true_alarms").rows() == [
        (1, 1, 2, 1),
        (0, 0, 0, 0),
    ]


def test_reliability_by_tenths() -> None:
    told = reliability(pl.Series([0.05, 0.95, 0.95, 1.0]), pl.Series([False, True, True, False]))
    assert told["windows"].to_list() == [1, 3]
    assert told["share"].to_list() == [0, pytest.approx(2 / 3)]
