"""Loading hours of the lake into PostgreSQL, all tables of a set of hours in one transaction."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    HourlyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from fleet_assets.assets.common import (
    LANE_TAG,
    OWNERS,
    QUALITY,
    WAREHOUSE,
    loaded_spec,
    warehouse_key,
)
from fleet_assets.assets.ledger import revision_metadata
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import add_hour_metadata, hours_of_run, tell_failure, work_hours
from fleet_assets.warehouse.from_lake import REPLAYS, TABLES, LoadedHour, load_hour
from fleet_assets.warehouse.lake_ledger import sync_lake_ledger

LOADED = {warehouse_key(table): str(table) for table in TABLES}
REPLAYS_KEY = warehouse_key(REPLAYS)


def build_warehouse_load(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The assets of this stage."""

    @multi_asset(
        name="load_warehouse",
        specs=[
            loaded_spec(table, WAREHOUSE, sorted({table, "vehicle_hours"}), partitions_def)
            for table in LOADED.values()
        ]
        + [
            AssetSpec(
                key=REPLAYS_KEY,
                deps=["raw_telemetry", "telemetry_rejects", "telemetry_outcomes", "vehicle_hours"],
                description="What became of each message that replays a reject, by the hour of its"
                " event, and whether its origin is a reject still.",
                group_name=QUALITY,
                owners=OWNERS,
                kinds={"postgres"},
                partitions_def=partitions_def,
                skippable=True,
                metadata={"dagster/table_name": f"fleet.warehouse.{REPLAYS}"},
            )
        ],
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def load(
        context: AssetExecutionContext, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        names = {**LOADED, REPLAYS_KEY: REPLAYS}

        def on_failure(event_hour: str, error: Exception) -> None:
            for key in context.selected_asset_keys:
                tell_failure(context, key.path[-1], event_hour, error)

        done: dict[str, LoadedHour] = work_hours(
            context,
            url,
            "warehouse",
            work=lambda hour: load_hour(
                lake,
                url,
                hour,
                context.run_id,
                late_after=platform.settings.late_after,
                by_hand=LANE_TAG not in context.run.tags,
            ),
            version_of=lambda result: result.processed_version,
            rows_of=lambda result: sum(result.rows.values()),
            upstream="vehicle_hours",
            on_failure=on_failure,
        )
        sync_lake_ledger(lake, url, hours_of_run(context))
        revised = revision_metadata(url, list(done))
        for event_hour, result in done.items():
            for key in context.selected_asset_keys:
                add_hour_metadata(
                    context,
                    key.path[-1],
                    event_hour,
                    {
                        **revised[event_hour],
                        "dagster/partition_row_count": MetadataValue.int(result.rows[names[key]]),
                        "raw version": MetadataValue.int(result.processed_version),
                    },
                )
        for key in context.selected_asset_keys:
            yield MaterializeResult(asset_key=key)

    return load
