"""Requests scoring of hours whose windows or models have changed, a bounded share of the time."""

import json
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

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import HOURS_TAG, PARTITION
from fleet_assets.model_flow.book import model_book
from fleet_assets.model_flow.scoring import scoring_work
from fleet_assets.rule_flow import rows_by_hour, some_hours
from partitions.hours import hour_key
from sensors.pacing import resting

INTERVAL_SECONDS = 10
SCORING_JOB = "scoring"


def build_scoring_sensor(platform: Platform, job: UnresolvedAssetJobDefinition) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Compares, hour by hour, feature windows and the models that serve with what"
        " was judged. The newest hours first. Runs take at most the share FLEET_SCORING_SHARE of"
        " the time.",
    )
    def scoring_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        share = platform.settings.scoring_share
        if why := resting(context.instance, SCORING_JOB, share, "the models"):
            return SkipReason(why)
        now = datetime.now(UTC)
        lake, url = platform.lake, platform.postgres_url
        book = model_book(lake, url)
        if not book.audit:
            return SkipReason("no model serves yet: train one, `fleet models --help` tells how")
        before = json.loads(context.cursor) if context.cursor else {}
        models = book.whole_fingerprint
        same = before.get("models") == models
        work = scoring_work(lake, url, book, compare_models=not same, now=now)
        cursor = before if work.hours or work.waiting else {"models": models}
        hours = some_hours(work.hours, rows_by_hour(lake))
        if not hours and not work.to_load:
            said = "all hours are judged by the models that serve"
            if work.waiting:
                said = f"{len(work.waiting)} hours failed and wait for their next attempt"
            return SensorResult(skip_reason=said, cursor=json.dumps(cursor))
        if not hours:
            hours = [hour_key(now)]  # nothing to judge in it: the run loads
        tags = {PARTITION: hours[0], HOURS_TAG: ",".join(hours)}
        config = {"ops": {"judge_by_models": {"config": {"anew": False}}}}
        request = RunRequest(run_config=config, tags=tags)
        return SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return scoring_sensor
