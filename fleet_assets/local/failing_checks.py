"""Which checks fail at this moment, by their latest verdicts in Dagster's storage.

Warnings (drift, too little data to train) are for the UI: nothing has failed.

Asked by SQL: importing Dagster would take longer than everything else that `fleet status` does.
"""

from __future__ import annotations

import json
import os

from fleet_assets.local.databases import database_name, with_database
from fleet_assets.settings import Settings

_SHOWN = 50
_LATEST = """
SELECT asset_key, check_name, partition FROM (
    SELECT DISTINCT ON (asset_key, check_name, partition)
        asset_key, check_name, partition, execution_status, evaluation_event
    FROM asset_check_executions
    WHERE execution_status IN ('SUCCEEDED', 'FAILED') AND evaluation_event IS NOT NULL
    ORDER BY asset_key, check_name, partition, id DESC
) AS latest
WHERE execution_status = 'FAILED'
    AND evaluation_event::text NOT LIKE '%%"severity": {"__enum__": "AssetCheckSeverity.WARN"}%%'
ORDER BY partition DESC NULLS FIRST, asset_key, check_name
LIMIT %(limit)s
"""
_FAILED_HOURS = """
SELECT stage, event_hour, coalesce(detail, '') FROM warehouse.stage_ledger
WHERE state IN ('failed', 'withheld') ORDER BY event_hour DESC, stage LIMIT %(limit)s
"""
_FAILED_DAYS = """
SELECT stage, event_day, coalesce(detail, '') FROM warehouse.day_ledger
WHERE state = 'failed' ORDER BY event_day DESC, stage LIMIT %(limit)s
"""


def dagster_database(postgres_url: str, settings: Settings) -> str:
    """Address of Dagster's storage beside the warehouse."""
    named = os.environ.get("DAGSTER_POSTGRES_URL")
    if named:
        return named
    embedded = settings.postgres_url is None
    name = "dagster" if embedded else f"{database_name(postgres_url)}_dagster"
    return with_database(postgres_url, name)


def failing_checks(postgres_url: str, settings: Settings) -> list[str]:
    """One line per failing check, hour or day, the newest first; at most some dozens."""
    import psycopg

    failing: list[str] = []
    with psycopg.connect(postgres_url, connect_timeout=10) as warehouse:
        for failed in (_FAILED_HOURS, _FAILED_DAYS):
            for stage, when, detail in warehouse.execute(failed, {"limit": _SHOWN}):
                failing.append(f"{stage} {when}: {' '.join(detail.split())[:200]}")
    return failing + failing_verdicts(postgres_url, settings)


def failing_verdicts(postgres_url: str, settings: Settings) -> list[str]:
    """One line per check whose newest verdict is a failure, newest hours first."""
    import psycopg

    failing: list[str] = []
    try:
        with psycopg.connect(dagster_database(postgres_url, settings), connect_timeout=10) as own:
            for asset_key, check, partition in own.execute(_LATEST, {"limit": _SHOWN}):
                name = "/".join(json.loads(asset_key))
                failing.append(f"check {name}:{check}" + (f" {partition}" if partition else ""))
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        pass  # Dagster has not been started here yet, so it has no verdicts
    return failing
