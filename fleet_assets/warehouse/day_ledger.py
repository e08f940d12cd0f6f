"""How the work on each day went, stage by stage: what succeeded, what failed and when it is next.

Beside `ledger`, which is about hours. What a day holds, and by which inputs, stands in the lake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg

from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.ledger import BACKOFF_BASE, BACKOFF_CAP

DayStage = Literal["feature_days", "vehicle_baselines"]


def note_days(
    postgres_url: str, stage: DayStage, rows: Mapping[str, int], run_id: str | None
) -> None:
    """Notes days that went well, with their numbers of rows; a success ends failures."""
    given = [
        {"stage": stage, "event_day": day, "rows": count, "run_id": run_id}
        for day, count in rows.items()
    ]
    _write(postgres_url, _SUCCESS, given)


def note_failed_day(
    postgres_url: str, stage: DayStage, event_day: str, detail: str, run_id: str | None
) -> None:
    """Notes a failed attempt; each waits twice as long as the time before."""
    given = {
        "stage": stage, "event_day": event_day, "detail": detail, "run_id": run_id,
        "base": BACKOFF_BASE, "cap": BACKOFF_CAP,
    }  # fmt: skip
    _write(postgres_url, _FAILURE, [given])


@dataclass(frozen=True)
class FailedDay:
    """A day whose newest attempts have failed, so many in a row."""

    event_day: str
    attempts: int
    next_attempt_at: datetime


def failed_days(postgres_url: str, stage: DayStage) -> list[FailedDay]:
    """Days of a stage that have failed, in order."""
    found = transact(
        postgres_url, lambda connection: connection.execute(_FAILED, {"stage": stage}).fetchall()
    )
    return [FailedDay(*row) for row in found]


def _write(postgres_url: str, statement: str, given: Sequence[Mapping[str, object]]) -> None:
    def work(connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(statement, given)

    transact(postgres_url, work)


_SUCCESS = """
insert into warehouse.day_ledger (stage, event_day, state, rows, run_id, processed_at)
values (%(stage)s, %(event_day)s, 'fresh', %(rows)s, %(run_id)s, clock_timestamp())
on conflict (stage, event_day) do update set
    state = 'fresh',
    attempts = 0,
    next_attempt_at = null,
    detail = null,
    rows = excluded.rows,
    run_id = excluded.run_id,
    processed_at = excluded.processed_at,
    last_run_at = clock_timestamp()
"""

_FAILURE = """
insert into warehouse.day_ledger as known (
    stage, event_day, state, attempts, next_attempt_at, detail, run_id
)
values (
    %(stage)s, %(event_day)s, 'failed', 1, clock_timestamp() + %(base)s, %(detail)s, %(run_id)s
)
on conflict (stage, event_day) do update set
    state = 'failed',
    attempts = known.attempts + 1,
    next_attempt_at = clock_timestamp()
        + least(%(base)s * power(2, least(known.attempts, 20)), %(cap)s),
    detail = excluded.detail,
    run_id = excluded.run_id,
    last_run_at = clock_timestamp()
"""

_FAILED = """
select event_day, attempts, next_attempt_at from warehouse.day_ledger
where stage = %(stage)s and state = 'failed'
order by event_day
"""
