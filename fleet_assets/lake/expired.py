"""What raw_telemetry remembers of messages that have expired."""

from __future__ import annotations

from fleet_assets.lake.marks import expired_id
from fleet_assets.lake.store import TableSnapshot


def expired_rows_id(event_hour: str) -> str:
    """Name of the Delta transaction that says how many of an hour's messages have expired."""
    return f"expired_rows/{event_hour}"


def expired_upto(raw: TableSnapshot, event_hour: str) -> int | None:
    """Newest landing whose messages of this hour have expired; None: the hour is complete."""
    return raw.committed(expired_id(event_hour))


def expired_rows(raw: TableSnapshot, event_hour: str) -> int:
    """Messages of this hour that have expired."""
    return raw.committed(expired_rows_id(event_hour)) or 0
