"""Where a message stands in Kafka, as one text: the name by which rejects and replays are known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

import polars as pl

REPLAY_OF_HEADER: Final = "fleet-replay-of"
"""Kafka header of a replay; its value is the coordinates of the message that a vehicle sent."""
COORDINATES: Final = ["kafka_topic_id", "kafka_partition", "kafka_offset"]
# a topic id is base64, and so may hold slashes of its own
_TEXT: Final = re.compile(r"(\S{1,64})/(\d{1,9})/(\d{1,18})")


@dataclass(frozen=True, order=True)
class Coordinates:
    """Topic id, partition and offset of one message.

    >>> str(Coordinates.parse("TOPIC/3/42"))
    'TOPIC/3/42'
    """

    topic_id: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Reads ``topic_id/partition/offset``; None: it is nothing of the kind."""
        found = _TEXT.fullmatch(text)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.partition}/{self.offset}"


def coordinates_text() -> pl.Expr:
    """The columns COORDINATES as one text, as `Coordinates` writes it.

    By addition: Polars' `format` panics on some columns that lie in several pieces.
    """
    topic_id, partition, offset = (pl.col(name).cast(pl.String) for name in COORDINATES)
    return topic_id + "/" + partition + "/" + offset


def parts_of(text: pl.Expr) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Topic id, partition and offset of coordinates as text; null where it is none."""
    found = text.str.extract_groups(f"^{_TEXT.pattern}$").struct
    return (
        found.field("1"),
        found.field("2").cast(pl.Int32),
        found.field("3").cast(pl.Int64),
    )
