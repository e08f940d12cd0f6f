"""Checks that look across tables: conservation of messages and freshness of the marts."""

from collections.abc import Iterator, Mapping

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetKey,
    HourlyPartitionsDefinition,
    MetadataValue,
    asset_check,
    multi_asset_check,
)

from fleet_assets.assets.common import listed, markdown_table, moment
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import (
    CONTRACT_CHECK,
    CONTRACT_TEXT,
    contract_evaluation,
    hours_of_run,
    log_check,
)
from fleet_assets.flow import Freshness, freshness
from fleet_assets.kafka.plan import topic_problems
from fleet_assets.lake.conservation import Account, account, offset_differences
from fleet_assets.lake.store import Lake
from fleet_assets.telemetry.validation import validate
from fleet_assets.warehouse.gaps import known_gaps

CONSERVATION = AssetCheckSpec(
    "conservation",
    asset="telemetry_outcomes",
    description="Every message is accounted for: the outcomes of each hour of the run are compared"
    " with rows counted in raw_telemetry, telemetry and telemetry_rejects.",
)
FRESHNESS_ASSET = AssetKey("fct_vehicle_hours")


def build_conservation(partitions_def: HourlyPartitionsDefinition) -> AssetChecksDefinition:
    """The check by event hour."""
    spec = CONSERVATION._replace(partitions_def=partitions_def)

    @multi_asset_check(name="conservation", specs=[spec], can_subset=True)
    def conservation(
        context: AssetCheckExecutionContext, platform: Platform
    ) -> Iterator[AssetCheckResult]:
        hours = hours_of_run(context.op_execution_context)
        for hour, (passed, metadata) in _verdicts(platform.lake, hours).items():
            log_check(
                context.op_execution_context,
                AssetCheckEvaluation(
                    asset_key=spec.asset_key,
                    check_name=spec.name,
                    passed=passed,
                    metadata=metadata,
                    partition=hour,
                ),
            )
        yield from ()

    return conservation


def build_raw_contract(partitions_def: HourlyPartitionsDefinition) -> AssetChecksDefinition:
    """The contract of `raw_telemetry`: landing evaluates it; by hand it reads an hour again."""
    spec = AssetCheckSpec(
        CONTRACT_CHECK,
        asset="raw_telemetry",
        description=CONTRACT_TEXT,
        partitions_def=partitions_def,
    )

    @multi_asset_check(name="raw_contract", specs=[spec], can_subset=True)
    def raw_contract(
        context: AssetCheckExecutionContext, platform: Platform
    ) -> Iterator[AssetCheckResult]:
        raw = platform.lake.open("raw_telemetry")
        for hour in hours_of_run(context.op_execution_context):
            verdict = validate("raw_telemetry", raw.read(hour), hour)
            log_check(context.op_execution_context, contract_evaluation(verdict, hour))
        yield from ()

    return raw_contract


@asset_check(asset="landings", name=CONTRACT_CHECK, description=CONTRACT_TEXT)
def landings_contract(platform: Platform) -> AssetCheckResult:
    """Evaluated by each landing for what it adds, and here for the whole table."""
    verdict = validate("landings", platform.lake.open("landings").read(), None)
    return AssetCheckResult(
        passed=verdict.passed,
        metadata={"rows checked": verdict.rows, "failures": listed(verdict.failures)},
    )


@asset_check(
    asset="landings",
    name="offsets",
    description="Landed ranges join without a gap or an overlap, nothing was lost unread that is"
    " not acknowledged (`fleet gaps`), raw_telemetry holds what they hold, and no dead transaction"
    " or shortened log holds up the topic.",
)
def offsets_check(platform: Platform) -> AssetCheckResult:
    """Law 1 over the whole of Kafka's offsets."""
    known = known_gaps(platform.lake, platform.postgres_url)
    problems, topic = topic_problems(platform.lake, platform.broker, platform.settings.topic)
    differences = offset_differences(platform.lake, known) + problems
    return AssetCheckResult(
        passed=not differences,
        metadata={
            "differences": listed(differences),
            "topic": MetadataValue.text(topic),
            "known gaps": listed([str(gap) for gap in known if not gap.is_open]),
        },
    )


@asset_check(
    asset=FRESHNESS_ASSET,
    name="freshness",
    description="The newest landed messages against the newest in the marts. No data is not"
    " staleness: only messages that have landed and are not shown count.",
)
def freshness_check(platform: Platform) -> AssetCheckResult:
    """Evaluated by its sensor every minute, or by hand."""
    found = freshness(platform.lake, platform.postgres_url, platform.settings)
    return AssetCheckResult(passed=found.passed, metadata=freshness_metadata(found))


def freshness_metadata(found: Freshness) -> Mapping[str, MetadataValue]:
    """How fresh the marts are, for people."""
    return {
        "newest landed": MetadataValue.text(moment(found.newest_landed)),
        "newest in the marts": MetadataValue.text(moment(found.newest_shown)),
        "oldest waiting": MetadataValue.text(moment(found.waiting_since)),
        "waiting seconds": MetadataValue.float(found.waiting_seconds),
        "limit seconds": MetadataValue.float(found.limit.total_seconds()),
        "overdue hours": MetadataValue.text(", ".join(found.overdue) or "none"),
    }


def _verdicts(
    lake: Lake, event_hours: list[str]
) -> dict[str, tuple[bool, Mapping[str, MetadataValue]]]:
    """An hour that cannot be counted fails alone; the others of the run are still judged."""
    try:
        counted = account(lake, event_hours)
    except Exception as error:
        if len(event_hours) == 1:
            why = listed([f"cannot be counted: {error}"[:1000]])
            return {event_hours[0]: (False, {"differences": why})}
        singly = [_verdicts(lake, [hour]) for hour in event_hours]
        return {hour: verdict for one in singly for hour, verdict in one.items()}
    return {c.event_hour: (not c.differences, _account_metadata(c)) for c in counted}


def _account_metadata(counted: Account) -> Mapping[str, MetadataValue]:
    rows = [
        ["messages", counted.read, counted.raw_rows - counted.pending],
        ["pending", "–", counted.pending],
        ["accepted / telemetry", counted.accepted, counted.telemetry_rows],
        ["duplicate", counted.duplicate, "–"],
        ["rejected / rejects", counted.rejected, counted.reject_rows],
    ]
    return {
        "account": MetadataValue.md(markdown_table(["what", "outcomes", "counted"], rows)),
        "differences": listed(counted.differences),
        "messages accounted for": MetadataValue.int(counted.read),
    }
