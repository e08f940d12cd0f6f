"""Gaps in what has landed: offsets that Kafka had expired before they were read.

Everything is told from `landings`. In each of its rows the lost offsets are the first ones of the
range. What was acknowledged by an operator is known to the warehouse and is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Any, Literal

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fleet_assets.lake.store import Lake

GapKind = Literal["expired", "before", "truncated"]
_ROW = ["cluster_id", "kafka_topic_id", "kafka_partition", "offset_start", "offset_end"]


@dataclass(frozen=True)
class Acknowledgement:
    """An operator has taken note of a gap: who, when and why."""

    kafka_topic_id: str
    kafka_partition: int
    offset_start: int
    offset_end: int
    acknowledged_by: str
    acknowledged_at: datetime
    reason: str

    def covers(self, gap: Gap) -> bool:
        """Whether the whole gap was acknowledged."""
        return (
            (self.kafka_topic_id, self.kafka_partition) == (gap.kafka_topic_id, gap.kafka_partition)
            and self.offset_start <= gap.offset_start
            and gap.offset_end <= self.offset_end
        )


@dataclass(frozen=True)
class Gap:
    """Offsets of one Kafka partition whose messages the lake does not have.

    Attributes:
        offset_start, offset_end: the half-open range of offsets.
        kind: `expired`: retention or a deletion overran the reader, a loss. `before`: the
            partition's first landing began there; what it held earlier is not known, and counts
            as no loss. `truncated`: Kafka lost its end of the log after it had landed; what was
            written there anew is not read, a loss.
        lost: number of lost offsets, at most so many messages (control records and compacted ones
            are among them); 0 for `before`.
        landed_at: when the gap was recorded; None: the table's log no longer tells.
        acknowledged: by whom and why; None: nobody has taken note yet.
    """

    kafka_topic_id: str
    kafka_partition: int
    offset_start: int
    offset_end: int
    kind: GapKind
    lost: int
    landed_at: datetime | None
    cluster_id: str
    acknowledged: Acknowledgement | None = None

    @property
    def is_open(self) -> bool:
        """A loss that nobody has acknowledged."""
        return self.lost > 0 and self.acknowledged is None

    def __str__(self) -> str:
        where = f"partition {self.kafka_partition} of topic id {self.kafka_topic_id}"
        first, last = f"{self.offset_start:,}", f"{self.offset_end - 1:,}"
        what = {
            "expired": f"offsets {first} to {last} had expired in Kafka before they were read"
            f" (at most {self.lost:,} messages lost)",
            "before": f"landed from offset {self.offset_end:,} on; what it held before is unknown",
            "truncated": f"Kafka lost offsets {first} to {last} after they had landed; what was"
            f" written there since is not read (at most {self.lost:,} messages lost)",
        }[self.kind]
        noted = self.acknowledged
        return f"{where}: {what}" + (
            f"; acknowledged by {noted.acknowledged_by}: {noted.reason}" if noted else ""
        )


def gaps(lake: Lake, acknowledged: Iterable[Acknowledgement] = ()) -> list[Gap]:
    """All gaps, by topic, partition and offset; neighbouring lost ranges count as one.

    Args:
        lake: the lake; nothing is made in it.
        acknowledged: what operators have taken note of.
    """
    table = lake.find("landings")
    if table is None:
        return []
    landings = table.read(columns=[*_ROW, "lost", "landing_version"]).sort(_ROW)
    known = list(acknowledged)
    when = cache(lambda version: _committed_at(lake, version))
    first = landings.group_by(_ROW[:3], maintain_order=True).first()
    found = [_before(row) for row in first.filter(pl.col("offset_start") > 0).iter_rows(named=True)]
    lost = landings.filter(pl.col("lost") > 0).iter_rows(named=True)
    found += [_expired(row, when(row["landing_version"])) for row in lost]
    return joined([with_acknowledgement(gap, known) for gap in found])


def with_acknowledgement(gap: Gap, known: Iterable[Acknowledgement]) -> Gap:
    """The gap with what was noted of it."""
    return replace(gap, acknowledged=next((a for a in known if a.covers(gap)), None))


def joined(found: Iterable[Gap]) -> list[Gap]:
    """Gaps in order; those that adjoin and agree in kind and acknowledgement are one."""
    result: list[Gap] = []
    for _, group in groupby(sorted(found, key=_order), key=lambda gap: _order(gap)[:-1]):
        for gap in group:
            before = result[-1] if result else None
            if before is not None and _adjoin(before, gap):
                result[-1] = replace(before, offset_end=gap.offset_end, lost=before.lost + gap.lost)
            else:
                result.append(gap)
    return result


def _order(gap: Gap) -> tuple[str, str, int, int]:
    return gap.cluster_id, gap.kafka_topic_id, gap.kafka_partition, gap.offset_start


def _adjoin(before: Gap, gap: Gap) -> bool:
    return (
        _order(before)[:-1] == _order(gap)[:-1]
        and before.offset_end == gap.offset_start
        and (before.kind, before.acknowledged) == (gap.kind, gap.acknowledged)
    )


def _expired(row: dict[str, Any], landed_at: datetime | None) -> Gap:
    return Gap(
        row["kafka_topic_id"],
        row["kafka_partition"],
        row["offset_start"],
        row["offset_start"] + row["lost"],
        "expired",
        row["lost"],
        landed_at,
        row["cluster_id"],
    )


def _before(row: dict[str, Any]) -> Gap:
    return Gap(
        row["kafka_topic_id"],
        row["kafka_partition"],
        0,
        row["offset_start"],
        "before",
        0,
        None,
        row["cluster_id"],
    )


def _committed_at(lake: Lake, version: int) -> datetime | None:
    """When a version of raw_telemetry was committed; its log is kept for a bounded time."""
    try:
        table = DeltaTable(lake.uri("raw_telemetry"), version=version, without_files=True)
        milliseconds = table.history(1)[0]["timestamp"]
    except (DeltaError, KeyError, IndexError):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
