"""Over the fleet's speed limit (R18–R21)."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_assets.episodes.levels import Levels, above
from fleet_assets.rules.detect import Found
from fleet_assets.rules.limits import Limits
from fleet_assets.rules.samples import Samples


def speeding(samples: Samples, limits: Limits) -> Sequence[Found]:
    """By wheel speed, in tiers."""
    speed = samples.of("speed")
    by_numbers: dict[tuple[bytes, bytes], Levels] = {}
    found = []
    for rule in ("R18", "R19", "R20", "R21"):
        numbers = limits.key(rule, "set"), limits.key(rule, "clear")
        if numbers not in by_numbers:
            by_numbers[numbers] = above(speed, limits.of(rule, "set"), limits.of(rule, "clear"))
        found.append(Found(rule, by_numbers[numbers], speed))
    return found
