"""The asset that keeps the lake small and quick: compaction, logs, dead files.

One run works on many hours and makes one event, however many they were. Dagster's own storage is
kept by the job `upkeep`.
"""

from datetime import UTC, datetime, timedelta

from dagster import (
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
from fleet_assets.lake.upkeep import UpkeepPolicy, UpkeepReport, keep_up

TIME_LIMIT = timedelta(minutes=8)
CLEANED_BEFORE_MINUTE = 10
"""The first round of each hour looks after logs and dead files."""
_LISTED = 100


@asset(
    name="lake_upkeep",
    group_name=LAKE,
    owners=OWNERS,
    kinds={"deltalake"},
    deps=["raw_telemetry", "telemetry", "telemetry_rejects", "vehicle_hours"],
    description="Few, sorted, small files: compacts hours whose files have become many, makes"
    " checkpoints and removes dead files"
    " (FLEET_VACUUM_RETENTION). The rows are the same before and after.",
)
def lake_upkeep(context: AssetExecutionContext, platform: Platform) -> MaterializeResult[None]:
    """One round; what it has no time for is left to the next."""
    settings = platform.settings
    policy = UpkeepPolicy(settings.late_after, settings.vacuum_retention)
    now = datetime.now(UTC)
    done = keep_up(
        platform.lake, policy, now,
        time_limit=TIME_LIMIT, clean=now.minute < CLEANED_BEFORE_MINUTE, say=context.log.info,
    )  # fmt: skip
    if done.failed:
        raise Failure("; ".join(done.failed), metadata=_metadata(done))
    return MaterializeResult(metadata=_metadata(done))


lake_upkeep_job = define_asset_job(
    "lake_upkeep_job",
    selection=AssetSelection.assets(lake_upkeep),
    executor_def=in_process_executor,
    description="Keeps the lake small and quick.",
)

lake_upkeep_schedule = ScheduleDefinition(
    name="lake_upkeep_schedule",
    job=lake_upkeep_job,
    cron_schedule="*/10 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
)


def _metadata(done: UpkeepReport) -> dict[str, MetadataValue]:
    compacted = [c for c in done.compacted if not c.gave_way]
    rows = [
        [c.table, c.event_hour or "–", c.rows, c.files_before, c.files_after, c.bytes_before,
         c.bytes_after]
        for c in compacted[:_LISTED]
    ]  # fmt: skip
    header = ["table", "hour", "rows", "files before", "after", "bytes before", "after"]
    return {
        "compacted": MetadataValue.md(markdown_table(header, rows) if rows else "none"),
        "files before": MetadataValue.int(sum(c.files_before for c in compacted)),
        "files after": MetadataValue.int(sum(c.files_after for c in compacted)),
        "gave way": MetadataValue.int(len(done.compacted) - len(compacted)),
        "left to the next round": MetadataValue.int(done.left_over),
        "dead files removed": MetadataValue.int(sum(done.vacuumed.values())),
        "failed": listed(done.failed),
    }
