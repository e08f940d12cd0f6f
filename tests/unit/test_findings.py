"""Tiers make one finding; durations are compared with ≥; an episode exists when any tier is met."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from fleet_assets.episodes.stitch import EPISODE_SCHEMA
from fleet_assets.rules.findings import FINDING_SCHEMA, RULE_SCHEMA, findings

START = datetime(2026, 2, 1, 5, tzinfo=UTC)
RULES = pl.DataFrame(
    [
        ("R18", "R18", "over_speeding", "medium", 0),
        ("R19", "R18", "over_speeding", "high", 1),
        ("R20", "R18", "over_speeding", "critical", 2),
        ("R21", "R18", "over_speeding", "high", 3),
        ("R34", "R34", "sensor_failure", "medium", 0),
    ],
    schema=RULE_SCHEMA,
    orient="row",
)
DURATION = {"R18": 30, "R19": 10, "R20": 5, "R21": 300, "R34": 10}


def episode(condition: str, start: int, end: int, *, is_open: bool = False) -> tuple[object, ...]:
    at = START + timedelta(seconds=start)
    duration = timedelta(seconds=DURATION[condition.partition("/")[0]])
    return ("a", condition, at, START + timedelta(seconds=end), is_open, timedelta(seconds=5),
            duration, end - start + 1, float(end), at)  # fmt: skip


def found(*episodes: tuple[object, ...]) -> list[tuple[object, ...]]:
    rows = findings(pl.DataFrame(list(episodes), schema=EPISODE_SCHEMA, orient="row"), RULES)
    assert rows.schema == FINDING_SCHEMA
    second = [
        (pl.col(name) - START).dt.total_seconds().alias(name)
        for name in ("started_at", "ended_at", "detected_at")
    ]
    return rows.select("condition", "rule_id", "severity", *second).rows()


@pytest.mark.parametrize(("end", "expected"), [(29, []), (30, [("R18", "medium", 30)])])
def test_a_duration_is_compared_with_at_least(
    end: int, expected: list[tuple[str, str, int]]
) -> None:
    assert [(r, s, d) for _, r, s, _, _, d in found(episode("R18", 0, end))] == expected


def test_a_tier_makes_a_finding_of_a_stretch_too_short_for_the_base_rule() -> None:
    rows = found(episode("R18", 0, 20), episode("R19", 3, 12), episode("R20", 4, 9))
    assert rows == [("R18", "R20", "critical", 0, 20, 9)]


def test_steps_tell_when_the_severity_rose_and_only_then() -> None:
    episodes = [
        episode("R18", 0, 400),
        episode("R19", 50, 70),
        episode("R19", 100, 120),
        episode("R20", 105, 112),
        episode("R21", 0, 400),
    ]
    rows = findings(pl.DataFrame(episodes, schema=EPISODE_SCHEMA, orient="row"), RULES)
    assert rows["rule_id"].to_list() == ["R20"]
    steps = [
        ((s["at"] - START).seconds, s["severity"], s["rule_id"])
        for s in rows["severity_history"][0]
    ]
    assert steps == [(30, "medium", "R18"), (60, "high", "R19"), (110, "critical", "R20")]


def test_of_equal_severity_the_last_tier_of_the_ladder_names_the_finding() -> None:
    episodes = [episode("R18", 0, 400), episode("R19", 50, 70), episode("R21", 0, 400)]
    assert found(*episodes) == [("R18", "R21", "high", 0, 400, 30)]


def test_each_stretch_has_its_own_tiers_and_each_subject_its_own_stretches() -> None:
    rows = found(
        episode("R18", 0, 40),
        episode("R18", 100, 140),
        episode("R19", 101, 130),
        episode("R34/speed", 0, 10),
        episode("R34/coolant_temp", 0, 10),
    )
    assert rows == [
        ("R18", "R18", "medium", 0, 40, 30),
        ("R18", "R19", "high", 100, 140, 111),
        ("R34/coolant_temp", "R34", "medium", 0, 10, 10),
        ("R34/speed", "R34", "medium", 0, 10, 10),
    ]


def test_nothing_is_found_in_nothing() -> None:
    assert found() == []
