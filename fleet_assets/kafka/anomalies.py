"""Publishing what became of anomalies, at least once each, in order, with the anomaly as key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.produce import Outgoing, require_topic, send
from fleet_assets.kafka.topic import Broker
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.dlq import only_publisher

AT_ONCE: Final = 5_000
KEPT: Final = timedelta(days=30)
"""So long what was published stays in warehouse.anomaly_changes."""


@dataclass(frozen=True)
class PublishedChanges:
    """What one call has done.

    Attributes:
        changes: how many were sent.
        failure: why it stopped; what is left is tried again by the next call.
        elsewhere: another process is publishing at this moment, so nothing was done.
    """

    changes: int
    failure: str | None = None
    elsewhere: bool = False


def changes_to_publish(postgres_url: str) -> int:
    """How many changes Kafka has not got yet."""
    row = transact(postgres_url, lambda c: c.execute(_WAITING).fetchone())
    return int(row[0]) if row else 0


def publish_changes(broker: Broker, postgres_url: str, topic: str) -> PublishedChanges:
    """Sends what was not sent yet, the oldest first; stops at the first that is not acknowledged.

    Raises:
        FleetError: Kafka does not answer or has no such topic; nothing was sent.
    """
    if not changes_to_publish(postgres_url):
        return PublishedChanges(0)
    require_topic(broker, topic)
    sent = 0
    with only_publisher(postgres_url, "anomalies") as alone:
        if not alone:
            return PublishedChanges(0, elsewhere=True)
        while True:
            waiting = transact(postgres_url, lambda c: c.execute(_NEXT, (AT_ONCE,)).fetchall())
            if not waiting:
                break
            deliveries = send(
                broker,
                topic,
                [
                    Outgoing(anomaly_id.encode(), payload.encode(), [("change", kind.encode())])
                    for _, anomaly_id, kind, payload in waiting
                ],
            )
            fault_point("anomalies.produced")
            failed = [n for n, d in enumerate(deliveries) if d.error is not None]
            acknowledged = [row[0] for row in waiting[: failed[0] if failed else None]]
            transact(postgres_url, lambda c, ids=acknowledged: c.execute(_DONE, (ids,)))  # type: ignore[misc]
            sent += len(acknowledged)
            if failed:
                return PublishedChanges(sent, deliveries[failed[0]].error)
    transact(postgres_url, lambda c: c.execute(_FORGET, (KEPT,)))
    return PublishedChanges(sent)


_WAITING = "select count(*) from warehouse.anomaly_changes where published_at is null"
_NEXT = """
select change_id, anomaly_id, kind, payload::text from warehouse.anomaly_changes
where published_at is null
order by change_id
limit %s
"""
_DONE = """
update warehouse.anomaly_changes set published_at = clock_timestamp() where change_id = any(%s)
"""
_FORGET = """
delete from warehouse.anomaly_changes where published_at < clock_timestamp() - %s
"""
