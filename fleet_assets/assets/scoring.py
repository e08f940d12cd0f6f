"""What models find: hour by hour, what it amounts to, and its load."""

from collections.abc import Iterator, Mapping
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

from fleet_assets.assets.common import lake_spec, loaded_spec, markdown_table, warehouse_key
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
from fleet_assets.lake.model_marks import MODEL_HOURS
from fleet_assets.lake.model_segments import HourScored, refresh_model_segments
from fleet_assets.lake.store import Lake
from fleet_assets.model_flow.book import model_book
from fleet_assets.model_flow.scoring import settle_scores
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.input_pins import sync_pins
from fleet_assets.warehouse.lake_ledger import sync_lake_ledger
from fleet_assets.warehouse.load_stale import SCORED

SCORING = "scoring"
_LAKE: Mapping[str, list[AssetKey | str]] = {  # in the order in which they depend
    "model_hours": ["feature_windows"],
    "model_segments": ["feature_windows"],
    "model_anomalies": ["model_segments"],
}
_BY_HOUR = ("model_segments", "model_hours")
_SPECS = (*map(AssetKey, _LAKE), *map(warehouse_key, SCORED))


class ScoringConfig(Config):
    """How to work on the hours of the run."""

    anew: bool = Field(
        default=True,
        description="Judge each hour anew (the same rows result). The sensor turns it off: then"
        " only hours are judged whose windows or models have changed.",
    )


def build_scoring(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The assets of this stage."""

    @multi_asset(
        name="judge_by_models",
        specs=[
            lake_spec(name, SCORING, upstream, partitions_def=partitions_def, skippable=True)
            for name, upstream in _LAKE.items()
        ]
        + [loaded_spec(table, SCORING, [table], partitions_def) for table in SCORED],
        check_specs=contract_checks(_LAKE, partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def judge(
        context: AssetExecutionContext, config: ScoringConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        book = model_book(lake, url)

        def on_failure(event_hour: str, error: Exception) -> None:
            for verdict in verdicts_of(error, "model_segments"):
                log_check(context, contract_evaluation(verdict, event_hour))
            for name in _BY_HOUR:
                tell_failure(context, name, event_hour, error)

        done = work_hours(
            context,
            url,
            "scoring",
            work=lambda hour: refresh_model_segments(lake, hour, book, force=config.anew),
            version_of=lambda worked: worked.processed_version,
            rows_of=lambda worked: worked.rows,
            upstream="features",
            on_failure=on_failure,
        )
        for event_hour, worked in done.items():
            _tell_hour(context, lake, event_hour, worked)
        settled = settle_scores(lake, url, context.run_id)
        loaded = set().union(*settled.loaded.values())
        sync_lake_ledger(lake, url, done.keys() | settled.written.rows.keys() | loaded)
        sync_pins(lake, url, done.keys())
        for event_hour, rows in settled.written.rows.items():
            verdict = settled.written.verdicts[event_hour]
            log_check(context, contract_evaluation(verdict, event_hour))
            add_hour_metadata(context, "model_anomalies", event_hour, _row_count(rows))
        for table, hours in settled.loaded.items():
            for event_hour, rows in hours.items():
                key = warehouse_key(table).to_user_string()
                add_hour_metadata(context, key, event_hour, _row_count(rows))
        for asset_key in _SPECS:  # Dagster wants them in the order in which they depend
            if asset_key in context.selected_asset_keys:
                yield MaterializeResult(asset_key=asset_key)

    return judge


def _tell_hour(
    context: AssetExecutionContext, lake: Lake, event_hour: str, worked: HourScored
) -> None:
    checked = {verdict.table: verdict for verdict in worked.verdicts}
    for name in _BY_HOUR:
        log_check(context, contract_evaluation(checked.get(name, Verdict(name, 0, ())), event_hour))
    told = _row_count(worked.rows)
    if worked.verdicts:
        told |= {"by model": MetadataValue.md(_by_model(lake, event_hour))}
    add_hour_metadata(context, "model_segments", event_hour, told)
    if MODEL_HOURS in checked:
        add_hour_metadata(context, MODEL_HOURS, event_hour, _row_count(checked[MODEL_HOURS].rows))


def _by_model(lake: Lake, event_hour: str) -> str:
    """How many windows each model has judged, and how high they score."""
    names = ["model_id", "stage", "vehicle_group", "vehicles", "windows", "alarm_windows",
             "score_median", "score_p99", "score_most"]  # fmt: skip
    rows = lake.open(MODEL_HOURS).read(event_hour, names)
    if rows.is_empty():
        return "no model serves these vehicles in this hour"
    shown = [
        [
            f"{cell:.3g}" if isinstance(cell, float) else "–" if cell is None else cell
            for cell in row
        ]
        for row in rows.iter_rows()
    ]
    return markdown_table([name.replace("_", " ") for name in names], shown)


def _row_count(rows: int) -> dict[str, Any]:
    return {"dagster/partition_row_count": MetadataValue.int(rows)}
