"""What operators have taken note of, and Kafka logs that lost their end after it had landed.

What expired unread is told by the lake itself (`fleet_assets.lake.gaps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg

from fleet_assets.errors import FleetError
from fleet_assets.lake.gaps import Acknowledgement, Gap, gaps, joined, with_acknowledgement
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.source import Source
from fleet_assets.warehouse.connection import transact


def known_gaps(lake: Lake, postgres_url: str) -> list[Gap]:
    """All gaps of lake and warehouse, with what was acknowledged."""
    known = acknowledgements(postgres_url)
    truncated = [with_acknowledgement(gap, known) for gap in truncations(postgres_url)]
    return joined([*gaps(lake, known), *truncated])


def acknowledgements(postgres_url: str) -> list[Acknowledgement]:
    """What was taken note of, oldest first."""
    rows = transact(
        postgres_url,
        lambda connection: connection.execute(
            "select kafka_topic_id, kafka_partition, offset_start, offset_end, acknowledged_by,"
            " acknowledged_at, reason from warehouse.acknowledged_gaps order by acknowledged_at"
        ).fetchall(),
    )
    return [Acknowledgement(*row) for row in rows]


def acknowledge(postgres_url: str, noted: Iterable[Gap], by: str, reason: str) -> None:
    """Notes that somebody knows of these gaps; what was noted before stays as it is.

    Raises:
        FleetError: no reason is given.
    """
    if not reason.strip():
        raise FleetError("A gap is acknowledged with a reason: give --reason.")
    rows = [
        (
            gap.kafka_topic_id,
            gap.kafka_partition,
            gap.offset_start,
            gap.offset_end,
            gap.lost,
            gap.kind,
            by,
            reason.strip(),
        )
        for gap in noted
    ]

    def write(connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into warehouse.acknowledged_gaps (kafka_topic_id, kafka_partition,"
                " offset_start, offset_end, lost, kind, acknowledged_by, reason)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
                rows,
            )

    transact(postgres_url, write)


def truncations(postgres_url: str) -> list[Gap]:
    """Logs that were seen to end before what had landed."""
    rows = transact(
        postgres_url,
        lambda connection: connection.execute(
            "select kafka_topic_id, kafka_partition, offset_start, offset_end, seen_at, cluster_id"
            " from warehouse.truncated_logs"
        ).fetchall(),
    )
    return [
        Gap(topic, partition, start, end, "truncated", end - start, seen, cluster)
        for topic, partition, start, end, seen, cluster in rows
    ]


def record_truncations(
    postgres_url: str, source: Source, truncated: Mapping[int, tuple[int, int]]
) -> None:
    """Notes logs that end before what has landed, so that it is known when they have grown again.

    Args:
        postgres_url: the warehouse.
        source: the topic.
        truncated: per partition, where its log ends and what had landed before.
    """
    rows = [
        (source.cluster_id, source.topic_id, partition, end, landed)
        for partition, (end, landed) in truncated.items()
    ]

    def write(connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into warehouse.truncated_logs as known (cluster_id, kafka_topic_id,"
                " kafka_partition, offset_start, offset_end) values (%s, %s, %s, %s, %s)"
                " on conflict (kafka_topic_id, kafka_partition, offset_end) do update"
                " set offset_start = excluded.offset_start"
                " where excluded.offset_start < known.offset_start",
                rows,
            )

    if rows:
        transact(postgres_url, write)
