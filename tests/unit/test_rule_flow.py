"""Which hours the rules take first, and how long they rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet_assets.rule_flow import (
    FEW_HOURS,
    LONGEST_WAIT,
    MOST_HOURS,
    may_rest,
    rests_until,
    some_hours,
    tries_again_at,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_run_takes_hours_until_it_has_enough_rows() -> None:
    hours = ["c", "b", "a"]
    assert some_hours(hours, {"a": 1, "b": 1, "c": 1}) == hours
    assert some_hours(hours, {"c": 15_000_000, "b": 6_000_000, "a": 1}) == ["c"]
    assert some_hours(hours, {"c": 45_000_000}) == ["c"]


def test_a_run_takes_no_more_than_so_many_hours() -> None:
    hours = [f"{number:03}" for number in range(200)]
    assert some_hours(hours, {}) == hours[:MOST_HOURS]


@pytest.mark.parametrize(("share", "rest"), [(0.25, 30), (0.5, 10), (1.0, 0)])
def test_runs_take_a_share_of_the_time(share: float, rest: int) -> None:
    found = rests_until(NOW, timedelta(seconds=10), share)
    assert found == NOW + timedelta(seconds=rest)


def test_a_backlog_does_not_rest_while_nobody_else_works() -> None:
    assert may_rest(1, busy=False)
    assert may_rest(FEW_HOURS + 1, busy=True)
    assert not may_rest(FEW_HOURS + 1, busy=False)


def test_what_fails_as_a_whole_is_tried_less_and_less_often() -> None:
    waits = [tries_again_at(NOW, failures) - NOW for failures in (0, 1, 2, 3, 30)]
    assert waits == [timedelta(), *(timedelta(seconds=n) for n in (15, 30, 60)), LONGEST_WAIT]
