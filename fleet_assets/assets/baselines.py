"""`feature_days` and `vehicle_baselines`: what was usual on each day, and what is for each."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    DailyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    TimeWindowPartitionMapping,
    multi_asset,
)
from pydantic import Field

from fleet_assets.assets.common import lake_spec, markdown_table, warehouse_key
from fleet_assets.assets.days import work_days
from fleet_assets.assets.features import FEATURES
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import (
    add_hour_metadata,
    contract_checks,
    contract_evaluation,
    hours_of_run,
    log_check,
)
from fleet_assets.baseline_flow import day_work
from fleet_assets.lake.feature_days import summarise_day
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_baselines import (
    FEATURE_DAYS,
    VEHICLE_BASELINES,
    baselines_of,
    make_baselines,
)
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.anomaly_feedback import all_said
from fleet_assets.warehouse.vehicles import types_at
from partitions.days import day_start

SUMMARISE, COMPARE = "summarise_days", "make_baselines"
"""Names of the steps."""
_THIRTY_DAYS_BEFORE = TimeWindowPartitionMapping(
    start_offset=-30, end_offset=-1, allow_nonexistent_upstream_partitions=True
)


class SummaryConfig(Config):
    """How to work on the days of the run."""

    anew: bool = Field(
        default=True,
        description="Make each day anew (the same rows result). The sensor turns it off: then only"
        " days that are over and whose windows or incidents have changed.",
    )


class BaselineConfig(Config):
    """How to work on the days of the run."""

    only_due: bool = Field(
        default=False,
        description="Leave out days whose days before still wait for something. The sensor turns it"
        " on.",
    )
    repin: bool = Field(
        default=False,
        description="Make a further version where there is one. Hours stay pinned to theirs until"
        " feature_windows are made with `repin`, too.",
    )


def build_feature_days(partitions_def: DailyPartitionsDefinition) -> AssetsDefinition:
    """The asset of the summaries."""

    @multi_asset(
        name=SUMMARISE,
        specs=[
            lake_spec(
                FEATURE_DAYS,
                FEATURES,
                ["feature_windows", "rule_anomalies", warehouse_key("anomaly_feedback")],
                partitions_def=partitions_def,
                skippable=True,
            )
        ],
        check_specs=contract_checks((FEATURE_DAYS,), partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def summarise(
        context: AssetExecutionContext, config: SummaryConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        days, said = hours_of_run(context), all_said(url)
        if not config.anew:
            due = day_work(lake, url, datetime.now(UTC)).summaries
            days = [day for day in days if day in due]
        done = work_days(
            context,
            url,
            FEATURE_DAYS,
            days,
            work=lambda day: summarise_day(lake, day, said, force=config.anew),
            rows_of=lambda worked: worked.rows,
        )
        for day, worked in done.items():
            verdict = worked.verdict or Verdict(FEATURE_DAYS, 0, ())
            log_check(context, contract_evaluation(verdict, day))
            told = {"dagster/partition_row_count": MetadataValue.int(worked.rows)}
            if worked.verdict is not None:
                told["summaries"] = _summaries(lake.open(FEATURE_DAYS).read(day))
            add_hour_metadata(context, FEATURE_DAYS, day, told)
        if not done.keys().isdisjoint(context.partition_keys):
            yield MaterializeResult(asset_key=FEATURE_DAYS)

    return summarise


def build_vehicle_baselines(partitions_def: DailyPartitionsDefinition) -> AssetsDefinition:
    """The asset of the baselines.

    Windows of a day depend on them, and they on windows of earlier days: Dagster's graph, which
    knows no days there, would call that a circle, so the first is not in it.
    """
    before = AssetDep(AssetKey(FEATURE_DAYS), partition_mapping=_THIRTY_DAYS_BEFORE)

    @multi_asset(
        name=COMPARE,
        specs=[
            lake_spec(
                VEHICLE_BASELINES,
                FEATURES,
                [before, warehouse_key("vehicles")],
                partitions_def=partitions_def,
                skippable=True,
            )
        ],
        check_specs=contract_checks((VEHICLE_BASELINES,), partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def compare(
        context: AssetExecutionContext, config: BaselineConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        days = hours_of_run(context)
        if config.only_due:
            due = day_work(lake, url, datetime.now(UTC), by_incidents=False).baselines
            days = [day for day in days if day in due]
        done = work_days(
            context,
            url,
            VEHICLE_BASELINES,
            days,
            work=lambda day: make_baselines(
                lake, day, types_at(url, day_start(day)), repin=config.repin
            ),
            rows_of=lambda made: made.rows,
        )
        for day, made in done.items():
            verdict = made.verdict or Verdict(VEHICLE_BASELINES, 0, ())
            log_check(context, contract_evaluation(verdict, day))
            add_hour_metadata(
                context, VEHICLE_BASELINES, day, _told(lake, day, made.version, made.rows)
            )
        if not done.keys().isdisjoint(context.partition_keys):
            yield MaterializeResult(asset_key=VEHICLE_BASELINES)

    return compare


def _told(lake: Lake, day: str, version: int, rows: int) -> Mapping[str, Any]:
    count: dict[str, Any] = {
        "dagster/partition_row_count": MetadataValue.int(rows),
        "version": MetadataValue.int(version),
    }
    if not version:
        text = "none: no day of the thirty before tells enough (cold start)"
        return count | {"baselines": MetadataValue.text(text)}
    return count | {"baselines": _baselines(baselines_of(lake, day, version))}


def _summaries(rows: pl.DataFrame) -> Any:
    """By feature and regime: vehicles, windows, and what was usual."""
    found = (
        rows.group_by("feature", "regime")
        .agg(
            pl.col("vehicle_id").n_unique().alias("vehicles"),
            pl.col("windows").sum(),
            pl.col("median").median().round(2),
            pl.col("mad").median().round(2),
        )
        .sort("feature", "regime")
    )
    return MetadataValue.md(markdown_table(found.columns, found.rows()))


def _baselines(rows: pl.DataFrame) -> Any:
    """By feature and regime: vehicles, those with days of their own, and what is usual."""
    found = (
        rows.group_by("feature", "regime")
        .agg(
            pl.len().alias("vehicles"),
            (pl.col("days") > 0).sum().alias("with days of their own"),
            pl.col("weight").median().round(2).alias("share of their own"),
            *(
                pl.col("center").quantile(share).round(2).alias(f"center {name}")
                for name, share in (("5 %", 0.05), ("median", 0.5), ("95 %", 0.95))
            ),
            pl.col("spread").median().round(2).alias("spread"),
        )
        .sort("feature", "regime")
    )
    return MetadataValue.md(markdown_table(found.columns, found.rows()))
