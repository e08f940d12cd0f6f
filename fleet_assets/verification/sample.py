"""Which hours are verified when all would take too long. A pure function."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random


def sampled_hours(messages: Mapping[str, int], most_messages: int, seed: str) -> list[str]:
    """Hours by lot until they hold so many messages, at least one; in order.

    Args:
        messages: by hour, how many it has.
        most_messages: of all that are chosen; an hour that would go beyond is left out.
        seed: the same gives the same hours; such as the date, so that each night has others.
    """
    drawn = sorted(messages)
    Random(seed).shuffle(drawn)
    chosen: list[str] = []
    total = 0
    for hour in drawn:
        if chosen and total + messages[hour] > most_messages:
            continue
        chosen.append(hour)
        total += messages[hour]
    return sorted(chosen)
