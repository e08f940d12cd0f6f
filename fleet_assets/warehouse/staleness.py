"""What the warehouse's own tables say must be done again: marts to build, hours to re-queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

from fleet_assets.warehouse.connection import transact
from fleet_assets.warehouse.ledger import LedgerEntry, record


def pending_marts(postgres_url: str) -> list[str]:
    """Hours that are loaded but that the marts do not show yet, in order.

    Hours whose load failed or is withheld wait; so do hours whose last dbt run failed, until
    their next attempt is due.
    """
    found = transact(postgres_url, lambda connection: connection.execute(_PENDING).fetchall())
    return [hour for (hour,) in found]


def mark_marts(postgres_url: str, loaded: Iterable[LedgerEntry], run_id: str | None = None) -> None:
    """Note that the marts now show these loads.

    Args:
        postgres_url: the warehouse.
        loaded: entries of the stage ``warehouse`` as they were read *before* dbt ran. A load that
            commits while dbt runs has a later ``processed_at``, and so its hour stays pending;
            comparing with the time at which dbt ended would lose it.
        run_id: the run that built the marts.
    """
    record(
        postgres_url,
        [
            LedgerEntry(
                stage="marts",
                event_hour=entry.event_hour,
                processed_version=entry.processed_version,
                rows=entry.rows,
                run_id=run_id,
                source_processed_at=entry.processed_at,
            )
            for entry in loaded
            if entry.processed_version is not None  # an hour may have failed from the first
        ],
    )


def hours_to_requeue(postgres_url: str) -> set[str]:
    """Hours with messages rejected as of unknown vehicles that are registered by now."""
    found = transact(postgres_url, lambda connection: connection.execute(_REQUEUE).fetchall())
    return {hour for (hour,) in found}


UNSHOWN: Final[LiteralString] = """
select loaded.event_hour
from warehouse.stage_ledger as loaded
left join warehouse.stage_ledger as shown
    on loaded.event_hour = shown.event_hour and shown.stage = 'marts'
where
    loaded.stage = 'warehouse'
    and loaded.state = 'fresh'
    and (
        shown.processed_version is null
        or loaded.processed_version > shown.processed_version
        or loaded.processed_at > coalesce(shown.source_processed_at, shown.processed_at)
    )
"""
"""Hours that are loaded and not shown, those among them that have to wait."""
_PENDING: Final[LiteralString] = (
    UNSHOWN
    + """
    and (
        coalesce(shown.state, 'fresh') = 'fresh'
        or (shown.state = 'failed' and shown.next_attempt_at <= clock_timestamp())
    )
order by loaded.event_hour
"""
)

_REQUEUE = """
select distinct outcomes.event_hour
from warehouse.vehicle_outcomes as outcomes
inner join warehouse.vehicles as known on outcomes.vehicle_id = known.id
where outcomes.unknown_vehicle > 0
"""
