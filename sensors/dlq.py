"""Requests that rejects are published, when no refresh is under way that would do it."""

import json

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import unfinished_runs
from fleet_assets.rejects.publish import hours_to_publish
from sensors.refresh import REFRESH_JOB

INTERVAL_SECONDS = 60
PATIENCE_TICKS = 10
"""What a run could not publish is tried again after so many ticks, sooner if more has come."""


def build_dlq_sensor(platform: Platform, job: UnresolvedAssetJobDefinition) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Each refresh publishes the rejects that it finds. What is left when none is"
        " under way (Kafka was down) is published by a run of its own.",
    )
    def dlq_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        if unfinished_runs(context.instance, REFRESH_JOB) or unfinished_runs(
            context.instance, job.name
        ):
            return SkipReason("a run is under way that publishes rejects")
        waiting = hours_to_publish(platform.lake, platform.postgres_url)
        if not waiting:
            return SensorResult(skip_reason="all rejects are published", cursor="")
        asked, ticks = json.loads(context.cursor) if context.cursor else (None, 0)
        now = sorted(waiting.values())
        if asked == now and ticks < PATIENCE_TICKS:
            return SensorResult(
                skip_reason=f"rejects of {len(waiting)} hours could not be published yet",
                cursor=json.dumps([now, ticks + 1]),
            )
        return SensorResult(run_requests=[RunRequest()], cursor=json.dumps([now, 0]))

    return dlq_sensor
