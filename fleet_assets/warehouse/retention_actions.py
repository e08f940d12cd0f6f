"""What retention, restores and erasures have done, for who has to prove it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import psycopg

from fleet_assets.warehouse.connection import transact

Action = Literal["retire", "restore", "erase"]
Place = Literal["lake", "archive", "restored", "warehouse", "marts", "kafka"]


@dataclass(frozen=True)
class RetentionAction:
    """One table in one place.

    Attributes:
        first_hour, last_hour: keys of the first and the last hour; None: not by hours.
        bytes: of the files in question, where it is known.
        reference: of a request, such as the number of a ticket.
    """

    action: Action
    place: Place
    table: str
    rows: int
    first_hour: str | None = None
    last_hour: str | None = None
    bytes: int | None = None
    reference: str | None = None


@dataclass(frozen=True)
class NotedAction:
    """An action with its time and author."""

    acted_at: datetime
    acted_by: str
    action: RetentionAction


def note_actions(postgres_url: str, actions: Iterable[RetentionAction], by: str) -> None:
    """Adds actions to the record."""
    rows = [
        (by, it.action, it.place, it.table, it.first_hour, it.last_hour, it.rows, it.bytes,
         it.reference)
        for it in actions
    ]  # fmt: skip

    def write(connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, rows)

    if rows:
        transact(postgres_url, write)


def noted_actions(postgres_url: str) -> list[NotedAction]:
    """The record, oldest first."""
    found = transact(postgres_url, lambda c: c.execute(_LIST).fetchall())
    return [NotedAction(at, by, RetentionAction(*rest)) for at, by, *rest in found]


_ADD: Final = """
insert into warehouse.retention_actions (
    acted_by, action, place, table_name, first_hour, last_hour, rows, bytes, reference
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_LIST: Final = """
select
    acted_at, acted_by, action, place, table_name, rows, first_hour, last_hour, bytes, reference
from warehouse.retention_actions
order by action_id
"""
