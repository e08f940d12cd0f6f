"""Time: clocks of this machine, PostgreSQL and Kafka against each other, clocks of vehicles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet_assets.doctor.finding import Finding, some, span

TOLERANCE_SECONDS = 2.0
KAFKA_TOLERANCE_SECONDS = 5.0


@dataclass(frozen=True)
class ClockFacts:
    """Differences in seconds; positive: ahead of this machine.

    Attributes:
        postgres: of PostgreSQL's clock, less what the question took; None: not known.
        kafka: of the newest message's append time; only being ahead says something, None: none.
        future: vehicle → messages of the last day that were refused as from the future.
        ahead: vehicle → how far its events lie ahead of their arrival, constantly.
        behind: vehicle → how far they lie behind, constantly, while others are on time.
    """

    postgres: float | None = None
    kafka: float | None = None
    future: Mapping[str, int] = field(default_factory=dict)
    ahead: Mapping[str, float] = field(default_factory=dict)
    behind: Mapping[str, float] = field(default_factory=dict)


def check_clocks(facts: ClockFacts) -> list[Finding]:
    """Clocks that do not agree."""
    found = []
    if facts.postgres is not None and abs(facts.postgres) > TOLERANCE_SECONDS:
        found.append(
            Finding(
                "clocks",
                f"PostgreSQL's clock is {_said(facts.postgres)} this machine's",
                "set both by NTP (chrony or systemd-timesyncd): retries and freshness go by them",
            )
        )
    if facts.kafka is not None and facts.kafka > KAFKA_TOLERANCE_SECONDS:
        found.append(
            Finding(
                "clocks",
                f"Kafka's newest append time is {_said(facts.kafka)} this machine's clock",
                "set the brokers' clocks by NTP: lateness and the future are judged by append time",
            )
        )
    if facts.future:
        worst = sorted(facts.future.items(), key=lambda pair: -pair[1])
        named = [f"{vehicle} ({count:,})" for vehicle, count in worst]
        found.append(
            Finding(
                "clocks",
                f"{sum(facts.future.values()):,} messages of the last day were refused as from the"
                f" future, of {len(worst):,} vehicles: {some(named)}",
                "set the clocks of these vehicles; FLEET_FUTURE_TOLERANCE sets the limit",
            )
        )
    found += _constant("ahead of", facts.ahead)
    found += _constant("behind", facts.behind)
    return found


def _constant(where: str, vehicles: Mapping[str, float]) -> Sequence[Finding]:
    if not vehicles:
        return []
    named = [
        f"{vehicle} ({span(seconds)})"
        for vehicle, seconds in sorted(vehicles.items(), key=lambda pair: -pair[1])
    ]
    return [
        Finding(
            "clocks",
            f"events of {len(named):,} vehicles lie constantly {where} their arrival:"
            f" {some(named)}",
            "set the clocks of these vehicles, or see what delays their messages",
        )
    ]


def _said(seconds: float) -> str:
    return f"{span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"
