"""What raw_telemetry remembers of messages that have expired."""

from __future__ import annotations

from fleet_assets.lake.store import TableSnapshot


def upto_id(event_hour: str) -> str:
    """Name of the Delta transaction that says up to which landing an hour's messages are gone."""
    return f"expired/{event_hour}"


def rows_id(event_hour: str) -> str:
    """Name of the Delta transaction that says how many of an hour's messages are gone."""
    return f"expired_rows/{event_hour}"


def expired_upto(raw: TableSnapshot, event_hour: str) -> int | None:
    """Newest landing whose messages of this hour have expired; None: the hour is complete."""
    return raw.committed(upto_id(event_hour))


def expired_rows(raw: TableSnapshot, event_hour: str) -> int:
    """Messages of this hour that have expired."""
    return raw.committed(rows_id(event_hour)) or 0
