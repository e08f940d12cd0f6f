"""Which hours' rejects were looked through for publishing, and who may publish.

Only a shortcut: what was published stands in the lake, and an hour that is not known here is
looked through again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fleet_assets.warehouse.connection import connect, transact


def examined_hours(postgres_url: str) -> dict[str, str]:
    """Per hour the fingerprint of its rejects when all of them were published."""
    statement = "select event_hour, fingerprint from warehouse.dlq_hours"
    return dict(transact(postgres_url, lambda connection: connection.execute(statement).fetchall()))


def note_examined(postgres_url: str, event_hour: str, fingerprint: str) -> None:
    """All rejects of the hour, as the fingerprint has them, are published."""
    transact(
        postgres_url,
        lambda connection: connection.execute(
            "insert into warehouse.dlq_hours (event_hour, fingerprint) values (%s, %s)"
            " on conflict (event_hour) do update set"
            " fingerprint = excluded.fingerprint, examined_at = clock_timestamp()",
            (event_hour, fingerprint),
        ),
    )


@contextmanager
def only_publisher(postgres_url: str, what: str = "dlq") -> Iterator[bool]:
    """Whether this process alone publishes rejects (or `what`) while the block runs.

    Two at once would send everything twice, which is allowed and useless. The lock ends with the
    connection, so a killed process holds nobody up.
    """
    with connect(postgres_url) as connection:
        row = connection.execute(
            "select pg_try_advisory_xact_lock(hashtext('fleet/' || %s))", (what,)
        ).fetchone()
        yield bool(row and row[0])
