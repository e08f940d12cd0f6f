"""Trips and what the rules find: segments hour by hour, what they amount to, and its load."""

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

from fleet_assets.assets.common import (
    RULES,
    by_hand_spec,
    lake_spec,
    loaded_spec,
    warehouse_key,
)
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
from fleet_assets.rule_flow import HourWorked, Settled, changed_by_rules, settle, work_hour
from fleet_assets.telemetry.validation import Verdict
from fleet_assets.warehouse.input_pins import sync_pins
from fleet_assets.warehouse.lake_ledger import sync_lake_ledger
from fleet_assets.warehouse.load_stale import COPIED
from fleet_assets.warehouse.rule_book import rule_book

BY_HOUR = ("segments", "vehicle_codes", "rule_eligibility", "trip_segments")
_LAKE: Mapping[str, list[AssetKey | str]] = {  # in the order in which they depend
    "segments": ["telemetry", "vehicle_hour_states", warehouse_key("vehicles")],
    "vehicle_codes": ["telemetry"],
    "rule_eligibility": ["telemetry", warehouse_key("vehicles")],
    "trip_segments": ["telemetry"],
    "trips": ["trip_segments"],
    "rule_anomalies": ["segments", "vehicle_codes", "trips", "vehicle_hours"],
    "anomalies": ["rule_anomalies", "model_anomalies"],
}
_WAREHOUSE = ("anomalies", *COPIED)
_SPECS = (*map(AssetKey, _LAKE), *map(warehouse_key, _WAREHOUSE))

BY_HAND = [
    by_hand_spec(table, RULES, text)
    for table, text in (
        ("anomaly_feedback", "What people say of anomalies: `fleet anomalies mark`."),
        ("anomaly_changes", "What became of anomalies; written with each load, and by the topic."),
        ("rule_catalogue", "The rules in force now, for the marts; written with each load."),
    )
]
"""Tables that no step makes anew."""


class JudgeConfig(Config):
    """How to work on the hours of the run."""

    anew: bool = Field(
        default=True,
        description="Judge each hour anew (the same rows result). The sensor turns it off: then"
        " only hours are judged whose telemetry or rules have changed.",
    )
    repin: bool = Field(
        default=False,
        description="Find each vehicle's usual interval anew, from the days before, instead of"
        " keeping the one that the hour was judged by first.",
    )


def build_rules(partitions_def: HourlyPartitionsDefinition) -> AssetsDefinition:
    """The assets of this stage."""

    @multi_asset(
        name="judge_by_rules",
        specs=[
            lake_spec(name, RULES, upstream, partitions_def=partitions_def, skippable=True)
            for name, upstream in _LAKE.items()
        ]
        + [loaded_spec(table, RULES, [table], partitions_def) for table in _WAREHOUSE],
        check_specs=contract_checks(_LAKE, partitions_def),
        backfill_policy=BackfillPolicy.single_run(),
        partitions_def=partitions_def,
        can_subset=True,
    )
    def judge(
        context: AssetExecutionContext, config: JudgeConfig, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        lake, url = platform.lake, platform.postgres_url
        book = rule_book(url)

        def on_failure(event_hour: str, error: Exception) -> None:
            for verdict in verdicts_of(error, "segments"):
                log_check(context, contract_evaluation(verdict, event_hour))
            for name in BY_HOUR:
                tell_failure(context, name, event_hour, error)

        done = work_hours(
            context,
            url,
            "rules",
            work=lambda hour: work_hour(lake, hour, book, anew=config.anew, repin=config.repin),
            version_of=lambda worked: worked.segments.processed_version,
            rows_of=lambda worked: worked.segments.rows,
            upstream="telemetry",
            on_failure=on_failure,
        )
        for event_hour, worked in done.items():
            _tell_hour(context, event_hour, worked)
        every = platform.settings.late_interval
        settled = settle(lake, url, book, context.run_id, changed_by_rules(done.values()), every)
        sync_lake_ledger(lake, url, done.keys() | _hours_of(settled))
        sync_pins(lake, url, done.keys())
        for name, found in settled.written.items():
            for event_hour, rows in found.rows.items():
                log_check(context, contract_evaluation(found.verdicts[event_hour], event_hour))
                add_hour_metadata(context, name, event_hour, _row_count(rows))
        for table, loaded in {"anomalies": settled.loaded.rows, **settled.copied}.items():
            for event_hour, rows in loaded.items():
                key = warehouse_key(table).to_user_string()
                add_hour_metadata(context, key, event_hour, _row_count(rows))
        changes = {
            f"anomalies {kind}": MetadataValue.int(number)
            for kind, number in settled.loaded.kinds.items()
        } | {"anomalies followed by others": MetadataValue.int(settled.loaded.lineage)}
        context.add_output_metadata(changes, output_name="warehouse_anomalies")
        for asset_key in _SPECS:  # Dagster wants them in the order in which they depend
            if asset_key in context.selected_asset_keys:
                yield MaterializeResult(asset_key=asset_key)

    return judge


def _hours_of(settled: Settled) -> set[str]:
    """All hours whose rows are others now, in lake or warehouse."""
    loaded = (settled.loaded.rows, *settled.copied.values())
    return set().union(*(found.rows for found in settled.written.values()), *loaded)


def _tell_hour(context: AssetExecutionContext, event_hour: str, worked: HourWorked) -> None:
    checked = {verdict.table: verdict for verdict in worked.verdicts}
    for name in BY_HOUR:
        log_check(context, contract_evaluation(checked.get(name, Verdict(name, 0, ())), event_hour))
    by_rules = {
        "judged anew because the rules changed": MetadataValue.bool(worked.segments.by_rules)
    }
    add_hour_metadata(context, "segments", event_hour, _row_count(worked.segments.rows) | by_rules)
    add_hour_metadata(context, "trip_segments", event_hour, _row_count(worked.trips.rows))
    for name in ("rule_eligibility", "vehicle_codes"):
        if name in checked:
            add_hour_metadata(context, name, event_hour, _row_count(checked[name].rows))


def _row_count(rows: int) -> dict[str, Any]:
    return {"dagster/partition_row_count": MetadataValue.int(rows)}
