"""Publishing rejects to the dead-letter topic, at least once, with all that is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from fleet_assets.contracts.table import UTC_MICROSECONDS
from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.produce import Delivery, Outgoing, require_topic, send
from fleet_assets.kafka.topic import Broker
from fleet_assets.lake.dlq import IDENTITY, fingerprints, note_published, unpublished
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.coordinates import REPLAY_OF_HEADER, Coordinates
from fleet_assets.warehouse.dlq import examined_hours, note_examined, only_publisher

MOST_REJECTS: Final = 200_000
"""One call begins no further hour after so many, so that a backlog of rejects does not hold up
what comes after it in the run."""


@dataclass(frozen=True)
class Published:
    """What one call has done.

    Attributes:
        rejects: rejects that were sent, per hour.
        failures: why others were not, one line each; they are tried again.
        left: hours that wait for the next call.
        elsewhere: another process is publishing at this moment, so nothing was done.
    """

    rejects: dict[str, int]
    failures: tuple[str, ...] = ()
    left: int = 0
    elsewhere: bool = False


def hours_to_publish(lake: Lake, postgres_url: str) -> dict[str, str]:
    """Hours whose rejects may have changed since they were published, the newest first.

    Returns:
        The hours with the fingerprint of their rejects.
    """
    known = examined_hours(postgres_url)
    found = fingerprints(lake)
    return {
        hour: found[hour] for hour in sorted(found, reverse=True) if known.get(hour) != found[hour]
    }


def publish_rejects(
    lake: Lake, broker: Broker, postgres_url: str, origin_topic: str, dlq_topic: str
) -> Published:
    """Sends every reject that was not sent yet.

    Args:
        lake: where the rejects are, and the note of what was published.
        broker: Kafka.
        postgres_url: keeps which hours have been looked through; losing that costs time only.
        origin_topic: name of the topic that the messages came from, for the headers.
        dlq_topic: where to send.

    Raises:
        FleetError: Kafka does not answer or has no such topic; nothing was sent.
    """
    if not hours_to_publish(lake, postgres_url):
        return Published({})
    require_topic(broker, dlq_topic)
    with only_publisher(postgres_url) as alone:
        if not alone:
            return Published({}, elsewhere=True)
        waiting = hours_to_publish(lake, postgres_url)
        done: dict[str, int] = {}
        failures: list[str] = []
        for hour, fingerprint in waiting.items():
            if sum(done.values()) >= MOST_REJECTS:
                break
            done[hour], failed = _publish_hour(lake, broker, hour, origin_topic, dlq_topic)
            failures += failed
            if not failed:
                note_examined(postgres_url, hour, fingerprint)
        left = len(waiting) - len(done)
    return Published(done, tuple(failures), left)


def _publish_hour(
    lake: Lake, broker: Broker, hour: str, origin_topic: str, dlq_topic: str
) -> tuple[int, list[str]]:
    sent, failures = 0, []
    for rows in unpublished(lake, hour):
        deliveries = send(broker, dlq_topic, _messages(rows, origin_topic))
        fault_point("dlq.produced")
        published = _published(rows, deliveries)
        if not published.is_empty():
            note_published(lake, hour, published)
        sent += published.height
        failed = [d.error for d in deliveries if d.error is not None]
        if failed:
            failures.append(f"{hour}: {len(failed):,} of {rows.height:,} not sent ({failed[0]})")
    return sent, failures


def _messages(rejects: pl.DataFrame, origin_topic: str) -> Iterator[Outgoing]:
    for row in rejects.iter_rows(named=True):
        origin = Coordinates(row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"])
        yield Outgoing(str(origin).encode(), row["value"], list(_headers(row, origin_topic)))


def _headers(row: dict[str, Any], origin_topic: str) -> Iterable[tuple[str, bytes | None]]:
    """What is not known has no header; an empty key has an empty one."""
    known = {
        "reason": row["reason"],
        "detail": row["detail"],
        "topic": origin_topic,
        "topic_id": row["kafka_topic_id"],
        "partition": str(row["kafka_partition"]),
        "offset": str(row["kafka_offset"]),
        "append_time": _iso(row["append_time"]),
        "event_hour": row["event_hour"],
        "event_time": _iso(row["event_time"]),
        "vehicle_id": row["vehicle_id"],
        "key": row["key"],
        REPLAY_OF_HEADER: row["replay_of"],
    }
    for name, value in known.items():
        if value is not None:
            yield name, value if isinstance(value, bytes) else value.encode()


def _published(rejects: pl.DataFrame, deliveries: list[Delivery]) -> pl.DataFrame:
    """Rows of `dlq_published` of those that Kafka has acknowledged."""
    where = pl.DataFrame(
        {
            "dlq_partition": pl.Series([d.partition for d in deliveries], dtype=pl.Int32),
            "dlq_offset": pl.Series([d.offset for d in deliveries], dtype=pl.Int64),
            "acknowledged": pl.Series([d.error is None for d in deliveries], dtype=pl.Boolean),
        }
    )
    rows = pl.concat([rejects.select("event_hour", *IDENTITY), where], how="horizontal")
    return (
        rows.filter("acknowledged")
        .with_columns(published_at=pl.lit(datetime.now(UTC), dtype=UTC_MICROSECONDS))
        .drop("acknowledged")
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
