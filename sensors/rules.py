"""Requests trips and anomalies of hours, so often that they take a bounded share of the time."""

import json
from datetime import UTC, datetime, timedelta

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
from fleet_assets.assets.runs import HOURS_TAG, PARTITION, unfinished_runs
from fleet_assets.kafka.anomalies import changes_to_publish
from fleet_assets.rule_flow import (
    may_rest,
    rows_by_hour,
    rule_work,
    some_hours,
)
from fleet_assets.warehouse.rule_book import rule_book
from partitions.hours import hour_key
from sensors.pacing import ready_at
from sensors.refresh import REFRESH_JOB

INTERVAL_SECONDS = 5
RULES_JOB = "trips_and_anomalies"
PATIENCE = timedelta(minutes=1)
"""What could not be published is tried again after so long."""


def build_rules_sensor(platform: Platform, job: UnresolvedAssetJobDefinition) -> SensorDefinition:
    """The sensor."""

    @sensor(
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Compares, hour by hour, telemetry and the rules in force with what was judged."
        " The newest hours first. Runs take at most the share FLEET_RULES_SHARE of the time, unless"
        " a backlog waits and nothing else is refreshed.",
    )
    def rules_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        if unfinished_runs(context.instance, RULES_JOB):
            return SkipReason("a run of the rules is under way")
        now = datetime.now(UTC)
        again_at, rested_at = ready_at(context.instance, RULES_JOB, platform.settings.rules_share)
        if now < again_at:
            return SkipReason(f"the last run failed; the next try is at {again_at:%H:%M:%S}")
        busy = bool(unfinished_runs(context.instance, REFRESH_JOB))
        if now < rested_at and busy:
            return SkipReason(f"the rules rest until {rested_at:%H:%M:%S}")
        lake, url = platform.lake, platform.postgres_url
        before = json.loads(context.cursor) if context.cursor else {}
        book = rule_book(url)
        rules = book.whole_fingerprint
        same = before.get("rules") == rules
        work = rule_work(
            lake,
            url,
            book,
            compare_rules=not same,
            history_every=platform.settings.late_interval,
            now=now,
        )
        cursor = before if work.hours or work.waiting else before | {"rules": rules}
        if now < rested_at and may_rest(len(work.hours), busy=busy):
            return SkipReason(f"the rules rest until {rested_at:%H:%M:%S}")
        hours = some_hours(work.hours, rows_by_hour(lake))
        tried = datetime.fromtimestamp(before.get("published_at", 0.0), UTC)
        to_publish = now - tried > PATIENCE and changes_to_publish(url) > 0
        if not hours and not work.to_load and not to_publish:
            return SensorResult(
                skip_reason="all hours are judged by the rules in force", cursor=json.dumps(cursor)
            )
        if not hours:
            hours = [hour_key(now)]  # nothing to judge in it: the run loads and publishes
            cursor |= {"published_at": now.timestamp()}
        tags = {PARTITION: hours[0], HOURS_TAG: ",".join(hours)}
        config = {"ops": {"judge_by_rules": {"config": {"anew": False}}}}
        request = RunRequest(run_config=config, tags=tags)
        return SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return rules_sensor
