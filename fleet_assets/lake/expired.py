"""What a table of the lake remembers of rows that have gone: expired, archived or erased."""

from __future__ import annotations

from fleet_assets.lake.marks import expired_id
from fleet_assets.lake.store import Lake, TableSnapshot


def expired_rows_id(event_hour: str) -> str:
    """Name of the Delta transaction that says how many of an hour's rows have gone."""
    return f"expired_rows/{event_hour}"


def expired_upto(raw: TableSnapshot, event_hour: str) -> int | None:
    """Newest landing whose messages of this hour have expired; None: the hour is complete."""
    return raw.committed(expired_id(event_hour))


def expired_rows(table: TableSnapshot, event_hour: str) -> int:
    """Rows of this hour that have gone."""
    return table.committed(expired_rows_id(event_hour)) or 0


def expired_hours(lake: Lake, raw: TableSnapshot) -> list[str]:
    """Hours of which messages have expired, in order.

    Only hours that were taken in ever expire, so those that have outcomes are all there can be;
    each that has no raw message left is one. (A look at a Delta transaction takes 0.2 ms.)
    """
    outcomes = lake.find("telemetry_outcomes")
    if outcomes is None or outcomes.files.is_empty():
        return []
    held = set() if raw.files.is_empty() else set(raw.files["event_hour"])
    known = outcomes.files["event_hour"].unique().sort()
    return [hour for hour in known if hour not in held or expired_upto(raw, hour) is not None]
