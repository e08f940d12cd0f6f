"""The ledger: which hours each stage has processed, up to which version of the raw table.

What belongs here: what a success, a failure or a withholding writes into `stage_ledger`, which only
the flow knows. What the lake holds of each hour stands beside it (``lake_ledger.py``); the view
`partition_ledger` shows both by hour and table (``ledger_view.py``). What follows for the marts is
in ``staleness.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

import psycopg

from fleet_assets.warehouse.connection import transact
from partitions.hours import hour_start

Stage = Literal[
    "telemetry", "vehicle_hours", "warehouse", "marts",
    "rules", "anomalies", "rule_anomalies", "rule_eligibility", "trips", "vehicle_codes",
    "features", "scoring", "model_hours", "model_anomalies",
]  # fmt: skip
FLOW: Final[tuple[Stage, ...]] = ("telemetry", "vehicle_hours", "warehouse", "marts")
"""Stages on the way of a message to the marts; rules follow at their own pace."""
State = Literal["fresh", "failed", "withheld"]
Target = psycopg.Connection | str
Result = TypeVar("Result")

BACKOFF_BASE: Final = timedelta(seconds=30)
BACKOFF_CAP: Final = timedelta(minutes=30)


@dataclass(frozen=True)
class LedgerEntry:
    """One hour of one stage.

    Attributes:
        processed_version: version of raw_telemetry whose rows are included; None: never done.
        state: how the newest attempt went; a failure keeps what an earlier success has written.
        attempts: failures since the last success.
        next_attempt_at: not to be tried before this time.
        detail: why it failed or is withheld.
        rows: rows that the hour has.
        first_processed_at, processed_at: time of the first and of the newest success.
        source_processed_at: ``processed_at`` of the stage before, as it was read.
    """

    stage: Stage
    event_hour: str
    processed_version: int | None = None
    state: State = "fresh"
    attempts: int = 0
    next_attempt_at: datetime | None = None
    detail: str | None = None
    rows: int | None = None
    run_id: str | None = None
    first_processed_at: datetime | None = None
    processed_at: datetime | None = None
    source_processed_at: datetime | None = None


COLUMNS = tuple(field.name for field in fields(LedgerEntry))


def read_ledger(
    postgres_url: str,
    stage: Stage | None = None,
    hours: Iterable[str] | None = None,
    state: State | None = None,
) -> list[LedgerEntry]:
    """Entries in order of stage and hour, of one stage, some hours and one state if so asked."""
    query = f"""
        select {", ".join(COLUMNS)} from warehouse.stage_ledger
        where
            (%(stage)s::text is null or stage = %(stage)s)
            and (%(hours)s::text[] is null or event_hour = any(%(hours)s))
            and (%(state)s::text is null or state = %(state)s)
        order by stage, event_hour
    """
    given = {
        "stage": stage, "hours": None if hours is None else list(hours), "state": state
    }  # fmt: skip
    found = within(postgres_url, lambda connection: connection.execute(query, given).fetchall())
    return [LedgerEntry(*values) for values in found]


def record(target: Target, entries: Iterable[LedgerEntry]) -> None:
    """Note successes (``fresh``) and withheld hours; the server sets the times.

    A success ends failures, withholding and an override (see ``overrides.py``). A withheld hour
    keeps what its last success wrote.

    Args:
        target: an open connection, to share its transaction, or an address.
        entries: ``fresh`` ones need a ``processed_version``.

    Raises:
        ValueError: an entry is ``failed`` (see `record_failure`) or lacks its version.
    """
    done: list[dict[str, object]] = []
    withheld: list[dict[str, object]] = []
    for entry in entries:
        if entry.state == "failed":
            raise ValueError("a failure is noted by record_failure, which counts the attempts")
        if entry.state == "fresh" and entry.processed_version is None:
            raise ValueError(f"{entry.stage} {entry.event_hour}: a success has a processed_version")
        values = {name: getattr(entry, name) for name in COLUMNS}
        values["hour_start"] = hour_start(entry.event_hour)
        (done if entry.state == "fresh" else withheld).append(values)

    def write(connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(_SUCCESS, done)
            cursor.executemany(_PASSED, done)
            cursor.executemany(_WITHHELD, withheld)

    within(target, write)


def record_failure(
    target: Target, stage: Stage, hours: Sequence[str], detail: str, run_id: str | None = None
) -> None:
    """Note a failed attempt at each of these hours; each waits twice as long as the time before."""
    rows = [
        {
            "stage": stage,
            "event_hour": hour,
            "hour_start": hour_start(hour),
            "detail": detail,
            "run_id": run_id,
            "base": BACKOFF_BASE,
            "cap": BACKOFF_CAP,
        }
        for hour in hours
    ]

    def write(connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(_FAILURE, rows)

    within(target, write)


def load_again(connection: psycopg.Connection, hours: Sequence[str]) -> None:
    """What was loaded of these hours counts as new, so that the marts are made of it again."""
    if hours:
        connection.execute(
            "update warehouse.stage_ledger set processed_at = clock_timestamp()"
            " where stage = 'warehouse' and event_hour = any(%s) and processed_at is not null",
            (list(hours),),
        )


def within(target: Target, work: Callable[[psycopg.Connection], Result]) -> Result:
    """Do the work in the caller's transaction, or in one of its own if given an address."""
    return transact(target, work) if isinstance(target, str) else work(target)


