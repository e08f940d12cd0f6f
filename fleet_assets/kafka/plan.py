"""What to land next, and what cannot be landed: Kafka's offsets against those in the lake."""

from __future__ import annotations

from dataclasses import dataclass

from fleet_assets.errors import FleetError
from fleet_assets.kafka.findings import hanging, open_since, waiting
from fleet_assets.kafka.ranges import ranges_to_land, truncated
from fleet_assets.kafka.topic import Broker, TopicState, topic_state
from fleet_assets.lake.landing import next_offsets
from fleet_assets.lake.store import Lake


@dataclass(frozen=True)
class LandingPlan:
    """What to read now.

    Attributes:
        state: what Kafka holds.
        committed: per partition, next offset to land; partitions never landed are missing.
        ranges: per partition, the half-open range to land.
        truncated: per partition whose log ends before what has landed, its end and what had.
    """

    state: TopicState
    committed: dict[int, int]
    ranges: dict[int, tuple[int, int]]
    truncated: dict[int, tuple[int, int]]

    @property
    def obstacles(self) -> list[str]:
        """In words, what cannot be landed, and why."""
        return _ends(self) + waiting(self.state)


def plan_landing(lake: Lake, broker: Broker, topic: str, most_messages: int) -> LandingPlan:
    """Compares Kafka with the lake; nothing is consumed.

    Raises:
        FleetError: Kafka does not answer, or has no such topic.
    """
    # the lake first: what lands meanwhile must not look as if it had landed past Kafka's end
    raw = lake.open("raw_telemetry")
    state = topic_state(broker, topic)
    committed = next_offsets(raw, state.source, state.watermarks)
    return LandingPlan(
        state,
        committed,
        ranges_to_land(state.watermarks, committed, most_messages),
        truncated(state.high, committed),
    )


def topic_problems(lake: Lake, broker: Broker, topic: str) -> tuple[list[str], str]:
    """In words, what is wrong with the topic as it is, and how the looking went.

    A Kafka that does not answer is no finding about offsets.
    """
    try:
        plan = plan_landing(lake, broker, topic, 1)
        begun = open_since(broker, topic, plan.state)
    except FleetError as error:
        return [], f"not looked at: {error}"
    return _ends(plan) + hanging(plan.state, begun), "; ".join(plan.obstacles) or "nothing waits"


def _ends(plan: LandingPlan) -> list[str]:
    return [
        f"partition {p}: Kafka's log ends at {end:,}, landed up to {landed:,}: nothing is read"
        " before it has grown past that"
        for p, (end, landed) in sorted(plan.truncated.items())
    ]
