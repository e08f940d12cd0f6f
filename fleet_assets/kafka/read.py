"""Reading exact ranges of offsets, in chunks that fit in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    TopicPartition,
)

from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.headers import note_replay, replay_column
from fleet_assets.kafka.topic import Broker

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
    count as read.

    Raises:
        FleetError: Kafka falls silent or refuses; the chunks given so far stand.
    """
    reached = {p: start for p, (start, end) in ranges.items() if start < end}
    ends = {p: ranges[p][1] for p in reached}
    if not reached:
        return
    consumer = broker.consumer()
    try:
        oldest = {
            p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=_SILENCE_S)[0]
            for p in reached
        }
        lost = {
            p: min(oldest[p], ends[p]) - start for p, start in reached.items() if start < oldest[p]
        }
        consumer.assign(
            [TopicPartition(topic, p, start + lost.get(p, 0)) for p, start in reached.items()]
        )
        yield from _chunks(consumer, topic, topic_id, reached, ends, lost)
    finally:
        consumer.close()


def _chunks(
    consumer: Consumer,
    topic: str,
    topic_id: str,
    reached: dict[int, int],
    ends: dict[int, int],
    lost: dict[int, int],
) -> Iterator[Chunk]:
    open_partitions = set(reached)
    begun, columns = dict(reached), _Columns()
    for partition, offsets in lost.items():
        reached[partition] += offsets
    heard = time.monotonic()
    while open_partitions:
        batch = consumer.consume(_FETCH, timeout=1.0)
        if batch:
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENCE_S:
            raise FleetError(
                f"Kafka sent nothing for {_SILENCE_S:.0f} s while partitions"
                f" {sorted(open_partitions)} of {topic} are unread: the landing is tried again"
            )
        _take(batch, columns, reached, ends)
        if columns.offset:
            fault_point("landing.mid_read")
        for partition in _finished(batch, consumer, topic, open_partitions, reached, ends):
            open_partitions.discard(partition)
            reached[partition] = ends[partition]
            consumer.incremental_unassign([TopicPartition(topic, partition)])
        if columns.size >= CHUNK_BYTES or len(columns.offset) >= CHUNK_MESSAGES:
            yield _chunk(columns, topic_id, begun, reached, lost)
            begun, columns, lost = dict(reached), _Columns(), {}
    if begun != reached:
        yield _chunk(columns, topic_id, begun, reached, lost)


def _take(
    batch: list[Any], columns: _Columns, reached: dict[int, int], ends: dict[int, int]
) -> None:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    for message in batch:
        if message.error() is not None:
            _raise_unless_end(message.error())
            continue
        partition, offset = message.partition(), message.offset()
        if not reached[partition] <= offset < ends[partition]:
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


def _raise_unless_end(error: KafkaError) -> None:
    if error.code() == KafkaError._PARTITION_EOF or error.retriable():
        return
    raise FleetError(f"Kafka refuses to be read: {error.str()}")


def _finished(
    batch: list[Any],
    consumer: Consumer,
    topic: str,
    open_partitions: set[int],
    reached: dict[int, int],
    ends: dict[int, int],
) -> set[int]:
    """Partitions whose range is read: by the last message, or past holes by the position."""
    done = {p for p in open_partitions if reached[p] >= ends[p]}
    at_end = {
        m.partition()
        for m in batch
        if m.error() is not None
        and m.error().code() == KafkaError._PARTITION_EOF
        and m.partition() in open_partitions
        and m.offset() >= ends[m.partition()]
    }
    done |= at_end
    waiting = [TopicPartition(topic, p) for p in open_partitions - done]
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
