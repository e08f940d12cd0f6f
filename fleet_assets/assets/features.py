"""`feature_windows`: features by vehicle and step, hour by hour, with what they are like."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    HourlyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)
from pydantic import Field

from fleet_assets.assets.common import lake_spec, markdown_table
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import (
    add_hour_metadata,
    contract_checks,
    contract_evaluation,
    log_check,
    tell_failure,
    verdicts_of,
    work_hours,
)
from fleet_assets.lake.feature_windows import (
    FEATURE_WINDOWS,
    WindowsRefreshed,
    refresh_feature_windows,
)
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.input_pins import sync_pins
from fleet_assets.warehouse.lake_ledger import sync_lake_ledger

FEATURES = "features"


class FeaturesConfig(Config):
    """How to work on the hours of the run."""

    anew: bool = Field(
        default=True,
        description="Make each hour anew (the same rows result). The sensor turns it off: then only"
        " hours are made whose telemetry or usual intervals have changed, or that are not scored"
        " yet.",
    )
    repin: bool = Field(
        default=False,
        description="Score each hour by the newest baselines of its day instead of those that it"
        " is pinned to.",
    )


def build_features(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The asset of this stage."""

    @multi_asset(
        name="refresh_feature_windows",
        specs=[
            lake_spec(
                FEATURE_WINDOWS,
                FEATURES,
                ["telemetry", "rule_eligibility"],
                partitions_def=partitions_def,
                skippable=True,
            )
        ],
        check_specs=contract_checks((FEATURE_WINDOWS,), partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def refresh(
        context: AssetExecutionContext, config: FeaturesConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake = platform.lake

        def on_failure(event_hour: str, error: Exception) -> None:
            for verdict in verdicts_of(error, FEATURE_WINDOWS):
                log_check(context, contract_evaluation(verdict, event_hour))
            tell_failure(context, FEATURE_WINDOWS, event_hour, error)

        done = work_hours(
            context,
            platform.postgres_url,
            "features",
            work=lambda hour: refresh_feature_windows(
                lake, hour, force=config.anew, repin=config.repin
            ),
            version_of=lambda worked: worked.processed_version,
            rows_of=lambda worked: worked.rows,
            upstream="rules",
            on_failure=on_failure,
        )
        for event_hour, worked in done.items():
            verdict = worked.verdict or Verdict(FEATURE_WINDOWS, 0, ())
            log_check(context, contract_evaluation(verdict, event_hour))
            add_hour_metadata(context, FEATURE_WINDOWS, event_hour, _told(lake, worked))
        sync_lake_ledger(lake, platform.postgres_url, done.keys())
        sync_pins(lake, platform.postgres_url, done.keys())
        yield MaterializeResult(asset_key=FEATURE_WINDOWS)

    return refresh


def _told(lake: Lake, worked: WindowsRefreshed) -> Mapping[str, Any]:
    count = {"dagster/partition_row_count": MetadataValue.int(worked.rows)}
    if worked.verdict is None:
        return count
    rows = lake.open(FEATURE_WINDOWS).read(worked.event_hour)
    return count | {
        "vehicles": MetadataValue.int(rows["vehicle_id"].n_unique()),
        "features": MetadataValue.md(_spread(rows)),
    }


def _spread(rows: pl.DataFrame) -> str:
    """Each feature's share of windows that have it, and how it is spread."""
    names = rows.columns[3:]
    shown = []
    for name in names:
        known = rows[name].drop_nulls()
        levels = [known.quantile(share) for share in (0.05, 0.5, 0.95)]
        share = known.len() / max(rows.height, 1)
        numbers = ["–" if level is None else f"{level:,.4g}" for level in levels]
        shown.append((name, f"{share:.0%}", *numbers))
    return markdown_table(("feature", "known", "5 %", "median", "95 %"), shown)
