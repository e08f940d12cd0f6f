"""Landing: raw messages and the offsets they were read up to, in one Delta commit.

`raw_telemetry` is the truth. The row in `landings` follows it and also stands as a note in the raw
commit, so that the next landing can add it if a crash comes between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from fleet_assets.contracts.tables import LANDINGS, RAW_TELEMETRY
from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.lake.sealed import refuse_sealed
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot, retrying
from fleet_assets.telemetry.source import Source
from fleet_assets.telemetry.validation import InvalidHourError, Verdict, validate

_NOTE = "fleet.landing"
_NEWEST = "landing"
"""Application whose transaction names the newest landing: in `raw_telemetry` the newest committed
one, in `landings` the newest recorded one."""
_HISTORY = (20, 2_000, None)
"""Commits looked through for a landing that was not recorded: others may have committed since.
Upkeep, before it cuts the log, has it recorded (`heal`)."""


@dataclass(frozen=True)
class Landed:
    """What one landing committed.

    Attributes:
        version: version of `raw_telemetry`.
        messages: messages per event hour.
        verdicts: the checks that ran before the commit.
    """

    version: int
    messages: dict[str, int]
    verdicts: tuple[Verdict, ...]


class AlreadyLandedError(FleetError):
    """The range does not begin at the next offset: somebody else has landed it."""


def committed_offsets(
    lake_url: str, cluster_id: str, topic_id: str, partitions: Iterable[int]
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
        InvalidHourError: the rows break their contract; nothing is committed.
    """

    def attempt() -> Landed:
        raw, landings = lake.open("raw_telemetry"), lake.open("landings")
        if missing := newest_unrecorded(raw, landings):
            landings = _record(lake, landings, missing)
        for partition, (start, _) in ranges.items():
            expected = raw.committed(source.app_id(partition))
            if expected is not None and expected != start:
                raise AlreadyLandedError(
                    f"partition {partition} was landed up to {expected}, this range begins at"
                    f" {start}: nothing is written, the sensor asks for what is missing"
                )
        version = raw.version + 1
        rows = refuse_sealed(messages, raw).sort("event_hour", maintain_order=True)  # within it,
        rows = rows.with_columns(landing_version=pl.lit(version, dtype=pl.Int64))  # as Kafka did
        rows = rows.select(RAW_TELEMETRY.names)
        progress = {source.app_id(p): end for p, (_, end) in ranges.items()}
        records = _records(source, version, ranges, counts, lost or {})
        verdicts = (
            validate("raw_telemetry", rows, None),
            validate("landings", pl.DataFrame(records, schema=LANDINGS.polars_schema), None),
        )
        if not all(verdict.passed for verdict in verdicts):
            raise InvalidHourError(list(verdicts))
        fault_point("landing.before_write")
        raw.append(rows, {**progress, _NEWEST: version}, {_NOTE: json.dumps(records)})
        fault_point("landing.raw_committed")
        _record(lake, landings, records)
        fault_point("landing.recorded")
        return Landed(version, dict(rows.group_by("event_hour").len().iter_rows()), verdicts)

    counts = dict(messages.group_by("kafka_partition").len().iter_rows())
    return retrying("landing", attempt)


def _records(
    source: Source,
    version: int,
    ranges: Mapping[int, tuple[int, int]],
    counts: Mapping[int, int],
    lost: Mapping[int, int],
) -> list[dict[str, Any]]:
    """Rows of `landings`, which also stand as a note in the raw commit itself."""
    return [
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
    ]


def _record(
    lake: Lake, landings: TableSnapshot, records: Sequence[Mapping[str, Any]]
) -> TableSnapshot:
    """Adds those rows to `landings` that it lacks; the snapshot that has them."""
    snapshots = iter([landings])

    def attempt() -> TableSnapshot:
        found = next(snapshots, None) or lake.open("landings")
        missing = _missing(found, records)
        if missing:
            progress = {_app_id(record): record["offset_end"] for record in missing}
            newest = max(record["landing_version"] for record in records)
            rows = pl.DataFrame(missing, schema=LANDINGS.polars_schema)
            found.commit_files({None: [rows]}, found.files.clear(), {**progress, _NEWEST: newest})
        return found

    return retrying("record of a landing", attempt)


def _missing(
    landings: TableSnapshot, records: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    return [r for r in records if (landings.committed(_app_id(r)) or -1) < r["offset_end"]]


def _app_id(record: Mapping[str, Any]) -> str:
    source = Source(record["cluster_id"], record["kafka_topic_id"])
    return source.app_id(record["kafka_partition"])


def newest_unrecorded(raw: TableSnapshot, landings: TableSnapshot) -> list[Mapping[str, Any]]:
    """Rows of the newest landing that `landings` lacks: a crash left them out, or it is just now.

    Only the newest can lack them, as each landing first sees to the one before it.
    """
    newest = raw.committed(_NEWEST)
    if newest is not None and (landings.committed(_NEWEST) or -1) >= newest:
        return []
    for commits in _HISTORY:
        for records in _notes(raw, commits):
            if newest in (None, records[0]["landing_version"]):  # None: a lake of before there was
                return _missing(landings, records)
    return []


def heal(lake: Lake) -> None:
    """Adds the rows to `landings` that a crash after the newest raw commit has left out."""
    raw, landings = lake.open("raw_telemetry"), lake.open("landings")
    if missing := newest_unrecorded(raw, landings):
        _record(lake, landings, missing)


def _notes(raw: TableSnapshot, commits: int | None) -> Iterator[list[Mapping[str, Any]]]:
    """Notes of landings, newest first."""
    for commit in raw.delta.history(commits):
        if records := json.loads(commit.get(_NOTE, "[]")):
            yield records


__all__ = [
    "AlreadyLandedError",
    "CommitConflictError",
    "Landed",
    "Source",
    "committed_offsets",
    "heal",
    "land",
]
