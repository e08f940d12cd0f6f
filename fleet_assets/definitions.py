"""The only place where Dagster objects are assembled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import (
    AssetsDefinition,
    AssetSelection,
    DefaultScheduleStatus,
    Definitions,
    PartitionsDefinition,
    ScheduleDefinition,
    define_asset_job,
    definitions,
    in_process_executor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fleet_assets.assets.anomalies_topic import build_anomalies_topic
from fleet_assets.assets.baselines import build_feature_days, build_vehicle_baselines
from fleet_assets.assets.checks import (
    build_conservation,
    build_raw_contract,
    freshness_check,
    landings_contract,
    offsets_check,
)
from fleet_assets.assets.common import days, hours
from fleet_assets.assets.dlq import build_dlq, dlq_published_spec
from fleet_assets.assets.features import build_features
from fleet_assets.assets.ingest import ingest_assets, landing_job
from fleet_assets.assets.lake_upkeep import lake_upkeep, lake_upkeep_job, lake_upkeep_schedule
from fleet_assets.assets.ledger import ledger_spec
from fleet_assets.assets.marts import BUILD_LOG, build_marts
from fleet_assets.assets.models import (
    DAILY,
    build_feature_drift,
    build_model_choice,
    build_vehicle_models,
    daily_schedule,
)
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.recent import build_recent
from fleet_assets.assets.retention import retention, retention_job, retention_schedule
from fleet_assets.assets.rule_volume import build_rule_volume
from fleet_assets.assets.rules import BY_HAND, build_rules
from fleet_assets.assets.runs import LONG_TAG
from fleet_assets.assets.scoring import build_scoring
from fleet_assets.assets.telemetry import build_telemetry_assets
from fleet_assets.assets.training import TRAIN, build_training, training_schedule
from fleet_assets.assets.upkeep import upkeep_job, upkeep_schedule
from fleet_assets.assets.vehicle_hours import build_vehicle_hours
from fleet_assets.assets.verification import (
    verification,
    verification_job,
    verification_schedules,
)
from fleet_assets.assets.warehouse import build_warehouse_load
from fleet_assets.warehouse.dbt_project import prepare_manifest
from sensors.baselines import BASELINES_JOB, build_baselines_sensor
from sensors.dlq import build_dlq_sensor
from sensors.features import FEATURES_JOB, build_features_sensor
from sensors.freshness import build_freshness_sensor
from sensors.landing import build_landing_sensor
from sensors.ledger import build_ledger_sensor
from sensors.recent import RECENT_JOB, build_recent_sensor
from sensors.refresh import REFRESH_JOB, build_refresh_sensor
from sensors.rules import RULES_JOB, build_rules_sensor
from sensors.scoring import SCORING_JOB, build_scoring_sensor
from sensors.training import build_training_sensor


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> Definitions:
    """Fresh definitions, so that tests can swap parts.

    Args:
        resource_overrides: resources by name that replace the usual ones.
    """
    platform = Platform()
    partitions_def = hours(platform.settings)
    assets = [
        build_telemetry_assets(partitions_def),
        build_vehicle_hours(partitions_def),
        build_warehouse_load(partitions_def),
        build_marts(prepare_manifest(platform.settings.home)),
    ]
    dlq = build_dlq()
    conservation = build_conservation(partitions_def)
    refresh_job = define_asset_job(
        REFRESH_JOB,
        selection=(
            AssetSelection.assets(*assets, dlq)
            | AssetSelection.checks_for_assets(*assets, dlq)
            | AssetSelection.checks(conservation)
        )
        - AssetSelection.checks(freshness_check),  # its sensor evaluates it without a run
        partitions_def=partitions_def,
        executor_def=in_process_executor,
        description="From raw_telemetry to the marts, for the hours of the run.",
    )
    rules = [build_rules(partitions_def), build_anomalies_topic(), build_rule_volume()]
    rules_job = _job(RULES_JOB, rules, partitions_def, "telemetry to trips and anomalies")
    features = build_features(partitions_def)
    features_job = _job(FEATURES_JOB, [features], partitions_def, "telemetry to feature windows")
    by_day = days(platform.settings)
    baselines = [build_feature_days(by_day), build_vehicle_baselines(by_day)]
    baselines_job = _job(BASELINES_JOB, baselines, by_day, "feature windows to what is usual")
    scoring = build_scoring(partitions_def)
    scoring_job = _job(
        SCORING_JOB, [scoring], partitions_def, "feature windows to what models find"
    )
    recent = build_recent()
    recent_job = define_asset_job(
        RECENT_JOB,
        selection=AssetSelection.assets(recent) | AssetSelection.checks_for_assets(recent),
        executor_def=in_process_executor,
        description="Recent telemetry into PostgreSQL, for tools that speak only SQL.",
    )
    training, drift = build_training(), build_feature_drift()
    daily_models = [build_vehicle_models(), build_model_choice()]
    training_job = define_asset_job(
        TRAIN,
        selection=AssetSelection.assets(training, *daily_models)
        | AssetSelection.checks_for_assets(training),
        executor_def=in_process_executor,
        tags={LONG_TAG: "models"},
        description="A training set, a model and what follows from it: weekly, or when drift asks.",
    )
    daily_job = define_asset_job(
        DAILY,
        selection=AssetSelection.assets(drift, *daily_models)
        | AssetSelection.checks_for_assets(drift),
        executor_def=in_process_executor,
        tags={LONG_TAG: "models"},
        description="Drift, vehicles' models and which version serves, once a day.",
    )
    publish_job = define_asset_job(
        "dead_letters",
        selection=AssetSelection.assets(dlq) | AssetSelection.checks_for_assets(dlq),
        executor_def=in_process_executor,
        description="Sends rejects to the dead-letter topic that no refresh has sent.",
    )
    verify_job = define_asset_job(
        "verify",
        selection=AssetSelection.checks(offsets_check),
        executor_def=in_process_executor,
        description="Checks over the whole lake.",
    )
    return Definitions(
        assets=[
            *ingest_assets(partitions_def),
            *assets,
            dlq,
            *rules,
            features,
            *baselines,
            scoring,
            recent,
            training,
            drift,
            *daily_models,
            *BY_HAND,
            *BUILD_LOG,
            ledger_spec,
            dlq_published_spec(partitions_def),
            lake_upkeep,
            retention,
            verification,
        ],
        asset_checks=[
            conservation,
            build_raw_contract(partitions_def),
            landings_contract,
            offsets_check,
            freshness_check,
        ],
        jobs=[
            landing_job,
            refresh_job,
            rules_job,
            features_job,
            baselines_job,
            scoring_job,
            recent_job,
            training_job,
            daily_job,
            publish_job,
            verify_job,
            verification_job,
            upkeep_job,
            lake_upkeep_job,
            retention_job,
        ],
        schedules=[
            ScheduleDefinition(
                job=verify_job,
                cron_schedule="*/15 * * * *",
                default_status=DefaultScheduleStatus.RUNNING,
            ),
            upkeep_schedule,
            lake_upkeep_schedule,
            retention_schedule,
            *verification_schedules,
            training_schedule(training_job),
            daily_schedule(daily_job),
        ],
        sensors=[
            build_landing_sensor(platform),
            build_refresh_sensor(platform, refresh_job),
            build_rules_sensor(platform, rules_job),
            build_features_sensor(platform, features_job),
            build_baselines_sensor(platform, baselines_job),
            build_scoring_sensor(platform, scoring_job),
            build_recent_sensor(platform, recent_job),
            build_training_sensor(platform, training_job),
            build_dlq_sensor(platform, publish_job),
            build_freshness_sensor(platform),
            build_ledger_sensor(platform),
        ],
        resources={"platform": platform, **(resource_overrides or {})},
        executor=in_process_executor,
    )


def _job(
    name: str, assets: Sequence[AssetsDefinition], partitions_def: PartitionsDefinition, what: str
) -> UnresolvedAssetJobDefinition:
    """A job over all of some assets, with their checks."""
    return define_asset_job(
        name,
        selection=AssetSelection.assets(*assets) | AssetSelection.checks_for_assets(*assets),
        partitions_def=partitions_def,
        executor_def=in_process_executor,
        description=f"From {what}, for the partitions of the run.",
    )


@definitions
def defs() -> Definitions:
    """What Dagster loads, made when it asks: importing this module has no side effects."""
    return build_defs()
