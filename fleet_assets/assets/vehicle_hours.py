"""`vehicle_hours` in the lake."""

from collections.abc import Iterator

from dagster import (
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    HourlyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from fleet_assets.assets.common import LAKE, lake_spec, markdown_table
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import (
    CONTRACT_CHECK,
    CONTRACT_TEXT,
    add_hour_metadata,
    contract_evaluation,
    failure_metadata,
    log_check,
    verdicts_of,
    work_hours,
)
from fleet_assets.lake.vehicle_hours import VehicleHoursRefreshed, refresh_vehicle_hours
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.vehicles import known_vehicles

_NAME = "vehicle_hours"


def build_vehicle_hours(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The asset of this stage."""

    @multi_asset(
        name="refresh_vehicle_hours",
        specs=[
            lake_spec(_NAME, LAKE, ["telemetry"], partitions_def=partitions_def, skippable=True)
        ],
        check_specs=[
            AssetCheckSpec(
                CONTRACT_CHECK,
                asset=_NAME,
                description=CONTRACT_TEXT,
                partitions_def=partitions_def,
            )
        ],
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def refresh(
        context: AssetExecutionContext, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        tanks = known_vehicles(url).select("vehicle_id", "tank_gallons")

        def log(event_hour: str, verdict: Verdict) -> None:
            log_check(context, contract_evaluation(verdict, event_hour))

        def on_failure(event_hour: str, error: Exception) -> None:
            for verdict in verdicts_of(error, _NAME):
                log(event_hour, verdict)
            add_hour_metadata(context, _NAME, event_hour, failure_metadata(error))

        done = work_hours(
            context,
            url,
            "vehicle_hours",
            work=lambda hour: refresh_vehicle_hours(lake, hour, tanks),
            version_of=lambda result: result.processed_version,
            rows_of=lambda result: result.rows.height,
            upstream="telemetry",
            on_failure=on_failure,
        )
        for event_hour, result in done.items():
            log(event_hour, result.verdict or Verdict(_NAME, 0, ()))
            add_hour_metadata(context, _NAME, event_hour, _metadata(result))
        yield MaterializeResult(asset_key=_NAME)

    return refresh


def _metadata(result: VehicleHoursRefreshed) -> dict[str, object]:
    longest = result.rows.sort("distance_miles", descending=True, nulls_last=True).head(5)
    shown = longest.select("vehicle_id", "messages", "distance_miles", "idle_seconds")
    rows = [
        [v, m, "–" if d is None else f"{d:.1f}", "–" if i is None else f"{i:.0f}"]
        for v, m, d, i in shown.iter_rows()
    ]
    header = ["vehicle", "messages", "miles", "idle s"]
    return {
        "dagster/partition_row_count": MetadataValue.int(result.rows.height),
        "raw version": MetadataValue.int(result.processed_version),
        "longest distances": MetadataValue.md(markdown_table(header, rows)),
    }
