"""Backfills as the warehouse keeps them: what was asked for, how far it is, what its runs took.

So that one that was interrupted goes on where it was, and the next one knows its cost beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import psycopg

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.connection import connect_unbound, transact
from fleet_assets.warehouse.ledger import BACKOFF_BASE, BACKOFF_CAP

PieceState = Literal["waiting", "running", "done", "failed"]
_MEASURED_RUNS: Final = 100
_ID_LENGTH: Final = 12


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        names: of assets, groups or jobs, in order.
        first, last: hours or days, both included.
        repin: pinned inputs are chosen anew.
    """

    names: tuple[str, ...]
    first: str
    last: str
    repin: bool = False


@dataclass(frozen=True)
class Backfill:
    """One that is not done yet; `is_resumed`: it was begun before."""

    backfill_id: str
    asked_at: datetime
    is_resumed: bool


@dataclass(frozen=True)
class Piece:
    """One hour, or day, of one step."""

    step: str
    key: str
    messages: int
    state: PieceState
    attempts: int
    next_attempt_at: datetime | None
    detail: str | None
    run_id: str | None


def begin(
    postgres_url: str, wanted: Wanted, messages: Mapping[str, Mapping[str, int]], by: str
) -> Backfill:
    """The same one that is not done yet, else a new one.

    Args:
        postgres_url: the warehouse.
        wanted: what is asked for.
        messages: by step and partition, how many messages it has.
        by: who asks.
    """

    def work(connection: psycopg.Connection) -> Backfill:
        given = {**wanted.__dict__, "names": list(wanted.names), "by": by}
        found = connection.execute(_UNFINISHED, given).fetchone()
        if found:
            connection.execute(_ANEW, {"id": found[0]})
            return Backfill(found[0], found[1], is_resumed=True)
        (now,) = connection.execute("select clock_timestamp()").fetchone() or (None,)
        text = f"{wanted}/{now}"
        given["id"] = hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]
        connection.execute(_BEGIN, given)
        pieces = [
            {"id": given["id"], "step": step, "key": key, "messages": count}
            for step, of_step in messages.items()
            for key, count in of_step.items()
        ]
        with connection.cursor() as cursor:
            cursor.executemany(_PIECE, pieces)
        return Backfill(str(given["id"]), now, is_resumed=False)

    return transact(postgres_url, work)


def abandon(postgres_url: str, wanted: Wanted) -> None:
    """Whatever is left of the same ones is not wanted any more."""
    given = {**wanted.__dict__, "names": list(wanted.names)}
    transact(postgres_url, lambda c: c.execute(_ABANDON, given))


@contextmanager
def driving(postgres_url: str, backfill_id: str) -> Iterator[None]:
    """While it is open, nobody else drives the same backfill.

    Raises:
        FleetError: another process does.
    """
    with connect_unbound(postgres_url) as connection:
        lock = int(backfill_id, 16) % 2**62
        (mine,) = connection.execute("select pg_try_advisory_lock(%s)", (lock,)).fetchone() or (0,)
        if not mine:
            raise FleetError(
                f"Backfill {backfill_id} is being driven by another process: wait for it, or end"
                " it with Ctrl-C; its runs in Dagster go on."
            )
        yield


def pieces_of(postgres_url: str, backfill_id: str) -> list[Piece]:
    """All pieces of a backfill, in order of their keys."""
    found = transact(postgres_url, lambda c: c.execute(_PIECES, {"id": backfill_id}).fetchall())
    return [Piece(*row) for row in found]


def note_run(
    postgres_url: str, backfill_id: str, step: str, run_id: str, keys: Sequence[str]
) -> None:
    """Notes that a run has been asked for."""
    given = {"id": backfill_id, "step": step, "run": run_id, "keys": list(keys)}

    def work(connection: psycopg.Connection) -> None:
        connection.execute(_RUNNING, given)
        connection.execute(_RUN, given)

    transact(postgres_url, work)


