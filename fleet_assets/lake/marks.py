"""Names of the Delta transactions that say how far an hour has come, table by table.

Each stands in the same commit as the data that it speaks of, so it can neither be lost nor lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet_assets.lake.store import TableSnapshot


def app_id(event_hour: str) -> str:
    """How far an hour has been taken in: newest version of `raw_telemetry` that is included."""
    return f"hour/{event_hour}"


def rows_id(event_hour: str) -> str:
    """Changes whenever an hour's rows of telemetry do, also without new messages.

    Registering a vehicle brings messages back that were refused. The tables that follow carry
    the number of the telemetry that they agree with.
    """
    return f"rows/{event_hour}"


def base_id(event_hour: str) -> str:
    """Version of the table that the commit was computed from: where a repair begins."""
    return f"base/{event_hour}"


def readmitted_id(event_hour: str) -> str:
    """In `telemetry`: from how many files of rejects the newest commit has brought messages back.

    A registration comes in parts; a repair has to know which one was cut off.
    """
    return f"readmitted/{event_hour}"


def expired_id(event_hour: str) -> str:
    """In `raw_telemetry`: the hour's messages up to this version have been removed."""
    return f"expired/{event_hour}"


def collected_id(table: str, event_hour: str) -> str:
    """In `anomalies`: number of the hour's rows (of this table) that have been collected."""
    return f"collected/{table}/{event_hour}"


def by_hour(marks: Mapping[str, int], name: Callable[[str], str]) -> dict[str, int]:
    """The marks of one kind by the hour that they are about.

    Args:
        marks: all marks of a table, by name.
        name: gives the name of a mark for an hour.
    """
    prefix = name("")
    return {
        mark.removeprefix(prefix): version
        for mark, version in marks.items()
        if mark.startswith(prefix)
    }


@dataclass(frozen=True)
class Mark:
    """How far one table has come with one hour; None: it has not begun."""

    version: int | None
    rows: int | None


def mark_of(table: TableSnapshot, event_hour: str) -> Mark:
    """The mark of one hour in a table."""
    return Mark(table.committed(app_id(event_hour)), table.committed(rows_id(event_hour)))


def agree(truth: Mark, follower: Mark) -> bool:
    """The follower holds what the truth says (one written before it knew rows has no number)."""
    return truth.version == follower.version and follower.rows in (truth.rows, None)
