"""A backtest tells what a change adds, removes and changes, and repeated events add up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
from drives import START, Drive, found

from fleet_assets.rules.backtest import compare, report
from fleet_assets.rules.backtest_page import page
from fleet_assets.rules.catalogue import Catalogue, Parameter, read_catalogue
from fleet_assets.rules.findings import FINDING_SCHEMA
from fleet_assets.rules.repeated import with_repeated


def finding(vehicle: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    at = START + timedelta(seconds=start)
    plain = {
        "vehicle_id": vehicle, "condition": "R18", "anomaly_type": "over_speeding",
        "rule_id": "R18", "severity": "medium", "severity_history": [], "started_at": at,
        "ended_at": START + timedelta(seconds=end), "detected_at": at, "is_open": False,
        "samples": 1, "peak": 1.0, "peak_at": at,
    }  # fmt: skip
    return plain | more


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=FINDING_SCHEMA)


def test_findings_are_matched_by_overlap() -> None:
    before = frame(
        finding("a", 0, 10), finding("a", 100, 200), finding("a", 300, 310), finding("b", 0, 10)
    )
    after = frame(
        finding("a", 0, 10),
        finding("a", 90, 120),
        finding("a", 150, 200, rule_id="R19", severity="high"),
        finding("b", 20, 30),
    )
    changes = compare(before, after)
    seen = changes.select("vehicle_id", "change").rows()
    assert sorted(seen) == sorted(
        [("a", "same"), ("a", "added"), ("a", "changed"), ("a", "removed"),
         ("b", "added"), ("b", "removed")]
    )  # fmt: skip
    changed = changes.filter(pl.col("change") == "changed").row(0, named=True)
    assert (changed["severity_before"], changed["severity_after"]) == ("medium", "high")
    told = report(changes, vehicle_days=2.0)
    assert told.changes == 5
    row = told.by_type.row(0, named=True)
    assert (row["in_force"], row["proposed"], row["in_force_per_100_vehicle_days"]) == (4, 4, 200)
    assert told.by_vehicle["vehicle_id"].to_list() == ["a", "b"]
    assert "<h2>By rule</h2>" in page(told, "2026-02-01T05", "2026-02-01T06")


def test_the_same_rules_change_nothing() -> None:
    rows = found(Drive(1).phase(10, engine_rpm=2000.0).phase(60, speed=(0, 80)).phase(60, speed=80))
    assert rows.height > 0
    assert report(compare(rows, rows), 1.0).changes == 0
    assert report(compare(frame(), frame()), 0.0).changes == 0


def brakes(*seconds: int) -> pl.DataFrame:
    more = {"condition": "R05", "rule_id": "R05", "anomaly_type": "harsh_braking"}
    rows = frame(*(finding("a", at, at + 1, **more) for at in seconds), finding("b", 0, 1, **more))
    repeated = with_repeated(rows, read_catalogue().rules)
    return repeated.filter(pl.col("rule_id") == "R08")


def test_the_third_event_within_ten_minutes_opens_and_the_first_is_the_onset() -> None:
    assert brakes(0, 300).is_empty()
    assert brakes(0, 300, 601).is_empty()
    rows = brakes(0, 300, 600)
    assert rows["started_at"].to_list() == [START]
    assert rows["detected_at"].to_list() == [START + timedelta(seconds=600)]
    assert rows["peak"].to_list() == [3.0]


def test_further_events_prolong_it_and_a_pause_ends_it() -> None:
    rows = brakes(0, 100, 200, 300, 5000, 5100, 5200)
    seconds = [(s - START).seconds for s in rows["started_at"]]
    assert seconds == [0, 5000]
    assert rows["peak"].to_list() == [4.0, 3.0]


def with_number(catalogue: Catalogue, rule_id: str, name: str, value: float) -> Catalogue:
    rule = catalogue.rule(rule_id)
    other = rule.model_copy(update={"parameters": rule.parameters | {name: Parameter(value=value)}})
    rules = tuple(other if r.id == rule_id else r for r in catalogue.rules)
    return Catalogue.model_validate(catalogue.model_copy(update={"rules": rules}).model_dump())


def test_a_number_that_others_depend_on_takes_them_along() -> None:
    lower = with_number(read_catalogue(), "R18", "set", 60.0)
    assert lower.rule("R19").parameters["set"].of == "R18.set"