def note_end(
    postgres_url: str,
    run_id: str,
    failed: Mapping[str, str],
    given_back: Sequence[str] = (),
    *,
    succeeded: bool,
    started_at: datetime | None,
    ended_at: datetime | None,
) -> None:
    """Notes how a run has ended.

    Args:
        postgres_url: the warehouse.
        run_id: the run.
        failed: by partition why it failed; each waits twice as long as the time before.
        given_back: partitions that are to be tried again in other runs.
        succeeded: the run as a whole.
        started_at: when it began to work.
        ended_at: when it ended.
    """
    ended = {"run": run_id, "ok": succeeded, "start": started_at, "end": ended_at}

    def work(connection: psycopg.Connection) -> None:
        connection.execute(_ENDED, ended)
        connection.execute(_GIVEN_BACK, {"run": run_id, "keys": list(given_back)})
        with connection.cursor() as cursor:
            cursor.executemany(
                _FAILED,
                [
                    {"run": run_id, "key": key, "detail": detail, "base": BACKOFF_BASE,
                     "cap": BACKOFF_CAP}
                    for key, detail in failed.items()
                ],
            )  # fmt: skip
        connection.execute(_DONE, {"run": run_id})

    transact(postgres_url, work)


def end(postgres_url: str, backfill_id: str) -> None:
    """Notes that all is done."""
    transact(postgres_url, lambda c: c.execute(_END, {"id": backfill_id}))


def measured_runs(postgres_url: str) -> list[tuple[str, int, int, timedelta]]:
    """Newest runs that went well: step, partitions, messages and how long each took."""
    given = {"most": _MEASURED_RUNS}
    return transact(postgres_url, lambda c: c.execute(_MEASURED, given).fetchall())


_UNFINISHED = """
select backfill_id, asked_at from warehouse.backfills
where
    names = %(names)s and first_key = %(first)s and last_key = %(last)s and repin = %(repin)s
    and ended_at is null
order by asked_at desc limit 1
"""
_ABANDON = """
update warehouse.backfills set ended_at = clock_timestamp()
where
    names = %(names)s and first_key = %(first)s and last_key = %(last)s and repin = %(repin)s
    and ended_at is null
"""
_ANEW = """
update warehouse.backfill_pieces set attempts = 0, next_attempt_at = null, state = 'waiting'
where backfill_id = %(id)s and state = 'failed'
"""
_BEGIN = """
insert into warehouse.backfills (backfill_id, names, first_key, last_key, repin, asked_by)
values (%(id)s, %(names)s, %(first)s, %(last)s, %(repin)s, %(by)s)
"""
_PIECE = """
insert into warehouse.backfill_pieces (backfill_id, step, partition_key, messages)
values (%(id)s, %(step)s, %(key)s, %(messages)s)
"""
_PIECES = """
select step, partition_key, messages, state, attempts, next_attempt_at, detail, run_id
from warehouse.backfill_pieces where backfill_id = %(id)s order by partition_key
"""
_RUNNING = """
update warehouse.backfill_pieces set state = 'running', run_id = %(run)s
where backfill_id = %(id)s and step = %(step)s and partition_key = any(%(keys)s)
"""
_RUN = """
insert into warehouse.backfill_runs (run_id, backfill_id, step, partitions, messages)
select %(run)s, %(id)s, %(step)s, count(*), coalesce(sum(messages), 0)
from warehouse.backfill_pieces where run_id = %(run)s
on conflict do nothing
"""
_ENDED = """
update warehouse.backfill_runs
set succeeded = %(ok)s, started_at = %(start)s, ended_at = %(end)s where run_id = %(run)s
"""
_GIVEN_BACK = """
update warehouse.backfill_pieces set state = 'waiting'
where run_id = %(run)s and state = 'running' and partition_key = any(%(keys)s)
"""
_FAILED = """
update warehouse.backfill_pieces
set
    state = 'failed', detail = %(detail)s, attempts = attempts + 1,
    next_attempt_at = clock_timestamp()
        + least(%(base)s * power(2, least(attempts, 20)), %(cap)s)
where run_id = %(run)s and state = 'running' and partition_key = %(key)s
"""
_DONE = """
update warehouse.backfill_pieces set state = 'done', detail = null, next_attempt_at = null
where run_id = %(run)s and state = 'running'
"""
_END = """
update warehouse.backfills set ended_at = clock_timestamp() where backfill_id = %(id)s
"""
_MEASURED = """
select step, partitions, messages, ended_at - started_at from warehouse.backfill_runs
where succeeded and started_at is not null and ended_at is not null
order by ended_at desc limit %(most)s
"""
