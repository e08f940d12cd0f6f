"""Requests a landing when Kafka holds messages that the lake does not.

Reads watermarks and committed offsets only. It never consumes: a tick may be tried again.
"""

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from fleet_assets.assets.ingest import LANDING_JOB, landing_job
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import unfinished_runs
from fleet_assets.kafka.plan import plan_landing
from fleet_assets.warehouse.gaps import record_truncations

INTERVAL_SECONDS = 5


def build_landing_sensor(platform: Platform) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=landing_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Compares Kafka's watermarks with the offsets in the lake and requests a"
        " landing of exactly what is missing.",
    )
    def landing_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        if unfinished_runs(context.instance, LANDING_JOB):
            return SkipReason("a landing is under way")
        settings = platform.settings
        plan = plan_landing(
            platform.lake, platform.broker, settings.topic, settings.landing_max_messages
        )
        source = plan.state.source
        if plan.truncated:
            record_truncations(platform.postgres_url, source, plan.truncated)
        if not plan.ranges:
            return SkipReason("; ".join(["all that can be read has landed", *plan.obstacles]))
        for obstacle in plan.obstacles:
            context.log.warning(obstacle)
        config = {
            "topic": settings.topic,
            "cluster_id": source.cluster_id,
            "topic_id": source.topic_id,
            "ranges": [
                {"partition": p, "start": start, "end": end}
                for p, (start, end) in plan.ranges.items()
            ],
        }
        return RunRequest(run_config={"ops": {"land_ranges": {"config": config}}})

    return landing_sensor
