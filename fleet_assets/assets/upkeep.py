"""The job that keeps Dagster's own storage bounded, and PostgreSQL's plans good."""

import os
from pathlib import Path

from dagster import (
    DefaultScheduleStatus,
    OpExecutionContext,
    ScheduleDefinition,
    in_process_executor,
    job,
    op,
)

from fleet_assets.assets.platform import Platform
from fleet_assets.warehouse.event_upkeep import prune_compute_logs, prune_events
from fleet_assets.warehouse.statistics import gather_statistics


@op(description="Removes old log lines and superseded events; partitions keep their status.")
def prune(context: OpExecutionContext, platform: Platform) -> None:
    """Works on the storage that `fleet up` has named; without one there is nothing to do."""
    url, home = os.environ.get("DAGSTER_POSTGRES_URL"), os.environ.get("DAGSTER_HOME")
    retention = platform.settings.run_log_retention
    if url:
        for what, rows in prune_events(url, retention).items():
            context.log.info(f"{what}: {rows:,} removed")
    if home:
        folders = prune_compute_logs(Path(home) / "storage", retention)
        context.log.info(f"captured output of {folders:,} runs removed")


@op(description="Analyses partitioned tables as a whole once they have grown by a tenth.")
def analyze(context: OpExecutionContext, platform: Platform) -> None:
    """PostgreSQL does that for their partitions only."""
    for table, rows in gather_statistics(platform.postgres_url).items():
        context.log.info(f"{table}: {rows:,} rows analysed")


@job(
    name="upkeep",
    executor_def=in_process_executor,
    description="Keeps Dagster's event log and captured output bounded (FLEET_RUN_LOG_RETENTION),"
    " and statistics of the warehouse's partitioned tables up to date.",
)
def upkeep_job() -> None:
    """Hourly."""
    prune()
    analyze()


upkeep_schedule = ScheduleDefinition(
    job=upkeep_job, cron_schedule="37 * * * *", default_status=DefaultScheduleStatus.RUNNING
)
