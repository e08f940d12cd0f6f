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
from fleet_assets.kafka.ranges import ranges_to_land
from fleet_assets.kafka.topic import topic_state
from fleet_assets.lake.landing import next_offsets

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
        state = topic_state(platform.broker, settings.topic)
        committed = next_offsets(
            platform.lake.open("raw_telemetry"), state.source, state.watermarks
        )
        ranges = ranges_to_land(state.watermarks, committed, settings.landing_max_messages)
        if not ranges:
            return SkipReason("all messages have landed")
        config = {
            "topic": settings.topic,
            "cluster_id": state.source.cluster_id,
            "topic_id": state.source.topic_id,
            "ranges": [
                {"partition": p, "start": start, "end": end} for p, (start, end) in ranges.items()
            ],
        }
        return RunRequest(run_config={"ops": {"land_ranges": {"config": config}}})

    return landing_sensor
