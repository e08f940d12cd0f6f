"""Requests rounds of recent telemetry, for a small share of the time."""

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
from fleet_assets.assets.recent import recent_limits
from fleet_assets.recent_flow import recent_work
from sensors.pacing import resting

INTERVAL_SECONDS = 10
RECENT_JOB = "recent_telemetry"
BEHIND = {"dagster/priority": "-1"}
"""Of runs that are queued, others go first."""


def build_recent_sensor(platform: Platform, job: UnresolvedAssetJobDefinition) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Compares the last FLEET_RECENT_MINUTES of telemetry with what PostgreSQL has"
        " of them. Runs take at most the share FLEET_RECENT_SHARE of the time.",
    )
    def recent_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        settings = platform.settings
        if why := resting(context.instance, RECENT_JOB, settings.recent_share, "recent telemetry"):
            return SkipReason(why)
        limits, now = recent_limits(settings), datetime.now(UTC)
        work = recent_work(platform.lake, platform.postgres_url, limits, now)
        if work is None:
            return SkipReason(
                "it is switched off" if limits.is_off else "all that is recent is there"
            )
        context.log.info(work)
        return RunRequest(tags=BEHIND)

    return recent_sensor
