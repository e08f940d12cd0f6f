"""Kafka: what waits to be landed, what was or soon will be lost, how the topic is set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet_assets.doctor.finding import Finding, shortened, span

LANDING_LIMIT_SECONDS = 300
"""Messages wait for longer than this for their landing only if something is wrong."""
LARGE_LAG = 1_000_000
SHORTEST_RETENTION_SECONDS = 6 * 3600
"""Landing may stand still for a night's work; less retention than this is playing with data."""
LARGEST_MESSAGE = 2 * 1024**2


@dataclass(frozen=True)
class PartitionFacts:
    """One Kafka partition.

    Attributes:
        low, high: first and one-past-last offset that Kafka holds.
        committed: next offset to land; None: nothing has landed yet.
        overdue: messages that have waited for their landing for longer than the limit.
        endangered: messages not landed that are older than half of the retention.
        lag_later: lag at a second look a few seconds later; None: not looked.
    """

    low: int
    high: int
    committed: int | None
    overdue: int = 0
    endangered: int = 0
    lag_later: int | None = None

    @property
    def lag(self) -> int:
        """Messages that have not landed."""
        return max(0, self.high - max(self.low, self.committed or 0))

    @property
    def expired(self) -> int:
        """Messages that Kafka has dropped before they landed."""
        return 0 if self.committed is None else max(0, self.low - self.committed)


@dataclass(frozen=True)
class KafkaFacts:
    """The topic as the broker tells it.

    Attributes:
        topic: its name.
        partitions: by number; None: there is no such topic.
        config: its configuration.
        open_gaps: losses that nobody has acknowledged, in words.
    """

    topic: str
    partitions: Mapping[int, PartitionFacts] | None
    config: Mapping[str, str] = field(default_factory=dict)
    open_gaps: Sequence[str] = ()


def check_kafka(facts: KafkaFacts) -> list[Finding]:
    """Lag, losses and set-up of the topic."""
    if facts.partitions is None:
        return [
            Finding(
                "kafka",
                f"there is no topic {facts.topic}",
                "`fleet up` makes it; or FLEET_TOPIC names another one",
                "make_topics",
            ),
            *check_gaps(facts.open_gaps),
        ]
    return [
        *_lag(facts.partitions),
        *_beyond_the_end(facts.partitions),
        *_about_to_be_lost(facts.topic, facts.partitions),
        *check_gaps(facts.open_gaps),
        *_config(facts.topic, facts.config),
    ]


def check_gaps(open_gaps: Sequence[str]) -> list[Finding]:
    """Messages that are lost for good, until somebody has taken note of them."""
    cure = "they are gone: see why, then `fleet gaps acknowledge --reason …`"
    return shortened([Finding("gaps", gap, cure) for gap in open_gaps], "`fleet gaps list`")


def _lag(partitions: Mapping[int, PartitionFacts]) -> list[Finding]:
    lag = sum(p.lag for p in partitions.values())
    overdue = {number: p.overdue for number, p in partitions.items() if p.overdue}
    later = [p.lag_later for p in partitions.values()]
    growing = None not in later and sum(n or 0 for n in later) > lag
    if overdue:
        by_partition = ", ".join(f"{number}: {n:,}" for number, n in sorted(overdue.items()))
        how = "and grows" if growing else f"of {lag:,} that wait"
        return [
            Finding(
                "lag",
                f"{sum(overdue.values()):,} messages have waited for their landing for more than"
                f" {span(LANDING_LIMIT_SECONDS)} {how} (partition {by_partition})",
                "see the runs of the job landing and the tick of landing_sensor in the Dagster UI",
            )
        ]
    if lag >= LARGE_LAG and growing:
        return [
            Finding(
                "lag",
                f"{lag:,} messages wait for their landing, and it grows",
                "more arrives than is landed: raise FLEET_LANDING_MAX_MESSAGES, or give more cores",
            )
        ]
    return []


def _beyond_the_end(partitions: Mapping[int, PartitionFacts]) -> list[Finding]:
    return [
        Finding(
            "kafka",
            f"partition {number} ends at offset {p.high:,}, but {p.committed:,} has landed: Kafka"
            " has lost the end of its log",
            "restore the broker's log if you can; what is written there now is not landed:"
            " `fleet gaps list` tells, a new topic begins afresh",
        )
        for number, p in sorted(partitions.items())
        if p.committed is not None and p.committed > p.high
    ]


def _about_to_be_lost(topic: str, partitions: Mapping[int, PartitionFacts]) -> list[Finding]:
    expired = sum(p.expired for p in partitions.values())
    endangered = sum(p.endangered for p in partitions.values())
    raise_it = f"raise retention.ms and retention.bytes of {topic} and get landing going"
    if expired:
        return [
            Finding(
                "retention",
                f"Kafka has expired {expired:,} offsets that had not landed",
                f"{raise_it}; the next landing records them as a gap",
            )
        ]
    if endangered:
        return [
            Finding(
                "retention",
                f"{endangered:,} messages that have not landed are older than half the retention",
                raise_it,
            )
        ]
    return []


def _config(topic: str, config: Mapping[str, str]) -> list[Finding]:
    found = []
    kind = config.get("message.timestamp.type", "LogAppendTime")
    if kind != "LogAppendTime":
        found.append(
            Finding(
                "topic",
                f"{topic} has message.timestamp.type={kind}, so arrival is taken as the time of"
                " landing",
                f"set message.timestamp.type=LogAppendTime on {topic}"
                " (kafka-configs.sh --alter --entity-type topics)",
            )
        )
    retention = float(config.get("retention.ms", "-1")) / 1000
    if 0 <= retention < SHORTEST_RETENTION_SECONDS:
        found.append(
            Finding(
                "retention",
                f"{topic} keeps messages for only {span(retention)}: a landing that stands still"
                " for as long loses them",
                f"set retention.ms={SHORTEST_RETENTION_SECONDS * 1000} or more on {topic}",
            )
        )
    largest = int(config.get("max.message.bytes", str(LARGEST_MESSAGE)))
    if largest < LARGEST_MESSAGE:
        found.append(
            Finding(
                "topic",
                f"{topic} refuses messages of more than {largest:,} bytes; vehicles may send 2 MiB",
                f"set max.message.bytes={LARGEST_MESSAGE} on {topic}",
            )
        )
    return found