_SUCCESS = """
insert into warehouse.stage_ledger as known (
    stage, event_hour, hour_start, processed_version, state, attempts, detail, rows, run_id,
    first_processed_at, processed_at, source_processed_at, last_run_at
)
values (
    %(stage)s, %(event_hour)s, %(hour_start)s, %(processed_version)s, 'fresh', 0, %(detail)s,
    %(rows)s, %(run_id)s, clock_timestamp(), clock_timestamp(), %(source_processed_at)s,
    clock_timestamp()
)
on conflict (stage, event_hour) do update set
    processed_version = excluded.processed_version,
    state = 'fresh',
    attempts = 0,
    next_attempt_at = null,
    detail = excluded.detail,
    rows = excluded.rows,
    run_id = excluded.run_id,
    first_processed_at = coalesce(known.first_processed_at, excluded.first_processed_at),
    processed_at = excluded.processed_at,
    source_processed_at = excluded.source_processed_at,
    last_run_at = excluded.last_run_at
"""

_PASSED = """
update warehouse.ledger_overrides set ended_by = 'the hour passed', ended_at = clock_timestamp()
where stage = %(stage)s and event_hour = %(event_hour)s and ended_at is null
"""

_WITHHELD = """
insert into warehouse.stage_ledger (
    stage, event_hour, hour_start, state, detail, run_id, last_run_at
)
values (
    %(stage)s, %(event_hour)s, %(hour_start)s, 'withheld', %(detail)s, %(run_id)s,
    clock_timestamp()
)
on conflict (stage, event_hour) do update set
    state = 'withheld',
    detail = excluded.detail,
    run_id = excluded.run_id,
    last_run_at = excluded.last_run_at
"""

# The exponent is bounded only so that it cannot overflow; the cap decides long before.
_FAILURE = """
insert into warehouse.stage_ledger as known (
    stage, event_hour, hour_start, state, attempts, next_attempt_at, detail, run_id, last_run_at
)
values (
    %(stage)s, %(event_hour)s, %(hour_start)s, 'failed', 1, clock_timestamp() + %(base)s,
    %(detail)s, %(run_id)s, clock_timestamp()
)
on conflict (stage, event_hour) do update set
    state = 'failed',
    attempts = known.attempts + 1,
    next_attempt_at = clock_timestamp()
        + least(%(base)s * power(2, least(known.attempts, 20)), %(cap)s),
    detail = excluded.detail,
    run_id = excluded.run_id,
    last_run_at = excluded.last_run_at
"""
