"""Gates: what they stop, in words, and the released catalogue that they compare with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from drives import START

from fleet_assets.errors import FleetError
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.rules.findings import FINDING_SCHEMA
from fleet_assets.rules.gate import (
    Gates,
    against_truth,
    broken_by_alarms,
    broken_by_growth,
    broken_by_truth,
    last_release,
    read_gates,
)


@pytest.fixture
def gates() -> Gates:
    return read_gates()


def finding(vehicle: str, second: int, kind: str, severity: str = "high") -> dict[str, Any]:
    at = START + timedelta(seconds=second)
    return {
        "vehicle_id": vehicle, "condition": "R01", "anomaly_type": kind, "rule_id": "R01",
        "severity": severity, "severity_history": [], "started_at": at,
        "ended_at": at + timedelta(seconds=10), "detected_at": at, "is_open": False, "samples": 1,
        "peak": 1.0, "peak_at": at,
    }  # fmt: skip


def findings(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=FINDING_SCHEMA)


def faults(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (v, k, START + timedelta(seconds=s), START + timedelta(seconds=s + 30))
            for v, k, s in rows
        ],
        schema=["vehicle_id", "kind", "start", "end"],
        orient="row",
    ).with_columns(pl.col("start", "end").dt.cast_time_unit("us"))


def test_a_missed_fault_and_a_false_finding_break_their_gates(gates: Gates) -> None:
    truth = faults(("a", "high_rpm", 0), ("b", "high_rpm", 0), ("c", "low_fuel", 0))
    found = findings(
        finding("a", 5, "high_rpm"), finding("a", 5000, "high_rpm"), finding("c", 80, "low_fuel")
    )
    assert broken_by_truth(gates, against_truth(found, truth)) == [
        "high_rpm: recall 50.0% of 2 known faults, at least 95%",
        "high_rpm: precision 50.0% of 2 findings, at least 95%",
    ]


def test_a_finding_of_another_vehicle_or_type_is_no_hit(gates: Gates) -> None:
    truth = faults(("a", "high_rpm", 0))
    for other in (finding("b", 5, "high_rpm"), finding("a", 5, "low_fuel")):
        measured = against_truth(findings(other), truth)
        assert "high_rpm: recall 0.0%" in broken_by_truth(gates, measured)[0]


def test_what_keeps_all_gates_is_let_through(gates: Gates) -> None:
    truth, found = faults(("a", "high_rpm", 0)), findings(finding("a", 5, "high_rpm"))
    assert broken_by_truth(gates, against_truth(found, truth)) == []
    assert broken_by_growth(gates, found, found) == []
    assert broken_by_alarms(gates, found, vehicle_hours=100) == []


def test_false_alarms_are_counted_by_severity_and_driving_is_not_among_them(gates: Gates) -> None:
    grave = [finding("a", 100 * n, "sensor_failure") for n in range(6)]
    mild = [finding("a", 100 * n, "gps_anomaly", "low") for n in range(60)]
    driving = [finding("a", 100 * n, "over_speeding") for n in range(500)]
    told = broken_by_alarms(gates, findings(*grave, *driving), vehicle_hours=100)
    assert [line.split(":")[0] for line in told] == ["high and critical"]
    told = broken_by_alarms(gates, findings(*mild), vehicle_hours=100)
    assert [line.split(":")[0] for line in told] == ["any severity"]
    true = [finding("a", 100 * n, "sensor_failure") | {"rule_id": "R34"} for n in range(60)]
    assert broken_by_alarms(gates, findings(*true), vehicle_hours=100) == []


def test_growth_counts_from_a_number_on(gates: Gates) -> None:
    few = [finding("a", 100 * n, "over_speeding") for n in range(29)]
    many = [finding("a", 100 * n, "over_speeding") for n in range(31)]
    assert broken_by_growth(gates, findings(), findings(*few)) == []
    assert broken_by_growth(gates, findings(), findings(*many)) == [
        "over_speeding: 31 findings, 0 by the last release, at most 1.5 times as many"
    ]


def test_the_last_release_is_a_catalogue_and_not_newer_than_the_working_one() -> None:
    released = read_catalogue(last_release())
    assert int(last_release().stem) == released.release
    assert released.release <= read_catalogue().release


def test_gates_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("recall: 2")
    with pytest.raises(FleetError, match="recall"):
        read_gates(path)
