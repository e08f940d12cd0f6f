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

from fleet_assets.assets.common import OWNERS, WAREHOUSE, column_schema, warehouse_key
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import failure_metadata, work_hours
from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.warehouse.from_lake import TABLES, LoadedHour, load_hour

LOADED = {warehouse_key(table): table for table in TABLES}


def build_warehouse_load(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The assets of this stage."""

    @multi_asset(
        name="load_warehouse",
        specs=[
            AssetSpec(
                key=key,
                deps=sorted({table, "vehicle_hours"}),
                description=f"{TABLE_BY_NAME[table].description} The lake's table, in PostgreSQL.",
                group_name=WAREHOUSE,
                owners=OWNERS,
                kinds={"postgres"},
                partitions_def=partitions_def,
                skippable=True,
                metadata={
                    "dagster/column_schema": column_schema(TABLE_BY_NAME[table]),
                    "dagster/table_name": f"fleet.warehouse.{table}",
                },
            )
            for key, table in LOADED.items()
        ],
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def load(
        context: AssetExecutionContext, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url

        def on_failure(event_hour: str, error: Exception) -> None:
            for key in context.selected_asset_keys:
                context.add_asset_metadata(
                    failure_metadata(error), asset_key=key, partition_key=event_hour
                )

        done: dict[str, LoadedHour] = work_hours(
            context,
            url,
            "warehouse",
            work=lambda hour: load_hour(lake, url, hour, context.run_id),
            version_of=lambda result: result.processed_version,
            rows_of=lambda result: sum(result.rows.values()),
            upstream="vehicle_hours",
            on_failure=on_failure,
        )
        for event_hour, result in done.items():
            for key in context.selected_asset_keys:
                context.add_asset_metadata(
                    {
                        "dagster/partition_row_count": MetadataValue.int(result.rows[LOADED[key]]),
                        "raw version": MetadataValue.int(result.processed_version),
                    },
                    asset_key=key,
                    partition_key=event_hour,
                )
        for key in context.selected_asset_keys:
            yield MaterializeResult(asset_key=key)

    return load
