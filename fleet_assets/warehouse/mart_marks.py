"""Hours of trips and findings that have changed since the marts were built.

The warehouse's tables mark them by themselves, in the transaction that changes their rows
(migration 0029). A build takes the marks that it sees at its beginning and removes these at its
end: one that is cut off is done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from fleet_assets.warehouse.connection import transact
from partitions.hours import hour_key

Topic = Literal["trips", "anomalies", "fuel_events", "vehicle_codes", "rule_hours"]
"""What a mark is about: marts say in `meta.follows` which of them they follow."""
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)


@dataclass(frozen=True)
class TakenMarks:
    """Marks that a build has seen.

    Attributes:
        ids: of `warehouse.mart_marks`.
        hours: keys of hours by topic, each once.
    """

    ids: Sequence[int] = ()
    hours: dict[Topic, list[str]] = field(default_factory=dict)


def take_marks(postgres_url: str) -> TakenMarks:
    """The marks that wait; they stay until `remove_marks`."""
    found = transact(postgres_url, lambda connection: connection.execute(_WAITING).fetchall())
    hours: dict[Topic, set[str]] = {topic: set() for topic in TOPICS}
    for _, topic, start in found:
        hours[topic].add(hour_key(start))
    return TakenMarks([row[0] for row in found], {t: sorted(some) for t, some in hours.items()})


def remove_marks(postgres_url: str, taken: TakenMarks) -> None:
    """The marts show what these marks were about."""
    if taken.ids:
        transact(postgres_url, lambda connection: connection.execute(_REMOVE, [list(taken.ids)]))


def hours_with_marks(postgres_url: str) -> list[str]:
    """The newest hour that the marts show, if marks wait: a refresh of it builds what they say."""
    found = transact(postgres_url, lambda connection: connection.execute(_CARRIER).fetchall())
    return [hour for (hour,) in found]


MARKED: Final = "select distinct topic, hour_start from warehouse.mart_marks"
"""Topics and hours of marks that wait."""
_WAITING: Final = "select mark_id, topic, hour_start from warehouse.mart_marks"
_REMOVE: Final = "delete from warehouse.mart_marks where mark_id = any(%s)"
_CARRIER: Final = """
select loaded.event_hour
from warehouse.stage_ledger as loaded
left join warehouse.stage_ledger as shown
    on loaded.event_hour = shown.event_hour and shown.stage = 'marts'
where
    loaded.stage = 'warehouse'
    and loaded.state = 'fresh'
    and (coalesce(shown.state, 'fresh') = 'fresh' or shown.next_attempt_at <= clock_timestamp())
    and exists (select from warehouse.mart_marks)
order by loaded.event_hour desc
limit 1
"""
