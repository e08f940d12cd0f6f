"""Anomalies of a lake: over the edges of hours, after late messages, after a change of rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from drives import vehicle
from judging import book, bring_up
from telemetry_data import land_values, message

from fleet_assets.lake.segments import hours_judged_otherwise
from fleet_assets.lake.store import Lake
from fleet_assets.rules.book import RuleBook, releases
from fleet_assets.rules.resolve import VEHICLE_SCHEMA

START = datetime(2026, 2, 1, 4, 40, tzinfo=UTC)
"""Twenty minutes before the turn of the hour."""
LATER = START + timedelta(days=2)


def idling(first_minute: int, last_minute: int, vehicle_id: str = "v1") -> list[bytes]:
    """Engine on, standing, a message every 5 s."""
    return [
        message(
            vehicle_id, (START + timedelta(seconds=second)).isoformat(), speed=0, engine_rpm=800
        )
        for second in range(60 * first_minute, 60 * last_minute, 5)
    ]


def idlings(lake: Lake) -> list[dict[str, object]]:
    rows = lake.open("anomalies").read().filter(pl.col("anomaly_type") == "prolonged_idling")
    return rows.sort("started_at").to_dicts()


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def test_late_messages_join_two_idling_episodes_over_the_turn_of_the_hour(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    early, late = idling(0, 15), idling(25, 40)
    land_values(lake, [*early, *late])
    bring_up(lake)
    first, second = idlings(lake)
    assert (first["started_at"], second["started_at"]) == (at(0), at(25))
    land_values(lake, idling(15, 25), start=len(early) + len(late))
    bring_up(lake)
    (joined,) = idlings(lake)
    assert joined["anomaly_id"] == first["anomaly_id"]
    assert joined["ended_at"] == at(40) - timedelta(seconds=5)
    assert (first["revision"], joined["revision"]) == (0, 1)
    assert "40 min" not in str(first["description"])
    assert "39 min" in str(joined["description"])


def test_what_a_rule_change_makes_of_history(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, [*idling(0, 15), *idling(0, 15, "v2")])
    bring_up(lake)
    assert len(idlings(lake)) == 2
    longer = {
        "rule_id": "R15", "parameter": "duration", "scope": "vehicle", "scope_value": "v1",
        "valid_from": START - timedelta(days=1), "value": 1800.0,
    }  # fmt: skip
    rules = book(longer)
    assert hours_judged_otherwise(lake, rules) == ["2026-02-01T04"]
    bring_up(lake, rules)
    assert [row["vehicle_id"] for row in idlings(lake)] == ["v2"]


def driving(day: int, minute: int, codes: list[str] | None) -> list[bytes]:
    """Ten minutes on the road, a message every 5 s, on a day."""
    begin = START + timedelta(days=day, minutes=minute)
    told = {} if codes is None else {"dtc": codes}
    return [
        message("v1", (begin + timedelta(seconds=second)).isoformat(), speed=30, **told)
        for second in range(0, 600, 5)
    ]


def codes_found(lake: Lake) -> list[tuple[object, ...]]:
    rows = lake.open("anomalies").read().filter(pl.col("anomaly_type") == "diagnostic_trouble_code")
    columns = ["condition", "severity", "started_at"]
    return rows.sort("started_at", "condition").select(columns).rows()


def test_trouble_codes_are_told_when_new_and_when_they_come_back(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    sent = [driving(0, 0, []), driving(1, 0, ["P0217"]), driving(2, 0, ["P0217"])]
    for number, values in enumerate(sent):
        land_values(lake, values, start=120 * number, append_time=START + timedelta(days=40))
        bring_up(lake)
    assert codes_found(lake) == [("R41/P0217", "critical", START + timedelta(days=1))]
    third = driving(3, 0, ["P0217"])
    land_values(lake, third, start=360, append_time=START + timedelta(days=40))
    bring_up(lake)
    assert codes_found(lake) == [
        ("R41/P0217", "critical", START + timedelta(days=1)),
        ("R42/P0217", "high", START + timedelta(days=1)),
    ]
    eligible = lake.open("rule_eligibility").read()
    assert not eligible["ineligible"].str.contains("R41").any()


def test_a_code_that_comes_late_moves_the_onset(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, driving(5, 0, ["P0301"]), append_time=START + timedelta(days=40))
    bring_up(lake)
    late = [driving(4, 0, ["P0301"]), driving(4, 120, None)]
    for number, values in enumerate(late, start=1):
        land_values(lake, values, start=120 * number, append_time=START + timedelta(days=40))
        bring_up(lake)
    assert codes_found(lake) == [("R41/P0301", "high", START + timedelta(days=4))]
    silent = lake.open("rule_eligibility").read("2026-02-05T06")
    assert silent["ineligible"].str.contains("no trouble codes are told").all()


def test_a_vehicle_in_the_workshop_is_spared(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    later = START + timedelta(days=2)
    cars = [vehicle("v1"), vehicle("v1", status="maintenance", valid_from=later)]
    rules = RuleBook(releases(), pl.DataFrame(cars, schema=VEHICLE_SCHEMA))
    sent = [*driving(1, 0, ["P0301"]), *driving(3, 0, ["P0301", "P0520"])]
    land_values(lake, sent, append_time=START + timedelta(days=40))
    bring_up(lake, rules)
    assert [row[0] for row in codes_found(lake)] == ["R41/P0301"]


def speedings(lake: Lake) -> list[dict[str, object]]:
    rows = lake.open("anomalies").read()
    return rows.filter(pl.col("anomaly_type") == "over_speeding").to_dicts()


def test_an_hour_that_begins_otherwise_ends_what_came_over_its_edge(tmp_path: Path) -> None:
    """The hour then holds nothing of the condition: what was there before has to be looked at."""
    lake = Lake(str(tmp_path))
    hour = at(20)

    def speeding(second: int, mph: float) -> bytes:
        when = (hour + timedelta(seconds=second)).isoformat()
        return message("v1", when, speed=mph, engine_rpm=2500)

    held = [speeding(second, 74) for second in (1, 5, 9)]  # between set and clear
    sent = [*(speeding(second, 80) for second in range(-60, 0, 4)), *held, speeding(13, 40)]
    land_values(lake, sent)
    bring_up(lake)
    (before,) = speedings(lake)
    assert before["ended_at"] == hour + timedelta(seconds=9)
    land_values(lake, [speeding(0, 30)], start=len(sent))
    bring_up(lake)
    (after,) = speedings(lake)
    assert after["anomaly_id"] == before["anomaly_id"]
    assert after["ended_at"] == hour - timedelta(seconds=4)


def findings_of_v1(lake: Lake) -> dict[str, tuple[str, str]]:
    """By rule the anomaly and the finding that it belongs to."""
    rows = lake.open("anomalies").read().select("rule_id", "anomaly_id", "finding_id")
    return {rule: (own, finding) for rule, own, finding in rows.iter_rows()}


def test_what_overlaps_shares_a_finding_whatever_looks_at_it(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    land_values(lake, idling(0, 180), append_time=LATER)
    bring_up(lake)
    before = findings_of_v1(lake)
    assert set(before) == {"R16"}
    assert before["R16"][0] == before["R16"][1]
    # the day is over: its share of idling begins at midnight, before the idling itself
    later = message("v1", (START + timedelta(days=1)).isoformat(), speed=50, engine_rpm=2000)
    land_values(lake, [later], start=180 * 12, append_time=LATER)
    bring_up(lake)
    after = findings_of_v1(lake)
    assert set(after) == {"R16", "R17"}
    assert after["R16"] == (before["R16"][0], after["R17"][0])
    assert after["R17"][0] == after["R17"][1]


def test_what_no_longer_overlaps_has_a_finding_of_its_own_again(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    end = message("v1", (START + timedelta(days=1)).isoformat(), speed=50, engine_rpm=2000)
    land_values(lake, [*idling(0, 180), end], append_time=LATER)
    bring_up(lake)
    assert findings_of_v1(lake)["R16"][1] == findings_of_v1(lake)["R17"][0]
    drives = [
        message(
            "v1", (START + timedelta(hours=5, seconds=s)).isoformat(), speed=50, engine_rpm=2000
        )
        for s in range(0, 7 * 3600, 5)
    ]  # and so the share of the day is small
    land_values(lake, drives, start=180 * 12 + 1, append_time=LATER)
    bring_up(lake)
    after = findings_of_v1(lake)
    assert set(after) == {"R16"}
    assert after["R16"][0] == after["R16"][1]
