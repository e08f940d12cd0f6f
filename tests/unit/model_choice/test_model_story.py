"""From paired results to the model that serves: granted, refused, a failed training, taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from test_model_decision import results

from fleet_assets.model_choice.audit import AuditRow, Request, audit_frame, state_of
from fleet_assets.model_choice.decision import decide
from fleet_assets.model_choice.pins import pin
from fleet_assets.model_choice.policy import policy
from fleet_assets.model_choice.rollout import challenge, first, roll_back, step, training_failed

START = datetime(2026, 11, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
VEHICLES = [f"van{n}" for n in range(200)]


def compared(seed: int, recall: float, alarms: float = 0.05) -> pl.DataFrame:
    return results(seed, vehicles=120, recall=(0.8, recall), alarms=(0.06, alarms))


def story() -> list[AuditRow]:
    """One group over eight weeks."""
    rows: list[AuditRow] = []
    now = START

    def asks(why: str) -> Request:
        return Request("van", now, "weekly_training", why)

    rows.append(first(rows, asks("the first model"), "forest-1"))
    now += 7 * DAY
    worse = decide(compared(1, 0.77), "refresh").of("van")
    rows.append(challenge(rows, asks("trained"), "forest-2", worse))
    now += 7 * DAY
    rows.append(training_failed(rows, asks("training failed: out of memory")))
    now += 7 * DAY
    better = decide(compared(2, 0.87), "recipe").of("van")
    rows.append(challenge(rows, asks("trained"), "wide-1", better))
    for seed in (3, 4):
        now += 8 * DAY
        state = state_of(rows, "van")
        assert state
        on_trial = policy().comparison_on_trial(state.stage)
        verdict = decide(compared(seed, 0.87), "recipe", on_trial).of("van")
        row = step(rows, asks("daily look"), "wide-1", verdict)
        assert row
        rows.append(row)
    now += 2 * DAY
    rows.append(roll_back(rows, Request("van", now, "ann", "workshops report nonsense")))
    return rows


def test_each_change_is_in_the_audit_with_its_reason() -> None:
    frame = audit_frame(story())
    assert frame["action"].to_list() == [
        "first", "refuse", "training_failed", "challenge", "to_part", "to_all", "roll_back",
    ]  # fmt: skip
    why = frame["why"].to_list()
    assert why[1].startswith("trained; forest-2; recall 79.5% → 77.1%")
    assert "not reached" in why[1]
    assert "98.3% sure of +" in why[4]
    assert why[-1] == "workshops report nonsense"


def test_each_event_time_keeps_the_model_that_it_had() -> None:
    rows = story()
    served = {
        row.action: {
            found.model
            for vehicle in VEHICLES
            if (found := pin(rows, "van", vehicle, row.valid_from))
        }
        for row in rows
    }
    assert served == {
        "first": {"forest-1"},
        "refuse": {"forest-1"},
        "training_failed": {"forest-1"},
        "challenge": {"forest-1"},
        "to_part": {"forest-1", "wide-1"},
        "to_all": {"wide-1"},
        "roll_back": {"forest-1"},
    }
