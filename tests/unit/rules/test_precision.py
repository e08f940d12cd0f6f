"""Recall and precision of both sides of a backtest, and the files of known faults they need."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from drives import START

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.truth import read_truth, write_truth
from fleet_assets.rules.findings import FINDING_SCHEMA
from fleet_assets.rules.precision import by_feedback, by_truth

END = START + timedelta(seconds=1000)


def at(second: float) -> Any:
    return START + timedelta(seconds=second)


def findings(*bounds: tuple[str, int, int]) -> pl.DataFrame:
    plain = {
        "condition": "R18", "anomaly_type": "over_speeding", "rule_id": "R18",
        "severity": "medium", "severity_history": [], "is_open": False, "samples": 1, "peak": 1.0,
    }  # fmt: skip
    rows = [
        plain | {"vehicle_id": of, "started_at": at(a), "ended_at": at(b), "detected_at": at(a),
                 "peak_at": at(a)}
        for of, a, b in bounds
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FINDING_SCHEMA)


def truth(*bounds: tuple[str, int, int]) -> pl.DataFrame:
    rows = [
        {"vehicle_id": of, "kind": "over_speeding", "start": at(a), "end": at(b)}
        for of, a, b in bounds
    ]
    return pl.DataFrame(rows)


def marks(*given: tuple[str, int, int, bool]) -> pl.DataFrame:
    rows = [
        {"vehicle_id": of, "condition": "R18", "started_at": at(a), "ended_at": at(b), "is_true": t}
        for of, a, b, t in given
    ]
    return pl.DataFrame(rows)


def test_both_sides_are_measured_against_the_same_faults() -> None:
    known = truth(("a", 100, 200), ("b", 100, 200))
    before = findings(("a", 110, 190))
    after = findings(("a", 110, 190), ("b", 110, 190), ("b", 500, 600), ("c", 500, 600))
    of_type, of_rule = by_truth(before, after, known, START, END).rows(named=True)
    assert of_type == {
        "anomaly_type": "over_speeding", "rule_id": None, "faults": 2, "findings_in_force": 1,
        "findings_proposed": 4, "recall_in_force": 0.5, "recall_proposed": 1.0,
        "precision_in_force": 1.0, "precision_proposed": 0.5,
    }  # fmt: skip
    nothing_asked = {"faults": None, "recall_in_force": None, "recall_proposed": None}
    assert of_rule == of_type | {"rule_id": "R18"} | nothing_asked


def test_each_rule_has_a_precision_of_its_own() -> None:
    known = truth(("a", 100, 200), ("b", 100, 200))
    found = findings(("a", 110, 190), ("b", 110, 190), ("b", 500, 600)).with_columns(
        rule_id=pl.Series(["R18", "R19", "R19"])
    )
    rows = by_truth(found, findings(), known, START, END).drop_nulls("rule_id")
    told = rows.select("rule_id", "findings_in_force", "precision_in_force", "findings_proposed")
    assert told.rows() == [("R18", 1, 1.0, 0), ("R19", 2, 0.5, 0)]


def test_a_fault_that_the_span_cuts_is_not_asked_for_nor_is_its_finding_wrong() -> None:
    known = truth(("a", -50, 20), ("a", 990, 1200), ("a", 5000, 6000))
    before, after = findings(("a", 0, 20)), findings()
    row = by_truth(before, after, known, START, END).row(0, named=True)
    assert (row["faults"], row["recall_in_force"], row["recall_proposed"]) == (0, None, None)
    assert (row["precision_in_force"], row["findings_proposed"]) == (1.0, 0)


def test_a_finding_is_as_true_as_the_anomaly_that_was_marked_there() -> None:
    said = marks(("a", 100, 200, True), ("a", 150, 160, False), ("b", 100, 200, False))
    before = findings(("a", 110, 120), ("b", 200, 210), ("b", 300, 310), ("c", 100, 200))
    after = findings(("a", 155, 156))
    row = by_feedback(before, after, said).row(0, named=True)
    assert row == {
        "anomaly_type": "over_speeding", "rule_id": "R18", "marked_in_force": 2,
        "marked_proposed": 1, "precision_in_force": 0.5, "precision_proposed": 1.0,
    }  # fmt: skip
    assert by_feedback(before, after, marks(("z", 0, 1, True))).is_empty()


@pytest.mark.parametrize("name", ["truth.ndjson", "truth.csv"])
def test_a_file_of_truth_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    row = {
        "vehicle_id": "7", "kind": "over_speeding", "start": "2026-02-01T05:00:00.250Z",
        "end": "2026-02-01T05:01:00Z", "detail": "fast",
    }  # fmt: skip
    write_truth(tmp_path / name, [row])
    read = read_truth(tmp_path / name).row(0, named=True)
    assert (read["vehicle_id"], read["start"].microsecond) == ("7", 250_000)
    assert (read["end"] - read["start"]).total_seconds() == 59.75


@pytest.mark.parametrize("text", ["", "{}\n", '{\n "messages": 3\n}\n', "vehicle_id,kind\n", "…"])
def test_a_file_of_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    for name in ("manifest.json", "truth.csv"):
        (tmp_path / name).write_text(text)
        with pytest.raises(FleetError, match="is no ground truth"):
            read_truth(tmp_path / name)
