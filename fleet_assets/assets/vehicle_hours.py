"""`vehicle_hours` in the lake, and the states that it is made from."""

from collections.abc import Iterator

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

from fleet_assets.assets.common import LAKE, QUALITY, lake_spec, markdown_table
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
from fleet_assets.lake.vehicle_hours import (
    VehicleHoursRefreshed,
    refresh_vehicle_hours,
    refresh_vehicle_hours_together,
)
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.vehicles import tanks_at
from partitions.hours import hour_start

_STATES, _HOURS = "vehicle_hour_states", "vehicle_hours"
_UPSTREAM = {_STATES: "telemetry", _HOURS: _STATES}


class VehicleHoursConfig(Config):
    """How to work on the hours of the run."""

    anew: bool = Field(
        default=True,
        description="Make each hour anew from all its rows of telemetry (the same rows result). The"
        " refresh sensor turns it off: then only what has changed is taken in.",
    )


def build_vehicle_hours(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The asset of this stage."""

    @multi_asset(
        name="refresh_vehicle_hours",
        specs=[
            lake_spec(
                name,
                LAKE if name == _HOURS else QUALITY,
                [upstream],
                partitions_def=partitions_def,
                skippable=True,
            )
            for name, upstream in _UPSTREAM.items()
        ],
        check_specs=contract_checks(_UPSTREAM, partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def refresh(
        context: AssetExecutionContext, config: VehicleHoursConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url

        def log(event_hour: str, verdict: Verdict) -> None:
            log_check(context, contract_evaluation(verdict, event_hour))

        def on_failure(event_hour: str, error: Exception) -> None:
            for verdict in verdicts_of(error, _HOURS):
                log(event_hour, verdict)
            for key in context.selected_asset_keys:
                tell_failure(context, key.path[-1], event_hour, error)

        done = work_hours(
            context,
            url,
            "vehicle_hours",
            work=lambda hour: refresh_vehicle_hours(
                lake, hour, tanks_at(url, hour_start(hour)), force=config.anew
            ),
            version_of=lambda result: result.processed_version,
            rows_of=lambda result: result.rows.height,
            upstream="telemetry",
            on_failure=on_failure,
            together=None
            if config.anew
            else lambda hours: refresh_vehicle_hours_together(
                lake, hours, lambda hour: tanks_at(url, hour_start(hour))
            ),
        )
        held = partition_metadata(lake, list(done))
        for event_hour, result in done.items():
            checked = {verdict.table: verdict for verdict in result.verdicts}
            for name in _UPSTREAM:
                log(event_hour, checked.get(name, Verdict(name, 0, ())))
            for key in context.selected_asset_keys:
                name = key.path[-1]
                told = _metadata(result) | (_longest(result) if name == _HOURS else {})
                of_table = held.get((event_hour, name), {})
                add_hour_metadata(context, name, event_hour, of_table | told)
        for name in _UPSTREAM:  # Dagster wants them in the order in which they depend
            if AssetKey(name) in context.selected_asset_keys:
                yield MaterializeResult(asset_key=name)

    return refresh


def _metadata(result: VehicleHoursRefreshed) -> dict[str, object]:
    return {
        "dagster/partition_row_count": MetadataValue.int(result.rows.height),
        "raw version": MetadataValue.int(result.processed_version),
        "rows taken in": MetadataValue.text(
            "all of the hour" if result.rows_added is None else f"{result.rows_added:,}"
        ),
    }


def _longest(result: VehicleHoursRefreshed) -> dict[str, object]:
    longest = result.rows.sort("distance_miles", descending=True, nulls_last=True).head(5)
    shown = longest.select("vehicle_id", "messages", "distance_miles", "idle_seconds")
    rows = [
        [v, m, "–" if d is None else f"{d:.1f}", "–" if i is None else f"{i:.0f}"]
        for v, m, d, i in shown.iter_rows()
    ]
    header = ["vehicle", "messages", "miles", "idle s"]
    return {"longest distances": MetadataValue.md(markdown_table(header, rows))}
