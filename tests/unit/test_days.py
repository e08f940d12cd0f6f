"""Keys of days, and Dagster's partitions by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from partitions.days import DAY, day_of, day_start, days_before, end_of, hours_of_day
from partitions.definitions import daily_partitions
from partitions.hours import HOUR, hour_key, is_hour


@pytest.mark.parametrize("hour", ["2026-01-01T00", "2026-02-28T23", "2024-02-29T12"])
def test_an_hour_is_among_those_of_its_day(hour: str) -> None:
    hours = hours_of_day(day_of(hour))
    assert len(set(hours)) == 24
    assert hour in hours
    assert {day_of(one) for one in hours} == {day_of(hour)}


def test_days_before_are_in_order_and_without_the_day() -> None:
    assert days_before("2026-03-02", 3) == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert days_before("2026-03-02", 0) == []


def test_an_hour_and_a_day_end_with_their_last_moment() -> None:
    midnight = datetime(2026, 1, 2, tzinfo=UTC)
    assert end_of("2026-01-01") == end_of("2026-01-01T23") == midnight
    assert midnight - day_start("2026-01-01") == DAY
    assert midnight - end_of("2026-01-01T22") == HOUR


@pytest.mark.parametrize("text", ["2026-01-01T05", "2026-1-1", "2026-02-30", "yesterday!", ""])
def test_what_is_no_day_is_refused(text: str) -> None:
    assert is_hour(text) is (text == "2026-01-01T05")
    with pytest.raises(ValueError, match=r"."):
        day_start(text)


def test_partitions_go_from_the_first_day_to_tomorrow() -> None:
    now = datetime.now(UTC)
    keys = daily_partitions(datetime(2026, 1, 5, 7, tzinfo=UTC)).get_partition_keys(now)
    assert keys[0] == "2026-01-05"
    assert keys[-1] == day_of(hour_key(now + timedelta(days=1)))
