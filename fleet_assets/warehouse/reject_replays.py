"""The audit trail of replays: who sent which reject again, when, how mended, and to where.

A row stands before its message is sent, so that a crash in between can be told from nothing
having happened; it gets the new coordinates once Kafka has confirmed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl
from psycopg.rows import dict_row

from fleet_assets.errors import FleetError
from fleet_assets.telemetry.coordinates import Coordinates
from fleet_assets.warehouse.connection import connect, transact

_ORIGIN: Final = "origin_topic_id, origin_partition, origin_offset"


@dataclass(frozen=True)
class Intent:
    """A reject that is about to be sent again.

    Attributes:
        origin: the message that a vehicle sent.
        event_hour, reason, vehicle_id: of the reject.
        attempt: 1 for the first replay of the origin; 0: not known yet.
    """

    origin: Coordinates
    event_hour: str
    reason: str
    vehicle_id: str | None
    attempt: int = 0
    intended_at: datetime | None = None


@contextmanager
def only_replayer(postgres_url: str) -> Iterator[None]:
    """Holds off every other `fleet rejects replay` while the block runs.

    The lock ends with the connection, so one that was killed holds nobody up.

    Raises:
        FleetError: another one is under way.
    """
    with connect(postgres_url) as connection:
        row = connection.execute(
            "select pg_try_advisory_xact_lock(hashtext('fleet/rejects replay'))"
        ).fetchone()
        if not (row and row[0]):
            raise FleetError(
                "Another `fleet rejects replay` is under way: wait until it has ended."
            )
        yield


def begin_batch(
    postgres_url: str, requested_by: str, chosen: dict[str, Any], mapping: str, planned: int
) -> int:
    """Notes one call of `fleet rejects replay`.

    Returns:
        The batch's number.
    """

    def work(connection: Any) -> int:
        row = connection.execute(
            "insert into warehouse.reject_replay_batches (requested_by, chosen, mapping, planned)"
            " values (%s, %s, %s, %s) returning batch_id",
            (requested_by, json.dumps(chosen), mapping, planned),
        ).fetchone()
        return int(row[0])

    return transact(postgres_url, work)


def finish_batch(postgres_url: str, batch_id: int, sent: int) -> None:
    """Notes how many messages Kafka has confirmed."""
    statement = (
        "update warehouse.reject_replay_batches set sent = %s, finished_at = clock_timestamp()"
        " where batch_id = %s"
    )
    transact(postgres_url, lambda connection: connection.execute(statement, (sent, batch_id)))


def intend(postgres_url: str, batch_id: int, intents: Sequence[Intent]) -> list[int]:
    """Notes that these will be sent.

    Returns:
        The number of the attempt of each, in their order.
    """

    def work(connection: Any) -> list[int]:
        with connection.cursor() as cursor:
            cursor.executemany(_INTEND, [_values(i, batch_id) for i in intents], returning=True)
            attempts = []
            while True:
                attempts.append(int(cursor.fetchone()[0]))
                if not cursor.nextset():
                    return attempts

    return transact(postgres_url, work) if intents else []


def confirm(postgres_url: str, replays: Sequence[tuple[Intent, Coordinates]]) -> None:
    """Notes where Kafka has stored these."""
    rows = [
        (r.topic_id, r.partition, r.offset, i.origin.topic_id, i.origin.partition,
         i.origin.offset, i.attempt)
        for i, r in replays
    ]  # fmt: skip
    _execute_many(
        postgres_url,
        "update warehouse.reject_replays set kafka_topic_id = %s, kafka_partition = %s,"
        " kafka_offset = %s, replayed_at = clock_timestamp()"
        " where origin_topic_id = %s and origin_partition = %s and origin_offset = %s"
        " and attempt = %s",
        rows,
    )


def withdraw(postgres_url: str, intents: Sequence[Intent]) -> None:
    """Forgets intents whose messages are certainly not in Kafka."""
    rows = [(i.origin.topic_id, i.origin.partition, i.origin.offset, i.attempt) for i in intents]
    _execute_many(
        postgres_url,
        "delete from warehouse.reject_replays where origin_topic_id = %s and origin_partition = %s"
        " and origin_offset = %s and attempt = %s and replayed_at is null",
        rows,
    )


def unconfirmed(postgres_url: str) -> list[Intent]:
    """Intents of which it is not known whether their messages were sent, the oldest first."""
    statement = (
        f"select {_ORIGIN}, origin_event_hour, reason, vehicle_id, attempt, intended_at"
        " from warehouse.reject_replays where replayed_at is null order by intended_at, attempt"
    )
    rows = transact(postgres_url, lambda connection: connection.execute(statement).fetchall())
    return [Intent(Coordinates(*row[:3]), *row[3:]) for row in rows]


def confirmed_coordinates(postgres_url: str, origins: Sequence[Coordinates]) -> set[Coordinates]:
    """Where the confirmed replays of these are."""
    statement = (
        "select kafka_topic_id, kafka_partition, kafka_offset from warehouse.reject_replays"
        f" where replayed_at is not null and concat_ws('/', {_ORIGIN}) = any(%s)"
    )
    rows = transact(
        postgres_url,
        lambda connection: connection.execute(statement, ([str(o) for o in origins],)).fetchall(),
    )
    return {Coordinates(*row) for row in rows}


def replay_states(postgres_url: str) -> pl.DataFrame:
    """What became of every origin that has a replay.

    Returns:
        `origin` (text), `accepted` (a replay was), `outcome` of the newest replay in words.
    """
    rows = transact(postgres_url, lambda connection: connection.execute(_STATES).fetchall())
    schema = {"origin": pl.String(), "accepted": pl.Boolean(), "outcome": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def replays_of(postgres_url: str, origin: Coordinates) -> list[dict[str, Any]]:
    """All replays of one message, whoever sent them, the oldest first."""

    def work(connection: Any) -> list[dict[str, Any]]:
        with connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(_HISTORY, {"origin": str(origin)})
            return list(cursor.fetchall())

    return transact(postgres_url, work)


def _values(intent: Intent, batch_id: int) -> dict[str, Any]:
    return {
        "topic_id": intent.origin.topic_id,
        "partition": intent.origin.partition,
        "offset": intent.origin.offset,
        "batch_id": batch_id,
        "event_hour": intent.event_hour,
        "reason": intent.reason,
        "vehicle_id": intent.vehicle_id,
    }


def _execute_many(postgres_url: str, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    def work(connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    if rows:
        transact(postgres_url, work)


_INTEND = f"""
insert into warehouse.reject_replays (
    {_ORIGIN}, attempt, batch_id, origin_event_hour, reason, vehicle_id
)
select
    %(topic_id)s, %(partition)s, %(offset)s,
    coalesce(max(attempt), 0) + 1, %(batch_id)s, %(event_hour)s, %(reason)s, %(vehicle_id)s
