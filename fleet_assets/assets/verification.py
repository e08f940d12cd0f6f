"""Nightly proof that what is stored is what a rebuild gives. Nothing is written but the verdict."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetSelection,
    Config,
    DefaultScheduleStatus,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    asset,
    define_asset_job,
    in_process_executor,
)
from pydantic import Field

from fleet_assets.assets.common import OWNERS, QUALITY, listed, markdown_table
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import LONG_TAG
from fleet_assets.backfill.held import held
from fleet_assets.backfill.plan import hours_wanted
from fleet_assets.settings import Settings
from fleet_assets.verification.sample import sampled_hours
from fleet_assets.verification.verify import Verified, repair_command, verify
from partitions.hours import hour_key

VERIFICATION = "verification"
AGREES = AssetCheckSpec(
    "rebuild_agrees",
    asset=VERIFICATION,
    description="What lake, warehouse and marts hold of the verified hours is what a rebuild gives."
    " Nothing is repaired: `fleet backfill` does that, as the metadata says.",
)
_LISTED = 50


class VerificationConfig(Config):
    """Which hours are verified."""

    all_history: bool = Field(
        default=False,
        description="Draw hours from all of history in place of the last FLEET_VERIFY_DAYS days.",
    )


@asset(
    name=VERIFICATION,
    group_name=QUALITY,
    owners=OWNERS,
    kinds={"deltalake", "postgres"},
    deps=["telemetry", "vehicle_hours", "anomalies", "model_anomalies", "fct_vehicle_days"],
    check_specs=[AGREES],
    description="Closed hours made anew without writing them, and compared: telemetry from raw"
    " messages, and every other table from its stored inputs, to the marts. If the hours hold more"
    " than FLEET_VERIFY_MESSAGES messages, some are drawn by lot, with the date as seed.",
)
def verification(
    context: AssetExecutionContext, config: VerificationConfig, platform: Platform
) -> Iterator[MaterializeResult[None]]:
    """Nightly over the last days, weekly over all of history."""
    settings, now = platform.settings, datetime.now(UTC)
    candidates = _candidates(platform, settings, now, all_history=config.all_history)
    hours = sampled_hours(candidates, settings.verify_messages, f"{now:%Y-%m-%d}")
    state = (settings.home / "dbt-verify").absolute()
    found = verify(
        platform.lake, platform.postgres_url, hours, settings.late_after, state, context.log.info
    )
    metadata = _metadata(found, len(candidates))
    passed = not found.differences
    check = AssetCheckResult(check_name=AGREES.name, passed=passed, metadata=metadata)
    yield MaterializeResult(metadata=metadata, check_results=[check])


verification_job = define_asset_job(
    "verification_job",
    selection=AssetSelection.assets(verification) | AssetSelection.checks_for_assets(verification),
    executor_def=in_process_executor,
    tags={LONG_TAG: VERIFICATION, "dagster/priority": "-1"},
    description="Compares stored hours with a rebuild; nothing is repaired.",
)
verification_schedules = [
    ScheduleDefinition(
        name="nightly_verification",
        job=verification_job,
        cron_schedule="20 3 * * *",
        default_status=DefaultScheduleStatus.RUNNING,
    ),
    ScheduleDefinition(
        name="weekly_verification",
        job=verification_job,
        cron_schedule="20 4 * * 0",
        run_config={"ops": {VERIFICATION: {"config": {"all_history": True}}}},
        default_status=DefaultScheduleStatus.RUNNING,
    ),
]


def _candidates(
    platform: Platform, settings: Settings, now: datetime, *, all_history: bool
) -> dict[str, int]:
    """Closed hours that may be verified, with their messages."""
    yesterday = now - timedelta(days=1)
    first = yesterday - timedelta(days=settings.verify_days - 1)
    if all_history:
        first = settings.partitions_start
    days = f"{first:%Y-%m-%d}", f"{max(first, yesterday):%Y-%m-%d}"
    has = held(platform.lake, hours_wanted(*days), now, settings.late_after)
    return {hour: rows for hour, rows in has.telemetry.items() if hour < hour_key(now)}


def _metadata(found: Verified, candidates: int) -> dict[str, MetadataValue]:
    rows = [
        [d.table, d.key, d.missing, d.extra, d.changed, "; ".join(d.sample)]
        for d in found.differences[:_LISTED]
    ]
    header = ["table", "hour or day", "missing", "extra", "changed", "sample"]
    metadata = {
        "differences": MetadataValue.int(len(found.differences)),
        "what differs": MetadataValue.md(markdown_table(header, rows) if rows else "nothing"),
        "hours verified": MetadataValue.text(", ".join(found.hours) or "none"),
        "hours to draw from": MetadataValue.int(candidates),
        "tables compared, by hour or day": MetadataValue.int(found.found.compared),
        "raw messages gone or not all taken in": listed(found.not_rebuilt),
        "not in line with their inputs yet": listed(
            [f"{table} {key}" for table, key in found.found.waiting[:_LISTED]]
        ),
    }
    if found.differences:
        metadata["to make it right"] = MetadataValue.text(repair_command(found.differences))
    return metadata
