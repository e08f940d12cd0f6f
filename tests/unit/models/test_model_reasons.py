"""Sentences that a mechanic reads."""

from __future__ import annotations

import pytest

from fleet_assets.injection.catalogue import read_catalogue
from fleet_assets.models.reasons import Reason, sentence


def test_a_sentence_says_what_is_wrong_and_what_is_usual() -> None:
    reason = Reason("speed_null_share", 1.0, 0.0, 0.1, "share", 10.0)
    assert sentence("dropout/speed", [reason]) == (
        "The wheel speed sensor sends no value. Share of messages without a value of the wheel"
        " speed: 100 %; usual here is 0 to 10 %."
    )
    feature = Reason("coolant_mean_60s", 118.2, 82, 96, "°C", 5.0)
    told = sentence("thermostat/coolant_temp", [feature])
    assert "Mean coolant temperature: 118.2 °C; usual here is 82 to 96 °C." in told


@pytest.mark.parametrize("kind", [kind.kind for kind in read_catalogue().kinds])
def test_every_kind_has_words_of_its_own(kind: str) -> None:
    subject = read_catalogue().of(kind).subjects[0]
    told = sentence(f"{kind}/{subject}", [])
    assert "does not fit" not in told
    assert "_" not in told
