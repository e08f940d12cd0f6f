"""Labels of all sources have one shape and say where they come from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from injection_data import healthy

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.injection.inject import inject
from fleet_assets.injection.labels import (
    LABEL_SCHEMA,
    labels_of_faults,
    labels_of_feedback,
    labels_of_rules,
)
from fleet_assets.injection.plan import Chosen, plan
from fleet_assets.injection.truth import TIME, TRUTH_SCHEMA

START = datetime(2026, 2, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULE_ANOMALIES = TABLE_BY_NAME["rule_anomalies"].polars_schema
FEEDBACK = {
    "feedback_id": pl.Int64, "anomaly_id": pl.String, "current_id": pl.String,
    "is_true": pl.Boolean, "vehicle_id": pl.String, "condition": pl.String,
    "started_at": TIME, "ended_at": TIME,
}  # fmt: skip
ONLY_INJECTED = ["family", "magnitude", "unit", "is_clear", "seed"]


def anomaly(anomaly_id: str, condition: str = "R18", **more: Any) -> dict[str, Any]:
    usual = {"vehicle_id": "v1", "anomaly_type": "over_speeding", "stage": "live"}
    span = {"started_at": START, "ended_at": START + MINUTE}
    return {"anomaly_id": anomaly_id, "condition": condition} | usual | span | more


def rules(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=RULE_ANOMALIES)


def feedback(*rows: tuple[int, str, str | None, bool]) -> pl.DataFrame:
    usual = {"vehicle_id": "v1", "condition": "R18"}
    span = {"started_at": START + 9 * MINUTE, "ended_at": START + 10 * MINUTE}
    names = ("feedback_id", "anomaly_id", "current_id", "is_true")
    return pl.DataFrame(
        [dict(zip(names, row, strict=True)) | usual | span for row in rows], schema=FEEDBACK
    )


def test_injected_faults_keep_all_that_is_known_of_them() -> None:
    telemetry = healthy(minutes=170)
    _, truth = inject(telemetry, plan(telemetry, 1, Chosen(untouched=0)))
    found = labels_of_faults(truth)
    assert found.schema == LABEL_SCHEMA
    assert found.select(TRUTH_SCHEMA.names()).equals(truth)
    assert set(found["source"]) == {"injected"}
    assert found["is_true"].all()


def test_rules_that_count_are_weak_labels() -> None:
    found = labels_of_rules(
        rules(
            anomaly("c", "R35/engine_rpm", anomaly_type="sensor_failure", vehicle_id="v2"),
            anomaly("a"),
            anomaly("b", stage="shadow"),
            anomaly("d", "R41/P0300", started_at=START + MINUTE),
        )
    )
    assert found.schema == LABEL_SCHEMA
    assert found["fault_id"].to_list() == ["a", "d", "c"]
    assert found["kind"].to_list() == ["over_speeding", "over_speeding", "sensor_failure"]
    assert found["signal"].to_list() == [None, None, "engine_rpm"]
    assert found["started_at"].to_list() == [START, START + MINUTE, START]
    assert found["ended_at"][0] == START + MINUTE
    assert set(found["source"]) == {"rule"}
    assert found["is_true"].all()
    assert all(found[name].null_count() == found.height for name in ONLY_INJECTED)


def test_rules_on_trial_count_when_named() -> None:
    anomalies = rules(anomaly("a"), anomaly("b", stage="shadow"))
    assert labels_of_rules(anomalies, ("live", "shadow")).height == 2


def test_the_last_word_on_an_anomaly_counts() -> None:
    given = feedback((3, "a", None, False), (1, "a", None, True), (2, "b", None, True))
    found = labels_of_feedback(given, rules(anomaly("a"), anomaly("b"), anomaly("c")))
    assert found.schema == LABEL_SCHEMA
    assert found["fault_id"].to_list() == ["a", "b"]
    assert found["is_true"].to_list() == [False, True]
    assert set(found["source"]) == {"feedback"}
    assert found["started_at"].to_list() == [START, START]
    assert found["kind"].to_list() == ["over_speeding"] * 2


def test_feedback_follows_an_anomaly_that_is_called_otherwise_now() -> None:
    given = feedback((1, "old", "new", True), (2, "older", "new", False))
    found = labels_of_feedback(given, rules(anomaly("new")))
    assert found.select("fault_id", "is_true").rows() == [("new", False)]


def test_feedback_on_an_anomaly_that_is_gone_keeps_its_span() -> None:
    found = labels_of_feedback(feedback((1, "gone", None, False)), rules(anomaly("a")))
    assert found["started_at"].to_list() == [START + 9 * MINUTE]
    assert found["vehicle_id"].to_list() == ["v1"]
    assert found["kind"].to_list() == [None]


@pytest.mark.parametrize(
    "found",
    [
        labels_of_faults(TRUTH_SCHEMA.to_frame()),
        labels_of_rules(RULE_ANOMALIES.to_frame()),
        labels_of_feedback(pl.DataFrame(schema=FEEDBACK), RULE_ANOMALIES.to_frame()),
    ],
)
def test_nothing_gives_nothing_in_the_same_shape(found: pl.DataFrame) -> None:
    assert found.schema == LABEL_SCHEMA
    assert found.is_empty()
