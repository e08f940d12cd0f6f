"""How the hours do, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fleet_assets.doctor.checks.hours import ActiveOverride, HourFacts, HourTrouble
from fleet_assets.flow import freshness
from fleet_assets.lake.store import Lake
from fleet_assets.settings import Settings
from fleet_assets.warehouse.ledger import read_ledger
from fleet_assets.warehouse.overrides import read_overrides


def hour_facts(
    lake: Lake, postgres_url: str, settings: Settings, damaged: Mapping[str, str]
) -> HourFacts:
    """Facts of all hours.

    Args:
        lake: the lake.
        postgres_url: the warehouse.
        settings: says how long an hour may wait.
        damaged: hours whose raw files are gone or cut off, in words.
    """
    fresh = freshness(lake, postgres_url, settings)
    troubles = [entry for entry in read_ledger(postgres_url) if entry.state != "fresh"]
    return HourFacts(
        now=datetime.now(UTC),
        overdue=fresh.overdue,
        oldest_waiting_seconds=fresh.waiting_seconds,
        troubles=[
            HourTrouble(
                entry.stage,
                entry.event_hour,
                entry.state,
                entry.attempts,
                entry.next_attempt_at,
                " ".join((entry.detail or "no detail").split()),
            )
            for entry in reversed(troubles)
        ],
        overrides=[
            ActiveOverride(one.stage, one.event_hour, one.released_by, one.released_at, one.reason)
            for one in read_overrides(postgres_url, holding_only=True)
        ],
        damaged=damaged,
    )
