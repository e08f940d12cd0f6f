"""Landing: raw messages and the offsets they were read up to, in one Delta commit.

`raw_telemetry` is the truth. The row in `landings` and the pending counts in
`telemetry_outcomes` follow it; if a crash comes between, the next landing adds the former and the
refresh of the hour the latter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from fleet_assets.contracts.tables import LANDINGS, RAW_TELEMETRY
from fleet_assets.errors import FleetError
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot, retrying
from fleet_assets.telemetry.source import Source


@dataclass(frozen=True)
class Landed:
    """What one landing committed.

    Attributes:
        version: version of `raw_telemetry`.
        messages: messages per event hour.
    """

    version: int
    messages: dict[str, int]


class AlreadyLandedError(FleetError):
    """The range does not begin at the next offset: somebody else has landed it."""


def committed_offsets(
    lake_url: str, cluster_id: str, topic_id: str, partitions: Iterable[int] = range(64)
) -> dict[int, int]:
    """Next offset to read per partition; partitions never landed are missing."""
    return next_offsets(
        Lake(lake_url).open("raw_telemetry"), Source(cluster_id, topic_id), partitions
    )


def next_offsets(raw: TableSnapshot, source: Source, partitions: Iterable[int]) -> dict[int, int]:
    """Next offset of each of these partitions of a source, where there is one."""
    found: dict[int, int] = {}
    for partition in partitions:
        offset = raw.committed(source.app_id(partition))
        if offset is not None:
            found[partition] = offset
    return found


def land(
    lake: Lake,
    source: Source,
    ranges: Mapping[int, tuple[int, int]],
    messages: pl.DataFrame,
    lost: Mapping[int, int] | None = None,
) -> Landed:
    """Commits placed messages and the ranges they were read from.

    Args:
        lake: the lake.
        source: where they come from.
        ranges: per Kafka partition the half-open range of offsets that was read.
        messages: placed messages with Kafka coordinates, without `landing_version`.
        lost: per Kafka partition, offsets of the range that had expired before they were read.

    Raises:
        AlreadyLandedError: a range does not begin where the last landing ended.
    """
    _heal(lake, source, sorted(ranges))

    def attempt() -> Landed:
        raw = lake.open("raw_telemetry")
        for partition, (start, _) in ranges.items():
            expected = raw.committed(source.app_id(partition))
            if expected is not None and expected != start:
                raise AlreadyLandedError(
                    f"partition {partition} was landed up to {expected}, this range begins at"
                    f" {start}: nothing is written, the sensor asks for what is missing"
                )
        version = raw.version + 1
        rows = messages.with_columns(landing_version=pl.lit(version, dtype=pl.Int64))
        ordered = rows.select(RAW_TELEMETRY.names).sort(
            "event_hour", "kafka_partition", "kafka_offset"
        )
        progress = {source.app_id(p): end for p, (_, end) in ranges.items()}
        raw.append(ordered, progress, exact=True)
        return Landed(version, dict(rows.group_by("event_hour").len().iter_rows()))

    landed = retrying("landing", attempt)
    counts = dict(messages.group_by("kafka_partition").len().iter_rows())
    _record(lake, source, landed.version, ranges, counts, lost or {})
    return landed


def _record(
    lake: Lake,
    source: Source,
    version: int,
    ranges: Mapping[int, tuple[int, int]],
    counts: Mapping[int, int],
    lost: Mapping[int, int],
) -> None:
    rows = pl.DataFrame(
        [
            {
                "kafka_topic_id": source.topic_id,
                "kafka_partition": partition,
                "offset_start": start,
                "offset_end": end,
                "messages": counts.get(partition, 0),
                "holes": end - start - counts.get(partition, 0) - lost.get(partition, 0),
                "lost": lost.get(partition, 0),
                "landing_version": version,
                "cluster_id": source.cluster_id,
            }
            for partition, (start, end) in sorted(ranges.items())
        ],
        schema=LANDINGS.polars_schema,
    )

    def attempt() -> int:
        landings = lake.open("landings")
        fresh = [
            row
            for row in rows.iter_rows(named=True)
            if (landings.committed(source.app_id(row["kafka_partition"])) or -1) < row["offset_end"]
        ]
        if not fresh:
            return landings.version
        progress = {source.app_id(row["kafka_partition"]): row["offset_end"] for row in fresh}
        return landings.append(
            pl.DataFrame(fresh, schema=LANDINGS.polars_schema), progress, exact=True
        )

    retrying("record of a landing", attempt)


def _heal(lake: Lake, source: Source, partitions: list[int]) -> None:
    """Adds the rows to `landings` that a crash after the raw commit has left out."""
    raw, landings = lake.open("raw_telemetry"), lake.open("landings")
    for partition in partitions:
        app_id = source.app_id(partition)
        reached, recorded = raw.committed(app_id), landings.committed(app_id)
        if reached is None or reached == recorded:
            continue
        rows = raw.read(
            columns=["kafka_offset", "offset_start", "landing_version"],
            where=(pl.col("kafka_topic_id") == source.topic_id)
            & (pl.col("kafka_partition") == partition)
            & (pl.col("kafka_offset") >= (recorded or 0)),
        )
        first = rows["offset_start"].to_list()
        start = recorded if recorded is not None else min(first, default=reached)
        version = raw.version if rows.is_empty() else int(rows["landing_version"].to_list()[-1])
        if start < reached:
            _record(
                lake, source, version, {partition: (start, reached)}, {partition: len(rows)}, {}
            )


__all__ = [
    "AlreadyLandedError",
    "CommitConflictError",
    "Landed",
    "Source",
    "committed_offsets",
    "land",
]
