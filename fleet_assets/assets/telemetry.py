"""`telemetry` and what is committed with it: rejects and outcomes, hour by hour."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    HourlyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)
from pydantic import Field

from fleet_assets.assets.common import LAKE, QUALITY, lake_spec, warehouse_key
from fleet_assets.assets.ledger import partition_metadata
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
from fleet_assets.lake.refresh import HourRefreshed, refresh_hour, refresh_together
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.vehicles import known_vehicles

TABLES = ("telemetry", "telemetry_rejects", "telemetry_outcomes", "vehicle_outcomes")
_ROW_COUNT = {"telemetry": "accepted", "telemetry_rejects": "rejected"}


class RefreshConfig(Config):
    """How to work on the hours of the run."""

    rebuild: bool = Field(
        default=True,
        description="Make each hour anew from all its raw messages (the same rows result). The"
        " refresh sensor turns it off: then only new messages are taken in.",
    )


def build_telemetry_assets(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The assets of this stage."""
    raw = AssetKey("raw_telemetry")

    @multi_asset(
        name="refresh_telemetry",
        specs=[
            lake_spec(
                name,
                LAKE if name in _ROW_COUNT else QUALITY,
                [raw, warehouse_key("vehicles")],
                partitions_def=partitions_def,
                skippable=True,
            )
            for name in TABLES
        ],
        check_specs=contract_checks(TABLES, partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def refresh_telemetry(
        context: AssetExecutionContext, config: RefreshConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        known = frozenset(known_vehicles(url)["vehicle_id"])
        late_after = platform.settings.late_after
        raw_snapshot = lake.open("raw_telemetry")

        def on_failure(event_hour: str, error: Exception) -> None:
            for verdict in verdicts_of(error, "telemetry"):
                _log_verdict(context, event_hour, verdict)
            for name in context.selected_asset_keys:
                tell_failure(context, name.path[-1], event_hour, error)

        done = work_hours(
            context,
            url,
            "telemetry",
            work=lambda hour: refresh_hour(
                lake, hour, known, late_after, force_rebuild=config.rebuild, raw=raw_snapshot
            ),
            version_of=lambda result: result.processed_version,
            rows_of=lambda result: result.totals["accepted"],
            upstream=None,
            on_failure=on_failure,
            together=None
            if config.rebuild
            else lambda hours: refresh_together(lake, hours, known, late_after),
        )
        held = partition_metadata(lake, list(done))
        for event_hour, result in done.items():
            for verdict in result.verdicts or [Verdict(name, 0, ()) for name in TABLES]:
                _log_verdict(context, event_hour, verdict)
            for key in context.selected_asset_keys:
                name = key.path[-1]
                of_table = held.get((event_hour, name), {})
                add_hour_metadata(context, name, event_hour, of_table | _metadata(name, result))
        for key in context.selected_asset_keys:
            yield MaterializeResult(asset_key=key)

    return refresh_telemetry


def _log_verdict(context: AssetExecutionContext, event_hour: str, verdict: Verdict) -> None:
    log_check(context, contract_evaluation(verdict, event_hour))


def _metadata(name: str, result: HourRefreshed) -> dict[str, MetadataValue[Any]]:
    metadata: dict[str, MetadataValue[Any]] = {
        count: MetadataValue.int(value) for count, value in result.totals.items()
    }
    metadata["new messages"] = MetadataValue.int(result.new_messages)
    metadata["raw version"] = MetadataValue.int(result.processed_version)
    metadata["rebuilt"] = MetadataValue.bool(result.rebuilt)
    if name in _ROW_COUNT:
        rows = MetadataValue.int(result.totals[_ROW_COUNT[name]])
        metadata["dagster/partition_row_count"] = rows
    return metadata
