"""Reading exact ranges of offsets, in chunks that fit in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import polars as pl
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.headers import note_replay, replay_column
from fleet_assets.kafka.topic import Broker, describe, held_offsets

CHUNK_MESSAGES: Final = 400_000
CHUNK_BYTES: Final = 160 * 1024 * 1024
_FETCH: Final = 500  # larger batches are slower
_SILENCE_S: Final = 30.0

SCHEMA: Final = {
    "kafka_topic_id": pl.String(),
    "kafka_partition": pl.Int32(),
    "kafka_offset": pl.Int64(),
    "append_time": pl.Datetime("us", "UTC"),
    "key": pl.Binary(),
    "value": pl.Binary(),
    "replay_of": pl.String(),
}


@dataclass(frozen=True)
class Chunk:
    """Messages of one part of the ranges, with the part of the ranges that they fill.

    Attributes:
        lost: per partition, offsets that Kafka had expired before they could be read.
    """

    ranges: dict[int, tuple[int, int]]
    messages: pl.DataFrame
    lost: dict[int, int]


@dataclass
class _Columns:
    partition: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    append_ms: list[int] = field(default_factory=list)
    key: list[bytes | None] = field(default_factory=list)
    value: list[bytes | None] = field(default_factory=list)
    replay_of: dict[int, str] = field(default_factory=dict)  # few are: by position
    size: int = 0

    def frame(self, topic_id: str) -> pl.DataFrame:
        return (
            pl.DataFrame(
                {
                    "kafka_partition": pl.Series(self.partition, dtype=pl.Int32),
                    "kafka_offset": pl.Series(self.offset, dtype=pl.Int64),
                    "append_time": (pl.Series(self.append_ms, dtype=pl.Int64) * 1000).cast(
                        SCHEMA["append_time"]
                    ),
                    "key": pl.Series(self.key, dtype=pl.Binary),
                    "value": pl.Series(self.value, dtype=pl.Binary),
                }
            )
            .with_columns(
                kafka_topic_id=pl.lit(topic_id),
                replay_of=replay_column(self.replay_of, len(self.offset)),
            )
            .select(list(SCHEMA))
        )


def read_ranges(
    broker: Broker, topic: str, topic_id: str, ranges: Mapping[int, tuple[int, int]]
) -> Iterator[Chunk]:
    """Reads half-open ranges of offsets; each chunk goes on where the one before ended.

    Offsets without a message (control records, aborted or compacted ones) are passed over and
    count as read. Those that Kafka has expired, before or while they were to be read, are counted
    as lost; in each chunk they are the first ones of a partition's range.

    Raises:
        FleetError: Kafka falls silent or refuses, the topic was made anew, or its log ends before
            the range; the chunks given so far stand.
    """
    reached = {p: start for p, (start, end) in ranges.items() if start < end}
    ends = {p: ranges[p][1] for p in reached}
    if not reached:
        return
    log = _Log(broker, topic, topic_id)
    log.assert_same_topic()
    lost = log.expired(reached, ends)
    consumer = broker.consumer()
    try:
        begin = {p: start + lost.get(p, 0) for p, start in reached.items()}
        consumer.assign([TopicPartition(topic, p, begin[p]) for p in begin if begin[p] < ends[p]])
        for chunk in _chunks(consumer, log, reached, ends, lost):
            # ids of topics never come again: what was read is this one's if it is still there
            log.assert_same_topic()
            yield chunk
    except KafkaException as error:
        raise broker.failed(f"reading {topic!r}", error) from error
    finally:
        consumer.close()


@dataclass(frozen=True)
class _Log:
    """The topic that is read, and what is asked about it besides."""

    broker: Broker
    topic: str
    topic_id: str

    @cached_property
    def admin(self) -> AdminClient:
        return self.broker.admin()

    def assert_same_topic(self) -> None:
        found, _ = describe(self.admin, self.broker, self.topic)
        if found != self.topic_id:
            raise FleetError(
                f"topic {self.topic} was made anew (id {found}, these offsets are of"
                f" {self.topic_id}): nothing of it is taken, the sensor asks for what it holds"
            )

    def expired(self, reached: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
        """Per partition, how many of the offsets to be read next Kafka no longer holds."""
        held = held_offsets(self.admin, self.broker, self.topic, reached)
        lost = {}
        for partition, offset in reached.items():
            low, high = held[partition]
            if offset > high:
                raise FleetError(
                    f"partition {partition} of {self.topic} ends at offset {high:,}, offset"
                    f" {offset:,} was to be read next: Kafka has lost the end of its log"
                    " (`fleet gaps list` tells)"
                )
            if offset < low:
                lost[partition] = min(low, ends[partition]) - offset
        return lost


def _chunks(
    consumer: Consumer,
    log: _Log,
    reached: dict[int, int],
    ends: dict[int, int],
    lost: dict[int, int],
) -> Iterator[Chunk]:
    open_partitions = set(reached)
    begun, columns = dict(reached), _Columns()
    for partition, offsets in lost.items():
        reached[partition] += offsets
    open_partitions -= {p for p in reached if reached[p] >= ends[p]}
    heard, progress = time.monotonic(), -1
    while open_partitions:
        batch = consumer.consume(_FETCH, timeout=1.0)
        if progress != (progress := sum(reached.values())):
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENCE_S:
            raise log.broker.failed(
                f"nothing for {_SILENCE_S:.0f} s while partitions {sorted(open_partitions)} of"
                f" {log.topic} are unread"
            )
        seen = _take(batch, columns, reached, ends)
        if columns.offset:
            fault_point("landing.mid_read")
        for partition in _finished(batch, seen, consumer, log, open_partitions, reached, ends):
            open_partitions.discard(partition)
            reached[partition] = ends[partition]
            consumer.incremental_unassign([TopicPartition(log.topic, partition)])
        overrun = {p: at for p, at in seen.refused.items() if p in open_partitions}
        reached.update(overrun)
        full = columns.size >= CHUNK_BYTES or len(columns.offset) >= CHUNK_MESSAGES
        # what is lost stands first in a range, so what was read before it is given first
        if full or any(reached[p] != begun[p] + lost.get(p, 0) for p in overrun):
            yield _chunk(columns, log.topic_id, begun, reached, lost)
            begun, columns, lost = dict(reached), _Columns(), {}
        for partition, offsets in _passed_over(consumer, log, overrun, ends).items():
            lost[partition] = lost.get(partition, 0) + offsets
            reached[partition] += offsets
            if reached[partition] >= ends[partition]:
                open_partitions.discard(partition)
    if begun != reached:
        yield _chunk(columns, log.topic_id, begun, reached, lost)


def _passed_over(
    consumer: Consumer, log: _Log, overrun: Mapping[int, int], ends: Mapping[int, int]
) -> dict[int, int]:
    """Goes on behind what expired while it was to be read; how much that was per partition."""
    if not overrun:
        return {}
    lost = log.expired(overrun, ends)
    places = [TopicPartition(log.topic, p, at + lost.get(p, 0)) for p, at in overrun.items()]
    consumer.incremental_unassign(places)
    going_on = [place for place in places if place.offset < ends[place.partition]]
    if going_on:
        consumer.incremental_assign(going_on)
    return lost


@dataclass
class _Seen:
    """What a batch told besides messages.

    Attributes:
        passed: partitions whose end of range lies behind, past holes.
        refused: partitions whose next offset Kafka does not hold, and that offset.
    """

    passed: set[int] = field(default_factory=set)
    refused: dict[int, int] = field(default_factory=dict)


def _take(
    batch: list[Any], columns: _Columns, reached: dict[int, int], ends: dict[int, int]
) -> _Seen:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    seen = _Seen()
    for message in batch:
        partition, offset = message.partition(), message.offset()
        error = message.error()
        if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
            if offset >= ends[partition]:  # read ahead of the range
                seen.passed.add(partition)
            else:
                seen.refused[partition] = max(reached[partition], offset)
            continue
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if not error.retriable():
                raise FleetError(f"Kafka refuses to be read: {error.str()}")
            continue
        if offset >= ends[partition]:
            seen.passed.add(partition)
        if error is not None or not reached[partition] <= offset < ends[partition]:
            continue
        kind, milliseconds = message.timestamp()
        value = message.value()
        if headers := message.headers():
            note_replay(headers, len(columns.offset), columns.replay_of)
        columns.partition.append(partition)
        columns.offset.append(offset)
        columns.append_ms.append(milliseconds if kind == TIMESTAMP_LOG_APPEND_TIME else now_ms)
        columns.key.append(message.key())
        columns.value.append(value)
        columns.size += 100 + (len(value) if value is not None else 0)
        reached[partition] = offset + 1
    return seen


def _finished(
    batch: list[Any],
    seen: _Seen,
    consumer: Consumer,
    log: _Log,
    open_partitions: set[int],
    reached: dict[int, int],
    ends: dict[int, int],
) -> set[int]:
    """Partitions whose range is read: by the last message, or past holes by what came after."""
    done = {p for p in open_partitions if reached[p] >= ends[p]}
    done |= seen.passed & open_partitions
    waiting = [TopicPartition(log.topic, p) for p in open_partitions - done]
    if not batch and waiting:
        done |= {
            tp.partition for tp in consumer.position(waiting) if tp.offset >= ends[tp.partition]
        }
    return done


def _chunk(
    columns: _Columns,
    topic_id: str,
    begun: dict[int, int],
    reached: dict[int, int],
    lost: dict[int, int],
) -> Chunk:
    ranges = {p: (begun[p], reached[p]) for p in begun if begun[p] < reached[p]}
    bounds = pl.DataFrame(
        [(partition, start, end) for partition, (start, end) in ranges.items()],
        schema={"kafka_partition": pl.Int32, "offset_start": pl.Int64, "offset_end": pl.Int64},
        orient="row",
    )
    frame = columns.frame(topic_id).join(bounds, on="kafka_partition", maintain_order="left")
    return Chunk(ranges, frame, lost)
