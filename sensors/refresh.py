"""Requests refreshes of hours whose marts do not show all that has landed."""

from datetime import UTC, datetime

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

from fleet_assets.assets.common import LANE_TAG
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import (
    HOURS_TAG,
    RANGE_END,
    RANGE_START,
    hours_of,
    lanes_of,
    unfinished_runs,
)
from fleet_assets.flow import hour_progress
from partitions.planning import PlannedRun, plan_refresh

INTERVAL_SECONDS = 5
REFRESH_JOB = "refresh"


def build_refresh_sensor(platform: Platform, job: UnresolvedAssetJobDefinition) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Compares, hour by hour, what has landed with what the marts show."
        " Fresh hours first; closed hours at most every FLEET_LATE_INTERVAL; failed hours alone.",
    )
    def refresh_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        settings = platform.settings
        # runs first: one that ends after this moment has its hours in the ledger or stays busy
        runs = unfinished_runs(context.instance)
        planned = plan_refresh(
            hour_progress(platform.lake, platform.postgres_url),
            busy_hours=hours_of(runs),
            busy_lanes=lanes_of(runs),
            now=datetime.now(UTC),
            grace=settings.late_after,
            late_interval=settings.late_interval,
        )
        if not planned:
            return SkipReason("the marts show all that has landed, or it is under way")
        return SensorResult(run_requests=[_request(run) for run in planned])

    return refresh_sensor


def _request(run: PlannedRun) -> RunRequest:
    return RunRequest(
        run_config={
            "ops": {
                "refresh_telemetry": {"config": {"rebuild": False}},
                "refresh_vehicle_hours": {"config": {"anew": False}},
            }
        },
        tags={
            RANGE_START: run.first,
            RANGE_END: run.first if run.hours else run.last,
            LANE_TAG: run.lane,
            "dagster/priority": "1" if run.lane == "fresh" else "0",
            **({HOURS_TAG: ",".join(run.hours)} if run.hours else {}),
        },
    )
