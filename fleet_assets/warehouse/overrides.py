"""Audited overrides: an operator lets what depends on a failing hour go on with what it last had.

An override holds for one stage of one hour, says who, when and why, and ends when the hour passes
that stage or somebody revokes it. Rows are never deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

import psycopg

from fleet_assets.errors import FleetError
from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.ledger import Stage

ReleasableStage = Literal["telemetry", "vehicle_hours"]
RELEASABLE: Final[tuple[ReleasableStage, ...]] = get_args(ReleasableStage)
"""Stages that others depend on, hour by hour."""


@dataclass(frozen=True)
class Override:
    """One override; `ended_at` is None while it holds."""

    stage: ReleasableStage
    event_hour: str
    reason: str
    released_by: str
    released_at: datetime
    ended_by: str | None
    ended_at: datetime | None


def release(
    postgres_url: str, stage: ReleasableStage, event_hour: str, reason: str, released_by: str
) -> None:
    """Lets what depends on this stage of the hour go on; its next attempt is due at once.

    Raises:
        FleetError: the stage of the hour does not fail, or is released already.
    """
    given = {"stage": stage, "event_hour": event_hour, "reason": reason, "by": released_by}

    def work(connection: psycopg.Connection) -> None:
        found = connection.execute(_STATE, given).fetchone()
        if found is None or found[0] == "fresh":
            raise FleetError(
                f"{stage} of {event_hour} does not fail, so nothing waits for it:"
                f" `fleet ledger --hour {event_hour}` shows the hour."
            )
        if found[0] == "withheld":
            raise FleetError(
                f"{stage} of {event_hour} is itself withheld ({found[1] or 'no detail'}): release"
                " the stage that fails."
            )
        if connection.execute(_RELEASE, given).rowcount == 0:
            raise FleetError(
                f"{stage} of {event_hour} is released already: `fleet ledger overrides` says by"
                " whom."
            )
        connection.execute(_DUE, given)

    transact(postgres_url, work)


def revoke(postgres_url: str, stage: ReleasableStage, event_hour: str, revoked_by: str) -> None:
    """Ends an override: what depends on the hour is withheld again from its next run on.

    Raises:
        FleetError: none holds.
    """
    given = {"stage": stage, "event_hour": event_hour, "by": revoked_by}
    if not transact(postgres_url, lambda c: c.execute(_REVOKE, given).rowcount):
        raise FleetError(
            f"No override holds for {stage} of {event_hour}: `fleet ledger overrides` lists them."
        )


def released_hours(postgres_url: str, stage: Stage, hours: Iterable[str]) -> set[str]:
    """Those of the hours for which an override of this stage holds."""
    given = {"stage": stage, "hours": list(hours)}
    found = transact(postgres_url, lambda c: c.execute(_HOLDING, given).fetchall())
    return {hour for (hour,) in found}


def read_overrides(postgres_url: str, *, holding_only: bool = False) -> list[Override]:
    """Overrides, newest first."""
    given = {"holding_only": holding_only}
    found = transact(postgres_url, lambda c: c.execute(_ALL, given).fetchall())
    return [Override(*row) for row in found]


_STATE = """
select state, detail from warehouse.stage_ledger
where stage = %(stage)s and event_hour = %(event_hour)s
for update
"""
_RELEASE = """
insert into warehouse.ledger_overrides (stage, event_hour, reason, released_by)
values (%(stage)s, %(event_hour)s, %(reason)s, %(by)s)
on conflict (stage, event_hour) where ended_at is null do nothing
"""
_DUE = """
update warehouse.stage_ledger set next_attempt_at = clock_timestamp()
where event_hour = %(event_hour)s and next_attempt_at > clock_timestamp()
"""
_REVOKE = """
update warehouse.ledger_overrides set ended_by = %(by)s, ended_at = clock_timestamp()
where stage = %(stage)s and event_hour = %(event_hour)s and ended_at is null
"""
_HOLDING = """
select event_hour from warehouse.ledger_overrides
where stage = %(stage)s and event_hour = any(%(hours)s) and ended_at is null
"""
_ALL = """
select stage, event_hour, reason, released_by, released_at, ended_by, ended_at
from warehouse.ledger_overrides
where not %(holding_only)s or ended_at is null
order by released_at desc
"""