from warehouse.reject_replays
where
    origin_topic_id = %(topic_id)s
    and origin_partition = %(partition)s
    and origin_offset = %(offset)s
returning attempt
"""

_JOINED = """
from warehouse.reject_replays as sent
full outer join warehouse.telemetry_replays as seen using (
    origin_topic_id, origin_partition, origin_offset,
    kafka_topic_id, kafka_partition, kafka_offset
)
"""

_OUTCOME = """
case
    when seen.event_hour is null and sent.replayed_at is null then 'sending was cut off'
    when seen.event_hour is null then 'sent, not yet refreshed'
    when seen.reject_reason is null then 'accepted'
    else 'rejected again: ' || seen.reject_reason
end
"""

_STATES = f"""
select
    concat_ws('/', {_ORIGIN}) as origin,
    coalesce(bool_or(seen.event_hour is not null and seen.reject_reason is null), false),
    (array_agg({_OUTCOME} order by sent.attempt desc nulls last, kafka_offset desc))[1]
{_JOINED}
group by {_ORIGIN}
"""

_HISTORY = f"""
select
    sent.attempt, sent.batch_id, batch.requested_by, sent.intended_at, sent.replayed_at,
    batch.mapping, batch.chosen, {_OUTCOME} as outcome,
    concat_ws('/', kafka_topic_id, kafka_partition, kafka_offset) as coordinates,
    seen.event_hour, seen.vehicle_id
{_JOINED}
left join warehouse.reject_replay_batches as batch on sent.batch_id = batch.batch_id
where concat_ws('/', {_ORIGIN}) = %(origin)s
order by sent.attempt nulls last, kafka_offset
"""
