"""Rollout: a model serves in steps, each is audited, and pins follow from the audit alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_assets.errors import FleetError
from fleet_assets.model_choice.audit import (
    AuditRow,
    Request,
    Serving,
    audit_frame,
    audit_rows,
    rows_of,
    state_of,
)
from fleet_assets.model_choice.decision import GroupDecision
from fleet_assets.model_choice.measured import Measured
from fleet_assets.model_choice.pins import Pin, in_share, pin, pins, serving_at
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_choice.rollout import (
    challenge,
    first,
    replace_unusable,
    roll_back,
    step,
    training_failed,
)

START = datetime(2026, 11, 2, tzinfo=UTC)
STEPS = policy().rollout
SHADOW_DAYS, PART_DAYS = STEPS.shadow_days[0], STEPS.part_days[0]
SURE = policy().comparison_on_trial("shadow").confidence
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
VEHICLES = [f"v{n}" for n in range(300)]
NOTHING: Final[dict[str, Any]] = dict.fromkeys(Measured.__annotations__)
SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)


def request(at: datetime, why: str = "so it is", group: str = "van") -> Request:
    return Request(group, at, "ann", why)


def verdict(of: str, worse: bool = False, group: str = "van") -> GroupDecision:
    return GroupDecision(group, of, ("by numbers",), Measured(**NOTHING), SURE, worse)  # type: ignore[arg-type]


GOOD = verdict("serve")


def on_trial(days_in_shadow: int = 0, part: bool = False) -> tuple[list[AuditRow], datetime]:
    """The audit of a champion `a` with `b` on trial, and a moment in it."""
    rows = [first([], request(START), "a")]
    rows.append(challenge(rows, request(START + DAY), "b", GOOD))
    now = START + DAY + days_in_shadow * DAY
    if part:
        now = START + DAY + SHADOW_DAYS * DAY
        row = step(rows, request(now), "b", verdict("serve"))
        assert row
        rows.append(row)
    return rows, now


def test_a_challenger_goes_from_the_shadow_to_a_share_to_all() -> None:
    rows, at = on_trial()
    now = at
    for days, action in ((SHADOW_DAYS, "to_part"), (PART_DAYS, "to_all")):
        early = now + days * DAY - HOUR
        assert step(rows, request(early), "b", verdict("serve")) is None
        now += days * DAY
        row = step(rows, request(now, "weekly"), "b", verdict("serve"))
        assert row
        assert (row.action, row.made_by, row.why) == (action, "ann", "weekly; by numbers")
        rows.append(row)
    assert state_of(rows, "van") == Serving("b")
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert serving_at(rows, "van", now - HOUR) == Serving("a", "b", "part", STEPS.share)


@pytest.mark.parametrize("part", [False, True])
def test_what_is_worse_goes_at_once_and_what_is_unknown_in_the_end(part: bool) -> None:
    rows, now = on_trial(part=part)
    worse = step(rows, request(now + HOUR), "b", verdict("stay", worse=True))
    assert worse
    assert worse.action == ("roll_back" if part else "drop")
    assert worse.after == Serving("a")
    looks = STEPS.part_days if part else STEPS.shadow_days
    unknown = [verdict("stay"), verdict("shadow"), verdict("stay")]
    for days, found in zip(looks, unknown, strict=True):
        assert step(rows, request(now + days * DAY - HOUR), "b", found) is None
        row = step(rows, request(now + days * DAY), "b", found)
        assert row
        assert row.action == ("wait" if days < looks[-1] else worse.action)
        rows.append(row)
    assert state_of(rows, "van") == Serving("a")
    assert f"not proven in {looks[-1]} days; so it is; by numbers" in rows[-1].why


def test_between_looks_a_good_verdict_is_no_reason_to_go_on() -> None:
    """Who looks each day finds a lucky one sooner or later."""
    rows, start = on_trial()
    first_look = start + STEPS.shadow_days[0] * DAY
    waits = step(rows, request(first_look), "b", verdict("shadow"))
    assert waits
    assert (waits.action, waits.before) == ("wait", waits.after)
    rows.append(waits)
    assert step(rows, request(first_look + DAY), "b", verdict("serve")) is None
    second_look = start + STEPS.shadow_days[1] * DAY
    onward = step(rows, request(second_look), "b", verdict("serve"))
    assert onward
    assert onward.action == "to_part"


def test_a_verdict_that_is_less_sure_than_several_looks_ask_for_is_refused() -> None:
    rows, now = on_trial()
    once = replace(verdict("serve"), confidence=0.95)
    with pytest.raises(FleetError, match=r"95\.0% sure; 3 looks need 98\.3%"):
        step(rows, request(now), "b", once)
    at_once = STEPS.model_copy(update={"shadow_days": (7,)})
    row = step(rows, request(now + 7 * DAY), "b", once, at_once)
    assert row
    assert row.action == "to_part"


def test_what_the_evaluation_refuses_never_computes_and_the_audit_says_why() -> None:
    rows = [first([], request(START), "a")]
    for found in (verdict("stay"), verdict("stay", worse=True)):
        row = challenge(rows, request(START + DAY, "weekly"), "b", found)
        assert (row.action, row.after) == ("refuse", Serving("a"))
        assert row.why == "weekly; b; by numbers"
    assert challenge(rows, request(START), "b", verdict("shadow")).after == Serving(
        "a", "b", "shadow"
    )


def test_a_dropped_model_may_try_again_and_one_rolled_back_may_not() -> None:
    rows, now = on_trial()
    dropped = step(rows, request(now), "b", verdict("stay", worse=True))
    assert dropped
    assert challenge([*rows, dropped], request(now), "b", GOOD).after == Serving("a", "b", "shadow")
    gone = roll_back(rows, request(now))
    with pytest.raises(FleetError, match="b was rolled back in van"):
        challenge([*rows, gone], request(now), "b", GOOD)


def test_rolling_back_goes_to_the_champion_before_and_then_to_the_one_before_that() -> None:
    rows, now = on_trial(part=True)
    for challenger, after in (("b", "c"), ("c", None)):
        while state_of(rows, "van") != Serving(challenger):
            now += SHADOW_DAYS * DAY
            row = step(rows, request(now), challenger, verdict("serve"))
            assert row
            rows.append(row)
        if after:
            rows.append(challenge(rows, request(now), after, GOOD))
    for expected in ("b", "a"):
        rows.append(roll_back(rows, request(now, "drivers complain")))
        assert state_of(rows, "van") == Serving(expected)
    with pytest.raises(FleetError, match="No model has served van before a"):
        roll_back(rows, request(now))


def test_what_cannot_be_used_is_replaced_at_once_and_the_audit_says_why() -> None:
    rows, now = on_trial(part=True)
    row = replace_unusable(rows, request(now, "needed"), "c", "a's file is gone")
    assert (row.action, row.after) == ("replace", Serving("c"))
    assert row.why == "needed; a's file is gone"
    assert roll_back([*rows, row], request(now)).after == Serving("a")
    for model, told in (("a", "a serves van already"), ("b", "b was rolled back")):
        gone = [*rows, roll_back(rows, request(now))]
        with pytest.raises(FleetError, match=told):
            replace_unusable(gone, request(now), model, "gone")
    with pytest.raises(FleetError, match="No model serves van yet"):
        replace_unusable([], request(now), "c", "gone")


def test_failed_training_keeps_what_serves_and_does_not_stop_the_clock() -> None:
    rows, now = on_trial()
    failed = training_failed(rows, request(now + DAY, "out of memory"))
    assert failed.before == failed.after == Serving("a", "b", "shadow")
    onward = step([*rows, failed], request(now + SHADOW_DAYS * DAY), "b", verdict("serve"))
    assert onward
    assert onward.action == "to_part"
    without = training_failed([], request(now, "no data"))
    assert (without.before, without.after) == (None, None)
    assert pin([without], "van", "v1", now + DAY) is None
    assert first([without], request(now), "a").number == 2


def test_the_running_hour_keeps_its_model() -> None:
    rows = [first([], request(START), "a")]
    noon = START + DAY + timedelta(hours=12, minutes=20)
    rows.append(challenge(rows, request(noon), "b", GOOD))
    rows.append(roll_back(rows, request(noon + timedelta(minutes=10))))
    assert [row.valid_from.hour for row in rows] == [0, 13, 13]
    assert serving_at(rows, "van", noon) == Serving("a")


def test_pinning_anew_is_explicit_and_overrides_what_was_decided_before() -> None:
    rows, now = on_trial(part=True)
    back = Request("van", now + DAY, "ann", "backfill", valid_from=now - DAY)
    rows.append(roll_back(rows, back))
    assert serving_at(rows, "van", now + 5 * DAY) == Serving("a")
    assert serving_at(rows, "van", now - DAY) == Serving("a")
    assert serving_at(rows, "van", now - DAY - HOUR) == Serving("a", "b", "shadow")


def test_a_change_of_the_share_does_not_change_the_past() -> None:
    rows, now = on_trial(7)
    wide = STEPS.model_copy(update={"share": 0.5})
    row = step(rows, request(now), "b", verdict("serve"), wide)
    assert row
    assert serving_at([*rows, row], "van", now) == Serving("a", "b", "part", 0.5)


def test_groups_have_an_audit_of_their_own() -> None:
    rows, now = on_trial()
    rows.append(first(rows, request(now, group="suv"), "s"))
    assert (rows[-1].number, rows[-1].before) == (3, None)
    assert state_of(rows, "van") == Serving("a", "b", "shadow")
    assert pin(rows, "suv", "v1", now) == Pin("s")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda rows, at: first(rows, request(at), "z"), "a serves van already"),
        (lambda rows, at: challenge(rows, request(at), "a", GOOD), "a serves van already"),
        (lambda rows, at: challenge(rows, request(at), "c", GOOD), "b is on trial in van"),
        (
            lambda rows, at: challenge(rows, request(at, group="bus"), "c", GOOD),
            "No model serves bus",
        ),
        (lambda rows, at: step(rows, request(at), "c", verdict("serve")), "about c in van; on tr"),
        (lambda rows, at: step(rows, request(at), "b", verdict("serve", group="suv")), "b in suv"),
        (lambda rows, at: roll_back(rows, request(at, " ")), "and why"),
        (
            lambda rows, at: challenge(rows[:1], request(at), "c", verdict("serve", group="suv")),
            "ut suv, not van",
        ),
        (lambda rows, at: roll_back(rows, request(at.replace(tzinfo=None))), "no time zone"),
        (lambda rows, at: roll_back(rows, Request("van", at, "ann", "x", at + HOUR / 2)), "whole"),
        (lambda rows, at: roll_back(rows[1:], request(at)), "audit of van is broken: change 2"),
        (lambda rows, at: roll_back([*rows, rows[0]], request(at)), "audit of van is broken"),
    ],
)
def test_what_is_refused(ask: Callable[[list[AuditRow], datetime], object], told: str) -> None:
    rows, now = on_trial()
    with pytest.raises(FleetError, match=told):
        ask(rows, now)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["challenge", "refuse", "serve", "stay", "shadow", "worse", "back", "fail", "replace"]
        ),
        st.integers(1, 24 * 12),
        st.sampled_from([0, 0, 0, 5, 100]),
    ),
    max_size=14,
)


def played(moves: list[tuple[str, int, int]]) -> list[AuditRow]:
    """An audit of a drawn history: what is not allowed at a moment does not happen."""
    rows = [first([], request(START), "m0")]
    now = START
    for number, (move, hours, ago) in enumerate(moves, 1):
        now += hours * HOUR
        state = state_of(rows, "van")
        assert state
        earlier = max(START, now - ago * HOUR) if ago else None
        asked = Request("van", now, "ann", "drawn", earlier)
        try:
            if move == "challenge":
                rows.append(challenge(rows, asked, f"m{number}", GOOD))
            elif move == "refuse":
                rows.append(challenge(rows, asked, f"m{number}", verdict("stay")))
            elif move == "back":
                rows.append(roll_back(rows, asked))
            elif move == "fail":
                rows.append(training_failed(rows, asked))
            elif move == "replace":
                rows.append(replace_unusable(rows, asked, f"m{number}", "its file is gone"))
            elif state.challenger:
                judged = verdict("stay", True) if move == "worse" else verdict(move)
                if row := step(rows, asked, state.challenger, judged):
                    rows.append(row)
        except FleetError:
            continue
    return rows


@SETTINGS
@given(MOVES)
def test_exactly_one_model_serves_each_vehicle_at_any_time(
    moves: list[tuple[str, int, int]],
) -> None:
    rows = played(moves)
    for moment in {row.valid_from + shift for row in rows for shift in (-HOUR, 0 * HOUR, HOUR)}:
        if moment < START:
            assert pin(rows, "van", "v1", moment) is None
            continue
        state = serving_at(rows, "van", moment)
        assert state
        found = [pin(rows, "van", vehicle, moment) for vehicle in VEHICLES[:60]]
        expected = {Pin(state.champion, state.challenger)}
        if state.stage == "part":
            expected.add(Pin(str(state.challenger), state.champion))
        assert set(found) <= expected
        assert len(set(found)) == len(expected)


@SETTINGS
@given(MOVES)
def test_a_change_leaves_event_times_before_it_as_they_were(
    moves: list[tuple[str, int, int]],
) -> None:
    rows = played(moves)
    times = sorted({row.valid_from + shift for row in rows for shift in (-HOUR, 0 * HOUR)})
    for count in range(1, len(rows)):
        newest = rows[count]
        for moment in (time for time in times if time < newest.valid_from):
            before, after = (serving_at(rows[:n], "van", moment) for n in (count, count + 1))
            assert before == after
        assert serving_at(rows[: count + 1], "van", newest.valid_from) == newest.after


@SETTINGS
@given(MOVES)
def test_going_back_serves_a_champion_of_before_and_the_audit_tells_all(
    moves: list[tuple[str, int, int]],
) -> None:
    rows = played(moves)
    champions = [row.before.champion for row in rows if row.before]
    for row in rows[1:]:
        assert row.before
        assert row.after
        if row.action in ("drop", "roll_back"):
            assert row.after.champion in champions
            assert row.after.challenger is None
        if row.action in ("challenge", "refuse", "wait", "to_part", "drop", "training_failed"):
            assert row.after.champion == row.before.champion
        if row.action == "replace":
            assert row.after == Serving(row.after.champion)
        if row.action == "to_all":
            assert row.before.stage == "part"
            assert row.after == Serving(str(row.before.challenger))
    assert audit_rows(audit_frame(rows)) == rows == rows_of(rows[::-1], "van")


@SETTINGS
@given(MOVES, st.integers(0, 10**6))
def test_pins_of_a_frame_are_those_of_each_vehicle(
    moves: list[tuple[str, int, int]], seed: int
) -> None:
    rows = played(moves)
    times = [START - HOUR, *(row.valid_from for row in rows)]
    hours = pl.DataFrame(
        [(vehicle, group, time) for vehicle in VEHICLES[:20] for group in ("van", "suv")
         for time in times],
        schema={"vehicle_id": pl.String, "group": pl.String, "moment": pl.Datetime("us", "UTC")},
        orient="row",
    ).sample(fraction=1, shuffle=True, seed=seed)  # fmt: skip
    found = pins(rows, hours)
    assert found.drop("model", "beside").equals(hours)
    for row in found.iter_rows(named=True):
        of = pin(rows, row["group"], row["vehicle_id"], row["moment"])
        assert of == (Pin(row["model"], row["beside"]) if row["model"] else None)


@SETTINGS
@given(st.text(min_size=1, max_size=12), st.floats(0.02, 0.9))
def test_the_share_by_hash_is_the_share_that_was_asked_for(model: str, share: float) -> None:
    count = 2000
    chosen = sum(in_share(f"vehicle-{n}", model, share) for n in range(count))
    assert abs(chosen - count * share) < 4.5 * (count * share * (1 - share)) ** 0.5


def test_each_model_tries_other_vehicles() -> None:
    tried = [{v for v in VEHICLES if in_share(v, model, 0.3)} for model in ("b", "c")]
    assert 0.5 < len(tried[0] & tried[1]) / (0.3 * 0.3 * len(VEHICLES)) < 1.6
