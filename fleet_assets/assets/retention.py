"""The asset that lets what is old go to the archive, hour by hour, and looks after the archive.

One run works on many hours and makes one event, however many they were.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetSelection,
    DefaultScheduleStatus,
    Failure,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    asset,
    define_asset_job,
    in_process_executor,
)

from fleet_assets.assets.common import LAKE, OWNERS, listed, markdown_table
from fleet_assets.assets.platform import Platform
from fleet_assets.lake.archive import Archive
from fleet_assets.retention_flow import (
    RetentionReport,
    archive_damages,
    retention_of,
    run_retention,
)

TIME_LIMIT = timedelta(minutes=20)
CHECK = "archive"
_BY = "schedule"
_LISTED = 100


@asset(
    name="retention",
    group_name=LAKE,
    owners=OWNERS,
    kinds={"parquet"},
    deps=["raw_telemetry", "telemetry", "vehicle_hours", "anomalies", "trips"],
    check_specs=[
        AssetCheckSpec(
            CHECK,
            asset="retention",
            description="Archived files are read and hashed again, each once in 30 days: they hold"
            " what was removed from the lake.",
        )
    ],
    description="What is older than its class keeps it (fleet_assets/retention/classes.yaml) is"
    " copied to FLEET_ARCHIVE_URL, read back and compared, and only then removed from lake and"
    " warehouse. Rows of vehicles under a legal hold stay. `fleet restore` brings a span back.",
)
def retention(
    context: AssetExecutionContext, platform: Platform
) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
    """One round; what it has no time for is left to the next."""
    settings, now = platform.settings, datetime.now(UTC)
    archive = Archive(settings.archive_root)
    done = run_retention(
        platform.lake, platform.postgres_url, archive, retention_of(settings), now, _BY,
        time_limit=TIME_LIMIT, say=context.log.info,
    )  # fmt: skip
    if done.failed:
        raise Failure("; ".join(done.failed), metadata=_metadata(done))
    yield MaterializeResult(metadata=_metadata(done))
    looked_at, damages = archive_damages(platform.lake, archive, now)
    yield AssetCheckResult(
        passed=not damages,
        check_name=CHECK,
        metadata={"batches read": MetadataValue.int(looked_at), "damages": listed(damages)},
    )


retention_job = define_asset_job(
    "retention_job",
    selection=AssetSelection.assets(retention) | AssetSelection.checks_for_assets(retention),
    executor_def=in_process_executor,
    description="Lets what is old go to the archive.",
)

retention_schedule = ScheduleDefinition(
    name="retention_schedule",
    job=retention_job,
    cron_schedule="23 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
)


def _metadata(done: RetentionReport) -> dict[str, MetadataValue]:
    by_table = done.by_table()
    header = ["table", "hours", "rows", "files", "bytes"]
    rows = [[table, *counts] for table, counts in by_table.items()]
    loaded = [f"{it.table}: {it.rows:,} rows" for it in done.rows]
    kept = [f"{table}: {n:,} hours: {why}" for (table, why), n in done.kept_by_reason().items()]
    return {
        "archived and removed": MetadataValue.md(markdown_table(header, rows) if rows else "none"),
        "rows": MetadataValue.int(sum(counts[1] for counts in by_table.values())),
        "bytes": MetadataValue.int(sum(counts[3] for counts in by_table.values())),
        "removed from the warehouse": listed(loaded),
        "old hours that stay": listed(kept[:_LISTED]),
        "left to the next round": MetadataValue.int(done.left_over),
        "failed": listed(done.failed),
    }
