"""Recent telemetry in PostgreSQL, in a lane of its own: marts do not wait for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from fleet_assets.assets.common import OWNERS, WAREHOUSE, moment, warehouse_key
from fleet_assets.assets.platform import Platform
from fleet_assets.recent_flow import RecentRound, run_recent
from fleet_assets.settings import Settings
from fleet_assets.telemetry.recent import Limits

TIME_LIMIT = timedelta(minutes=2)
CHECK = "within_bytes"
TABLES = {
    "telemetry_full": "Every row of telemetry of the last FLEET_RECENT_FULL, in slices of five"
    " minutes. Readers see it as marts.telemetry_recent.",
    "telemetry_minutes": "The first row of each vehicle and minute of the last"
    " FLEET_RECENT_MINUTES, in slices of an hour. Readers see it as marts.telemetry_minutes.",
    "telemetry_recent_extent": "From when on recent telemetry is there, and whether"
    " FLEET_RECENT_BYTES has cut it.",
}


def recent_limits(settings: Settings) -> Limits:
    """How much is kept, by the settings."""
    return Limits(settings.recent_full, settings.recent_minutes, settings.recent_bytes)


def build_recent() -> AssetsDefinition:
    """The assets of this lane."""

    @multi_asset(
        name="load_recent_telemetry",
        specs=[
            AssetSpec(
                key=warehouse_key(table),
                deps=["telemetry"],
                description=description,
                group_name=WAREHOUSE,
                owners=OWNERS,
                kinds={"postgres"},
                metadata={"dagster/table_name": f"fleet.warehouse.{table}"},
            )
            for table, description in TABLES.items()
        ],
        check_specs=[
            AssetCheckSpec(
                CHECK,
                asset=warehouse_key("telemetry_recent_extent"),
                description="FLEET_RECENT_BYTES leaves room for all that the ages ask for.",
            )
        ],
    )
    def load(
        context: AssetExecutionContext, platform: Platform
    ) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        settings = platform.settings
        done = run_recent(
            platform.lake, platform.postgres_url, recent_limits(settings), datetime.now(UTC),
            context.run_id, time_limit=TIME_LIMIT, say=context.log.info,
        )  # fmt: skip
        for table in TABLES:
            yield MaterializeResult(asset_key=warehouse_key(table), metadata=_told(done))
        yield AssetCheckResult(
            passed=not done.is_cut,
            check_name=CHECK,
            asset_key=warehouse_key("telemetry_recent_extent"),
            severity=AssetCheckSeverity.WARN,
            metadata=_told(done) | {"FLEET_RECENT_BYTES": settings.recent_bytes},
        )

    return load


def _told(done: RecentRound) -> dict[str, Any]:
    full_from, minutes_from = (
        (done.extent.full_from, done.extent.minutes_from) if done.extent else (None, None)
    )
    return {
        "every row from": MetadataValue.text(moment(full_from)),
        "wanted from": MetadataValue.text(moment(done.wanted.full_from)),
        "minutes from": MetadataValue.text(moment(minutes_from)),
        "minutes wanted from": MetadataValue.text(moment(done.wanted.minutes_from)),
        "bytes": MetadataValue.int(done.size),
        "rows that came": MetadataValue.int(done.came),
        "rows that went": MetadataValue.int(done.gone),
        "hours loaded": MetadataValue.int(done.hours),
        "hours left to the next run": MetadataValue.int(done.left),
        "slices dropped": MetadataValue.int(done.dropped),
        "slices that a query holds": MetadataValue.int(done.waiting),
    }
