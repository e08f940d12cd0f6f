"""A card in words: section by section, nothing invented where it tells nothing."""

from __future__ import annotations

import math

from fleet_assets.models.card_text import card_text, numbers_of

CARD = {
    "recipe": {"seed": 1, "alarms_per_vehicle_day": 0.7},
    "data": {"from": "2026-10-01", "windows": 17304, "faults": {"bias": 40, "stuck": 31}},
    "thresholds": {"own": 0.51234567, "strange": None},
    "importance": {f"input_{n}": n / 100 for n in range(20)},
    "figures": {"held_out_days": {"recall": 0.84, "delay_s": None}, "none": "too little data"},
    "limits": ["Faults are injected."],
}


def test_all_that_a_card_tells_is_there() -> None:
    told = card_text(CARD)
    for part in (
        "## Data", "- windows: 17,304", "- faults: bias 40, stuck 31", "- own: 0.5123",
        "- strange: none", "- held out days.recall: 0.84", "- input_19: 19.0%",
        "- Faults are injected.", "- alarms per vehicle day: 0.7",
    ):  # fmt: skip
        assert part in told
    assert "input_9:" not in told, "the strongest ten"
    assert told.index("input_19") < told.index("input_18")


def test_what_a_card_does_not_tell_is_left_out() -> None:
    assert card_text({}) == ""
    assert "Figures" not in card_text({"figures": {"none": "too little data"}})
    assert card_text({"limits": ["one"]}) == "## Limits\n\n- one\n"


def test_numbers_are_found_at_any_depth() -> None:
    figures = {"a": {"b": {"c": 1}}, "d": 2.5, "is_known": True, "e": None, "f": "text"}
    assert dict(numbers_of(figures)) == {"a.b.c": 1.0, "d": 2.5}
    assert math.isnan(dict(numbers_of({"x": math.nan}))["x"])
