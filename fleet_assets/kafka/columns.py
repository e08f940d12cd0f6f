"""Messages as columns.

A Python object for each field of each message is what reading costs, so there is one call per
field and batch, and the objects live only until a block of them has become columns: they stay in
the processor's caches, and Python's collector finds nothing to walk through.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from fleet_assets.kafka.headers import note_replay, replay_column

_BLOCK_MESSAGES: Final = 5_000
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_OVERHEAD: Final = 100
"""Bytes that a message's coordinates and key take, about."""
_MESSAGE: Any = Message

SCHEMA: Final = {
    "kafka_topic_id": pl.String(),
    "kafka_partition": pl.Int32(),
    "kafka_offset": pl.Int64(),
    "append_time": pl.Datetime("us", "UTC"),
    "key": pl.Binary(),
    "value": pl.Binary(),
    "replay_of": pl.String(),
}


@dataclass
class _Block:
    partition: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    append_ms: list[int] = field(default_factory=list)
    key: list[Any] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)
    replay_of: dict[int, str] = field(default_factory=dict)  # few are: by position
    size: int = 0

    def frame(self) -> pl.DataFrame:
        milliseconds = pl.Series(self.append_ms, dtype=pl.Int64)
        return pl.DataFrame(
            {
                "kafka_partition": pl.Series(self.partition, dtype=pl.Int32),
                "kafka_offset": pl.Series(self.offset, dtype=pl.Int64),
                "append_time": (milliseconds * 1000).cast(SCHEMA["append_time"]),
                "key": pl.Series(self.key, dtype=pl.Binary),
                "value": pl.Series(self.value, dtype=pl.Binary),
                "replay_of": replay_column(self.replay_of, len(self.offset)),
            }
        )


@dataclass
class Columns:
    """What has been read of a chunk.

    Attributes:
        rows: messages.
        size: bytes, about.
    """

    rows: int = 0
    size: int = 0
    _blocks: list[pl.DataFrame] = field(default_factory=list)
    _block: _Block = field(default_factory=_Block)

    def add(
        self, messages: list[Any], partitions: list[int], offsets: list[int], now_ms: int
    ) -> None:
        """Adds messages; without LogAppendTime they arrive now."""
        block = self._block
        headers = list(map(_MESSAGE.headers, messages))
        if any(headers):
            for position, found in enumerate(headers, start=len(block.offset)):
                if found:
                    note_replay(found, position, block.replay_of)
        block.partition += partitions
        block.offset += offsets
        block.append_ms += [
            milliseconds if kind == TIMESTAMP_LOG_APPEND_TIME else now_ms
            for kind, milliseconds in map(_MESSAGE.timestamp, messages)
        ]
        block.key += map(_MESSAGE.key, messages)
        block.value += map(_MESSAGE.value, messages)
        size = sum(map(len, messages)) + _OVERHEAD * len(messages)
        block.size += size
        self.size += size
        self.rows += len(messages)
        if len(block.offset) >= _BLOCK_MESSAGES or block.size >= _BLOCK_BYTES:
            self._close_block()

    def frame(self, topic_id: str) -> pl.DataFrame:
        """All messages in the order in which they were added."""
        self._close_block()
        if not self._blocks:
            return pl.DataFrame(schema=SCHEMA)
        rows = pl.concat(self._blocks, rechunk=True)
        return rows.with_columns(kafka_topic_id=pl.lit(topic_id)).select(list(SCHEMA))

    def _close_block(self) -> None:
        if self._block.offset:
            self._blocks.append(self._block.frame())
            self._block = _Block()
