"""Reading exact ranges of offsets, in chunks that fit in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import compress
from typing import Any, Final

import polars as pl
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.columns import Columns
from fleet_assets.kafka.topic import Broker, describe, held_offsets

CHUNK_MESSAGES: Final = 1_000_000
CHUNK_BYTES: Final = 160 * 1024 * 1024
_FETCH: Final = 500  # larger batches leave the processor's caches
_FETCH_S: Final = 0.1
_SILENCE_S: Final = 30.0
_MESSAGE: Any = Message
"""Its methods are called by `map`; that they may give None is true of errors only."""


@dataclass(frozen=True)
class Chunk:
    """Messages of one part of the ranges, with the part of the ranges that they fill.

    Attributes:
        lost: per partition, offsets that Kafka had expired before they could be read.
    """

    ranges: dict[int, tuple[int, int]]
    messages: pl.DataFrame
    lost: dict[int, int]


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
    begun, columns = dict(reached), Columns()
    for partition, offsets in lost.items():
        reached[partition] += offsets
    open_partitions -= {p for p in reached if reached[p] >= ends[p]}
    heard, progress = time.monotonic(), -1
    while open_partitions:
        # never more than may come: the last of a range would wait for others to fill the batch
        unread = sum(ends[p] - reached[p] for p in open_partitions)
        seen = _fetch(consumer, max(1, min(_FETCH, unread)), columns, reached, ends)
        if progress != (progress := sum(reached.values())):
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENCE_S:
            raise log.broker.failed(
                f"nothing for {_SILENCE_S:.0f} s while partitions {sorted(open_partitions)} of"
                f" {log.topic} are unread"
            )
        if columns.rows:
            fault_point("landing.mid_read")
        for partition in _finished(seen, consumer, log, open_partitions, reached, ends):
            open_partitions.discard(partition)
            reached[partition] = ends[partition]
            consumer.incremental_unassign([TopicPartition(log.topic, partition)])
        overrun = {p: at for p, at in seen.refused.items() if p in open_partitions}
        reached.update(overrun)
        full = columns.size >= CHUNK_BYTES or columns.rows >= CHUNK_MESSAGES
        # what is lost stands first in a range, so what was read before it is given first
        if full or any(reached[p] != begun[p] + lost.get(p, 0) for p in overrun):
            yield _chunk(columns, log.topic_id, begun, reached, lost)
            begun, columns, lost = dict(reached), Columns(), {}
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
        nothing: it was empty.
        passed: partitions whose end of range lies behind, past holes.
        refused: partitions whose next offset Kafka does not hold, and that offset.
    """

    nothing: bool = False
    passed: set[int] = field(default_factory=set)
    refused: dict[int, int] = field(default_factory=dict)


def _fetch(
    consumer: Consumer, most: int, columns: Columns, reached: dict[int, int], ends: dict[int, int]
) -> _Seen:
    """Takes a batch in.

    It is gone when the next one is made: more such objects at a time, and Python's collector
    would run for each batch.
    """
    batch: list[Any] = consumer.consume(most, timeout=_FETCH_S)
    errors = [message for message in batch if message.error() is not None]
    messages = [m for m in batch if m.error() is None] if errors else batch
    seen = _Seen(nothing=not batch)
    seen.passed |= _take(messages, columns, reached, ends)
    for error in errors:  # they come after the messages of their partition
        _take_error(error, seen, reached, ends)
    return seen


def _take(
    messages: list[Any], columns: Columns, reached: dict[int, int], ends: dict[int, int]
) -> set[int]:
    """Adds the messages that are unread of the ranges; partitions of which others came."""
    if not messages:
        return set()
    partitions = list(map(_MESSAGE.partition, messages))
    offsets = list(map(_MESSAGE.offset, messages))
    last = dict(zip(partitions, offsets, strict=True))
    first = dict(zip(reversed(partitions), reversed(offsets), strict=True))
    passed = {p for p, offset in last.items() if offset >= ends[p]}
    if passed or any(offset < reached[p] for p, offset in first.items()):
        unread = [reached[p] <= o < ends[p] for p, o in zip(partitions, offsets, strict=True)]
        _take(list(compress(messages, unread)), columns, reached, ends)
        return passed
    columns.add(messages, partitions, offsets, now_ms=int(datetime.now(UTC).timestamp() * 1000))
    reached.update((p, offset + 1) for p, offset in last.items())
    return passed


def _take_error(
    message: Any, seen: _Seen, reached: Mapping[int, int], ends: Mapping[int, int]
) -> None:
    """Notes what an error tells of its partition.

    Raises:
        FleetError: it will not go away by itself.
    """
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        if offset >= ends[partition]:  # read ahead of the range
            seen.passed.add(partition)
        else:
            seen.refused[partition] = max(reached[partition], offset)
    elif error.code() == KafkaError._PARTITION_EOF:
        if offset >= ends[partition]:
            seen.passed.add(partition)
    elif not error.retriable():
        raise FleetError(f"Kafka refuses to be read: {error.str()}")


def _finished(
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
    if seen.nothing and waiting:
        done |= {
            tp.partition for tp in consumer.position(waiting) if tp.offset >= ends[tp.partition]
        }
    return done


def _chunk(
    columns: Columns,
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
