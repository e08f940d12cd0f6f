"""Requests feature windows of hours that the rules have judged, for a bounded share of the time."""

from datetime import UTC, datetime

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import HOURS_TAG, PARTITION
from fleet_assets.lake.feature_windows import hours_to_window
from fleet_assets.rule_flow import rows_by_hour, some_hours
from fleet_assets.warehouse.ledger import read_ledger
from sensors.pacing import resting

INTERVAL_SECONDS = 10
FEATURES_JOB = "features"


def build_features_sensor(
    platform: Platform, job: UnresolvedAssetJobDefinition
) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Compares feature windows with telemetry, hour by hour, once the rules have"
        " judged it. The newest hours first. Runs take at most the share FLEET_FEATURES_SHARE of"
        " the time.",
    )
    def features_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        share = platform.settings.features_share
        if why := resting(context.instance, FEATURES_JOB, share, "the features"):
            return SkipReason(why)
        now = datetime.now(UTC)
        due = hours_to_window(platform.lake)
        if not due:
            return SkipReason("the windows of all hours that are judged are in line")
        waiting = _waiting(platform.postgres_url, now)
        ready = sorted(set(due) - waiting, reverse=True)
        hours = some_hours(ready, rows_by_hour(platform.lake))
        if not hours:
            return SkipReason(f"{len(due)} hours failed and wait for their next attempt")
        tags = {PARTITION: hours[0], HOURS_TAG: ",".join(hours)}
        config = {"ops": {"refresh_feature_windows": {"config": {"anew": False}}}}
        return RunRequest(run_config=config, tags=tags)

    return features_sensor


def _waiting(postgres_url: str, now: datetime) -> set[str]:
    """Hours that are not to be tried yet, and those that the rules have failed at."""
    failed = read_ledger(postgres_url, "features", state="failed")
    later = {e.event_hour for e in failed if e.next_attempt_at and e.next_attempt_at > now}
    rules = read_ledger(postgres_url, "rules", state="failed")
    return later | {entry.event_hour for entry in rules}
