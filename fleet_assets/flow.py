"""The state of the flow across lake and warehouse: progress of each hour, freshness.

The sensors, the freshness check and `fleet status` all ask here, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet_assets.lake.cut_off import cut_off_hours
from fleet_assets.lake.landed import landed_hours, waiting_since
from fleet_assets.lake.sealed import frozen_in
from fleet_assets.lake.store import Lake
from fleet_assets.settings import Settings
from fleet_assets.warehouse.ledger import FLOW, LedgerEntry, read_ledger
from fleet_assets.warehouse.mart_marks import hours_with_marks
from fleet_assets.warehouse.staleness import hours_to_requeue, pending_marts
from partitions.hours import HOUR, hour_start
from partitions.planning import HourProgress

FRESHNESS_LIMIT = timedelta(minutes=5)
"""Messages wait longer than this only if something is wrong; those of closed hours may wait for
`FLEET_LATE_INTERVAL` before."""


@dataclass(frozen=True)
class Freshness:
    """The newest landed message against the newest in the marts.

    Attributes:
        waiting_since: arrival of the oldest message that has landed and is not shown.
        waiting_seconds: how long it has waited; 0 if none waits.
        overdue: hours whose messages wait for longer than they may.
    """

    newest_landed: datetime | None
    newest_shown: datetime | None
    waiting_since: datetime | None
    waiting_seconds: float
    limit: timedelta
    overdue: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Nothing waits for longer than it may."""
        return not self.overdue


def hour_progress(lake: Lake, postgres_url: str) -> list[HourProgress]:
    """How far every hour has come that messages have landed in, also those that have expired."""
    landed = landed_hours(lake.open("raw_telemetry"))
    newest = {hour.event_hour: hour.newest_version for hour in landed}
    entries: dict[str, list[LedgerEntry]] = {}
    for entry in read_ledger(postgres_url):
        if entry.stage not in FLOW:
            continue
        entries.setdefault(entry.event_hour, []).append(entry)
    frozen = frozen_in(lake)
    requeued = (hours_to_requeue(postgres_url) - frozen) | cut_off_hours(lake)
    unshown = set(pending_marts(postgres_url)) - frozen
    if not unshown:
        requeued |= set(hours_with_marks(postgres_url)) - frozen
    for event_hour, known in entries.items():
        # an hour whose raw messages have expired may still lack its marts, or get a vehicle
        taken_in = [e.processed_version for e in known if e.stage == "telemetry"]
        if event_hour not in newest and taken_in and taken_in[0] is not None:
            newest[event_hour] = taken_in[0]
    progress = []
    for event_hour, landed_version in sorted(newest.items()):
        known = entries.get(event_hour, [])
        shown = next((e for e in known if e.stage == "marts"), None)
        loaded = next((e for e in known if e.stage == "warehouse" and e.state == "fresh"), None)
        failing = [e for e in known if e.state == "failed"]
        waits = [e.next_attempt_at for e in failing if e.next_attempt_at is not None]
        progress.append(
            HourProgress(
                event_hour,
                landed_version=landed_version,
                shown_version=shown.processed_version if shown else None,
                shown_at=shown.processed_at if shown else None,
                attempts=max((e.attempts for e in failing), default=0),
                next_attempt_at=max(waits, default=None),
                requeued=event_hour in requeued,
                loaded_version=loaded.processed_version if loaded else None,
                unshown=event_hour in unshown,
            )
        )
    return progress


def freshness(
    lake: Lake, postgres_url: str, settings: Settings, now: datetime | None = None
) -> Freshness:
    """Compares what has landed with what the marts show."""
    now = now or datetime.now(UTC)
    raw = lake.open("raw_telemetry")
    marts = [e for e in read_ledger(postgres_url, "marts") if e.processed_version is not None]
    shown = {e.event_hour: e.processed_version for e in marts if e.processed_version is not None}
    landed = landed_hours(raw)
    since = waiting_since(raw, shown)
    waiting = min(since.values(), default=None)
    in_marts = [
        hour.newest_append_time
        for hour in landed
        if shown.get(hour.event_hour, -1) >= hour.newest_version
    ]
    return Freshness(
        newest_landed=max((hour.newest_append_time for hour in landed), default=None),
        newest_shown=max(in_marts, default=None),
        waiting_since=waiting,
        waiting_seconds=0.0 if waiting is None else max(0.0, (now - waiting).total_seconds()),
        limit=FRESHNESS_LIMIT,
        overdue=tuple(sorted(h for h in since if now - since[h] > _longest_wait(h, now, settings))),
    )


def _longest_wait(event_hour: str, now: datetime, settings: Settings) -> timedelta:
    closed = hour_start(event_hour) + HOUR + settings.late_after <= now
    return FRESHNESS_LIMIT + (settings.late_interval if closed else timedelta())
