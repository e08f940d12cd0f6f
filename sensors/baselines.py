"""Requests summaries and baselines of days, as soon as a day is over."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fleet_assets.assets.baselines import COMPARE, SUMMARISE
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import HOURS_TAG, PARTITION
from fleet_assets.baseline_flow import day_work, some_days
from fleet_assets.lake.vehicle_baselines import FEATURE_DAYS, VEHICLE_BASELINES
from sensors.pacing import ready_at, resting

INTERVAL_SECONDS = 60
BASELINES_JOB = "baselines"


def build_baselines_sensor(
    platform: Platform, job: UnresolvedAssetJobDefinition
) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Looks for days that are over and not summarised, and for days that have begun"
        " and lack baselines. Changes of known incidents alone are looked at every"
        " FLEET_LATE_INTERVAL. Runs take at most the share FLEET_FEATURES_SHARE of the time.",
    )
    def baselines_sensor(context: SensorEvaluationContext) -> RunRequest | SkipReason:
        now, settings = datetime.now(UTC), platform.settings
        share = settings.features_share
        if why := resting(context.instance, BASELINES_JOB, share, "the baselines"):
            return SkipReason(why)
        again_at, _ = ready_at(context.instance, BASELINES_JOB, share)
        has_rested = again_at + settings.late_interval <= now
        work = day_work(platform.lake, platform.postgres_url, now, by_incidents=has_rested)
        if work.summaries:
            return _request(platform, SUMMARISE, FEATURE_DAYS, {"anew": False}, work.summaries)
        if work.baselines:
            config = {"only_due": True}
            return _request(platform, COMPARE, VEHICLE_BASELINES, config, work.baselines)
        return SkipReason("all days that are over are summarised, all baselines made")

    return baselines_sensor


def _request(
    platform: Platform, step: str, asset: str, config: dict[str, bool], due: Sequence[str]
) -> RunRequest:
    """One table alone, so that Dagster shows no day as made that the run left alone."""
    days = some_days(platform.lake, due)
    return RunRequest(
        run_config={"ops": {step: {"config": config}}},
        asset_selection=[AssetKey(asset)],
        tags={PARTITION: days[0], HOURS_TAG: ",".join(days)},
    )
