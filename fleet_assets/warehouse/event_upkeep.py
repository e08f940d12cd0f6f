"""Keeps Dagster's event log, check history and compute logs from growing without bound.

Dagster's own way, `delete_run`, also deletes the materialisations of the run and with them the
status of partitions. Here only what says nothing about the present goes: log lines and step
events of old runs that went well, events that a newer one of the same partition supersedes, and
runs that have no event left. Ticks are purged by Dagster itself (`retention` in dagster.yaml).
"""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, LiteralString

import psycopg

_KEPT_TYPES: Final = [
    "ASSET_MATERIALIZATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_OBSERVATION",
    "ASSET_CHECK_EVALUATION",
    "ASSET_CHECK_EVALUATION_PLANNED",
]
_STATEMENTS: Final[dict[str, LiteralString]] = {
    "log lines": """
        DELETE FROM event_logs AS old
        WHERE old.timestamp < %(cutoff)s
            AND (old.dagster_event_type IS NULL OR old.dagster_event_type <> ALL(%(kept)s))
            AND NOT EXISTS (
                SELECT FROM runs
                WHERE runs.run_id = old.run_id AND runs.status NOT IN ('SUCCESS', 'CANCELED')
                    AND runs.update_timestamp > %(failure_cutoff)s
            )
    """,
    "superseded events": """
        DELETE FROM event_logs AS old
        WHERE old.timestamp < %(cutoff)s
            AND old.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
            AND EXISTS (
                SELECT FROM event_logs AS newer
                WHERE newer.asset_key = old.asset_key
                    AND newer.dagster_event_type = old.dagster_event_type
                    AND newer.partition IS NOT DISTINCT FROM old.partition
                    AND newer.id > old.id
            )
    """,
    "fulfilled plans": """
        DELETE FROM event_logs AS old
        WHERE old.timestamp < %(cutoff)s
            AND old.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'
            AND EXISTS (
                SELECT FROM event_logs AS newer
                WHERE newer.asset_key = old.asset_key
                    AND newer.dagster_event_type = 'ASSET_MATERIALIZATION'
                    AND newer.partition IS NOT DISTINCT FROM old.partition
                    AND newer.id > old.id
            )
    """,
    "superseded verdicts": """
        DELETE FROM asset_check_executions AS old
        WHERE old.create_timestamp < %(cutoff)s
            AND EXISTS (
                SELECT FROM asset_check_executions AS newer
                WHERE newer.asset_key = old.asset_key AND newer.check_name = old.check_name
                    AND newer.partition IS NOT DISTINCT FROM old.partition
                    AND newer.evaluation_event IS NOT NULL
                    AND newer.id > old.id
            )
    """,
    "events of superseded verdicts": """
        DELETE FROM event_logs AS old
        WHERE old.timestamp < %(cutoff)s
            AND old.dagster_event_type LIKE 'ASSET_CHECK_EVALUATION%%'
            AND NOT EXISTS (
                SELECT FROM asset_check_executions AS kept
                WHERE kept.evaluation_event_storage_id = old.id
            )
    """,
    "runs that say nothing": """
        DELETE FROM runs AS old
        WHERE old.update_timestamp < %(failure_cutoff)s
            AND old.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
            AND NOT EXISTS (SELECT FROM event_logs WHERE event_logs.run_id = old.run_id)
            AND NOT EXISTS (
                SELECT FROM asset_check_executions AS kept WHERE kept.run_id = old.run_id
            )
    """,
    "tags of removed events": """
        DELETE FROM asset_event_tags AS tag
        WHERE tag.event_timestamp < %(cutoff)s
            AND NOT EXISTS (SELECT FROM event_logs WHERE event_logs.id = tag.event_id)
    """,
}
FAILURES_KEPT: Final = 7
"""Failed runs keep their log lines this many times as long; so do all runs their rows."""


def prune_events(
    postgres_url: str, retention: timedelta, now: datetime | None = None
) -> dict[str, int]:
    """Removes what is older than the retention and says nothing about the present.

    Args:
        postgres_url: Dagster's storage.
        retention: how long everything is kept.
        now: the moment to count from.

    Returns:
        Rows removed, by kind.
    """
    now = now or datetime.now(UTC)
    times = {
        "cutoff": (now - retention).replace(tzinfo=None),
        "failure_cutoff": (now - retention * FAILURES_KEPT).replace(tzinfo=None),
        "kept": _KEPT_TYPES,
    }
    rows = {}
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        for what, statement in _STATEMENTS.items():
            rows[what] = connection.execute(statement, times).rowcount
            connection.commit()
    return rows


def prune_compute_logs(storage: Path, retention: timedelta) -> int:
    """Removes captured output of runs, a folder each, that is older than the retention."""
    cutoff = time.time() - retention.total_seconds()
    old = [f for f in storage.glob("*") if f.is_dir() and f.stat().st_mtime < cutoff]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)
