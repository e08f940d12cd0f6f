"""Keeps `warehouse.partition_ledger` in step with the lake, without the cost of a run.

Whoever has written to the lake (landing, refresh, upkeep, a command), the ledger follows. Idle, it
compares the tables' versions and does nothing.
"""

import json
from datetime import UTC, datetime, timedelta

from dagster import (
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from fleet_assets.assets.ledger import ledger_event
from fleet_assets.assets.platform import Platform
from fleet_assets.lake.ledger import ledger_snapshots
from fleet_assets.warehouse.input_pins import sync_pins
from fleet_assets.warehouse.lake_ledger import sync_lake_ledger
from fleet_assets.warehouse.ledger_view import newest_run

INTERVAL_SECONDS = 30
EVENT_INTERVAL = timedelta(minutes=5)
"""The summary in the UI is at most this old while something changes."""
FULL_INTERVAL = timedelta(hours=1)
"""All hours are compared this often; in between only those that were written to."""
OVERLAP = timedelta(minutes=10)
"""A file may be committed so long after it was begun."""


def build_ledger_sensor(platform: Platform) -> SensorDefinition:
    """The sensor."""

    @sensor(
        name="ledger_sensor",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Brings warehouse.partition_ledger in step with the lake and shows its summary"
        " as the asset partition_ledger.",
    )
    def ledger_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        before = json.loads(context.cursor) if context.cursor else {}
        versions = {n: t.version for n, t in ledger_snapshots(platform.lake).items()}
        shown_at = before.get("shown_at", 0.0)
        now = datetime.now(UTC).timestamp()
        newest = newest_run(platform.postgres_url)
        noted = None if newest is None else newest.isoformat()
        written = before.get("versions") != versions
        if not written and before.get("noted") == noted and not before.get("unshown"):
            return SkipReason("nothing has changed")
        full_at = before.get("full_at", 0.0)
        if written:
            everything = now - full_at >= FULL_INTERVAL.total_seconds()
            since = datetime.fromtimestamp(before.get("synced_at", 0.0), UTC) - OVERLAP
            sync_lake_ledger(
                platform.lake, platform.postgres_url, written_since=None if everything else since
            )
            if everything:
                sync_pins(platform.lake, platform.postgres_url)
                full_at = now
        due = now - shown_at >= EVENT_INTERVAL.total_seconds()
        cursor = {
            "versions": versions,
            "noted": noted,
            "synced_at": now,
            "full_at": full_at,
            "shown_at": now if due else shown_at,
            "unshown": not due,
        }
        events = [ledger_event(platform.postgres_url)] if due else []
        return SensorResult(asset_events=events, cursor=json.dumps(cursor))

    return ledger_sensor
