"""Evaluates the freshness check every minute, without the cost of a run."""

from dagster import (
    AssetCheckEvaluation,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from fleet_assets.assets.checks import FRESHNESS_ASSET, freshness_metadata
from fleet_assets.assets.platform import Platform
from fleet_assets.flow import freshness

INTERVAL_SECONDS = 60


def build_freshness_sensor(platform: Platform) -> SensorDefinition:
    """The sensor."""

    @sensor(
        name="freshness_sensor",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Evaluates the check `freshness` of the marts every minute.",
    )
    def freshness_sensor(context: SensorEvaluationContext) -> SensorResult:
        found = freshness(platform.lake, platform.postgres_url, platform.settings)
        return SensorResult(
            asset_events=[
                AssetCheckEvaluation(
                    asset_key=FRESHNESS_ASSET,
                    check_name="freshness",
                    passed=found.passed,
                    metadata=freshness_metadata(found),
                )
            ]
        )

    return freshness_sensor
