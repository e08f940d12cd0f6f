"""A first model serves by bounds on its own figures; what is not known of it does not let it."""

from __future__ import annotations

import pytest

from fleet_assets.model_choice.audit import Request, state_of
from fleet_assets.model_choice.first import HeldOut, first_verdict, held_out_of
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_choice.rollout import first, refuse_first
from tests.model_rows import BEGIN, GOOD

ASKED = policy().first_model
ENOUGH = HeldOut(60.0, 6, 50, 40)
FEW = HeldOut(4.0, 0, 6, 5)


@pytest.mark.parametrize(
    ("own", "others", "may", "told"),
    [
        (ENOUGH, None, True, "0.100 false alarms per healthy vehicle-hour in 60.0 hours (at most"),
        (HeldOut(60.0, 12, 50, 40), None, True, "0.200 false alarms"),
        (HeldOut(60.0, 13, 50, 40), None, False, "0.217 false alarms"),
        (HeldOut(60.0, 6, 50, 24), None, False, "48% of 50 clear faults found (at least 50%)"),
        (HeldOut(60.0, 60, 50, 0), None, False, "1.000 false alarms"),
        (FEW, None, False, "too little data of days that no training saw"),
        (FEW, ENOUGH, True, "of all groups that no training saw (truck alone has 4.0 of 15"),
        (FEW, HeldOut(60.0, 13, 50, 40), False, "0.203 false alarms"),
        (HeldOut(4.0, 4, 6, 5), ENOUGH, False, "4 false alarms in 4.0 vehicle-hours of truck"),
        (None, ENOUGH, True, "truck alone has 0.0 of 15 vehicle-hours"),
        (None, None, False, "too little data"),
    ],
)
def test_a_first_model_is_held_to_bounds(
    own: HeldOut | None, others: HeldOut | None, may: bool, told: str
) -> None:
    measured = {name: of for name, of in (("truck", own), ("van", others)) if of is not None}
    verdict = first_verdict("truck", measured, ASKED)
    assert verdict.may_serve == may
    assert told in verdict.reason


def test_only_what_is_wrong_is_told_of_one_that_is_refused() -> None:
    reason = first_verdict("truck", {"truck": HeldOut(60.0, 6, 50, 10)}, ASKED).reason
    assert "20% of 50 clear faults" in reason
    assert "false alarms" not in reason


def test_figures_come_from_the_registry() -> None:
    assert held_out_of({"by_group": {"truck": GOOD}}) == {"truck": HeldOut(60.0, 2, 50, 42)}
    assert held_out_of({"none": "no day"}) == {}


def test_a_refusal_is_a_row_and_the_next_one_may_be_the_first() -> None:
    request = Request("truck", BEGIN, "me", "the first model of the group")
    rows = [refuse_first([], request, "fm-1", "it is loud")]
    assert (rows[0].action, rows[0].before, rows[0].after) == ("refuse", None, None)
    assert rows[0].why.split("; ")[1:] == ["fm-1", "stays unserved because it is loud"]
    assert state_of(rows, "truck") is None
    rows.append(first(rows, request, "fm-2"))
    assert state_of(rows, "truck") is not None
