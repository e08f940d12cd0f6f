"""Requests a training before its weekday: the first one, and when drift asks for it."""

from datetime import UTC, datetime, timedelta

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
from fleet_assets.assets.runs import unfinished_runs
from fleet_assets.assets.training import STEP, TRAIN
from fleet_assets.model_flow.wanted import LEAST_HOURS, training_wanted

INTERVAL_SECONDS = 300
REST = timedelta(hours=6)
"""After a training that was asked for here the next one waits, however it ended."""


def build_training_sensor(
    platform: Platform, job: UnresolvedAssetJobDefinition
) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Asks for the first training once there are"
        f" {LEAST_HOURS} driven vehicle-hours, for one a day while no model serves, for one when"
        " who serves cannot be read any more, and when features have drifted since the last. The"
        " schedule trains weekly besides.",
    )
    def training_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        if unfinished_runs(context.instance, TRAIN):
            return SkipReason("a training is under way")
        now = datetime.now(UTC)
        asked = datetime.fromtimestamp(float(context.cursor or 0), UTC)
        if now < asked + REST:
            return SkipReason(f"the next training waits until {asked + REST:%Y-%m-%d %H:%M}")
        why = training_wanted(platform.lake, platform.postgres_url)
        if not why.is_wanted:
            return SkipReason(why.reason)
        context.update_cursor(str(now.timestamp()))
        config = {"ops": {STEP: {"config": {"made_by": f"sensor: {why.reason}"}}}}
        return RunRequest(run_config=config)

    return training_sensor
