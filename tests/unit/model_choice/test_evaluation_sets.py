"""Evaluation sets: one per quarter, of data from before it, and none is used for ever."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.model_choice.evaluation_sets import EvaluationSet, Use, evaluation_set, wear
from fleet_assets.model_choice.policy import policy

LEAST = policy().evaluation_sets.least_days
DAYS = st.dates(date(2024, 1, 1), date(2028, 12, 31))


@pytest.mark.parametrize(
    ("day", "first_data", "expected"),
    [
        ("2026-11-25", "2020-01-01", ("2026Q4", "2026-07-01", "2026-09-30")),
        ("2027-01-01", "2020-01-01", ("2027Q1", "2026-10-01", "2026-12-31")),
        ("2026-12-31", "2020-01-01", ("2026Q4", "2026-07-01", "2026-09-30")),
        ("2026-11-25", "2026-08-01", ("2026Q4", "2026-08-29", "2026-09-30")),
        ("2026-11-25", "2026-08-20", ("2026Q3", "2026-08-20", "2026-09-16")),
        ("2027-01-01", "2026-08-20", ("2027Q1", "2026-10-01", "2026-12-31")),
        ("2026-11-25", "2026-09-20", ("2026Q4", "2026-09-20", "2026-10-17")),
        ("2026-11-25", "2026-11-01", None),
        ("2026-11-29", "2026-11-01", ("2026Q4", "2026-11-01", "2026-11-28")),
    ],
)
def test_the_set_of_a_day(day: str, first_data: str, expected: tuple[str, str, str] | None) -> None:
    found = evaluation_set(date.fromisoformat(day), date.fromisoformat(first_data))
    assert (found and (found.name, str(found.first_day), str(found.last_day))) == expected


@given(DAYS, DAYS)
def test_a_set_is_of_past_days_and_the_same_until_another_one_is_used(
    day: date, first_data: date
) -> None:
    found = evaluation_set(day, first_data)
    if found is None:
        assert (day - first_data).days < LEAST
        return
    assert first_data <= found.first_day <= found.last_day < day < found.until
    assert (found.last_day - found.first_day).days >= LEAST - 1
    assert evaluation_set(found.until - timedelta(days=1), first_data) == found
    after = evaluation_set(found.until, first_data)
    assert after
    assert after.name > found.name
    assert (found.until.day, found.until.month % 3) == (1, 1)


@given(DAYS)
def test_no_day_is_in_two_sets(first_data: date) -> None:
    quarters = [evaluation_set(first_data + timedelta(days=30 * n), first_data) for n in range(20)]
    sets = sorted({of for of in quarters if of}, key=lambda of: of.first_day)
    assert len(sets) > 4
    assert len({of.name for of in sets}) == len(sets)
    for before, after in pairwise(sets):
        assert before.last_day < after.first_day


def use(number: int, kind: str = "recipe", group: str = "van", set_name: str = "2026Q4") -> Use:
    return Use(set_name, group, f"m{number}", kind)  # type: ignore[arg-type]


CHOSEN = EvaluationSet("2026Q4", date(2026, 7, 1), date(2026, 9, 30), date(2027, 1, 1))


@pytest.mark.parametrize(("kind", "verdict"), [("recipe", "refuse"), ("refresh", "warn")])
def test_a_set_that_is_used_up_refuses_recipes_and_warns_refreshes(kind: str, verdict: str) -> None:
    most = getattr(policy().evaluation_sets.most_uses, kind)
    uses = [use(n, kind) for n in range(most)]
    assert wear(CHOSEN, uses[:-1], use(most, kind)).verdict == "free"
    found = wear(CHOSEN, uses, use(most, kind))
    assert (found.verdict, found.uses) == (verdict, most)
    assert "the next set begins 2027-01-01" in found.why


def test_uses_count_by_challenger_group_kind_and_set() -> None:
    uses = [use(n) for n in range(10)]
    assert wear(CHOSEN, uses, use(3)).verdict == "free"
    assert wear(CHOSEN, uses, use(10)).verdict == "refuse"
    assert wear(CHOSEN, uses, use(10, group="suv")).uses == 0
    assert wear(CHOSEN, uses, use(10, kind="refresh")).uses == 0
    assert wear(CHOSEN, [use(n, set_name="2026Q3") for n in range(10)], use(10)).uses == 0
    assert wear(CHOSEN, [use(1), use(1), use(1)], use(2)).uses == 1
