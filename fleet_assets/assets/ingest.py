"""From Kafka to `raw_telemetry`: the landing job and the external assets around it.

Landing is a job and not an asset's materialisation, because which hours a range of offsets
touches is known only when it has been read: each touched hour is then logged as materialised.
"""

from collections import Counter

from dagster import (
    AssetMaterialization,
    AssetSpec,
    Config,
    Failure,
    HourlyPartitionsDefinition,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    in_process_executor,
    job,
    op,
)

from fleet_assets.assets.common import (
    INGEST,
    KAFKA_TOPIC,
    LAKE,
    OWNERS,
    by_hand_spec,
    lake_spec,
    markdown_table,
)
from fleet_assets.assets.ledger import partition_metadata
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.stages import contract_evaluation, log_check
from fleet_assets.errors import FleetError
from fleet_assets.fault_points import fault_point
from fleet_assets.kafka.read import Chunk, read_ranges
from fleet_assets.lake.landing import AlreadyLandedError, land
from fleet_assets.telemetry.placement import place
from fleet_assets.telemetry.source import Source
from fleet_assets.telemetry.validation import Verdict

LANDING_JOB = "landing"


class OffsetRange(Config):
    """A half-open range of offsets of one Kafka partition."""

    partition: int
    start: int
    end: int


class LandingConfig(Config):
    """Exactly what to read."""

    topic: str
    cluster_id: str
    topic_id: str
    ranges: list[OffsetRange]


@op(description="Reads the given ranges and commits rows and offsets in one Delta transaction.")
def land_ranges(context: OpExecutionContext, config: LandingConfig, platform: Platform) -> None:
    """Lands chunk by chunk; each chunk is committed before the next is read."""
    source = Source(config.cluster_id, config.topic_id)
    ranges = {r.partition: (r.start, r.end) for r in config.ranges}
    per_hour: Counter[str] = Counter()
    verdicts: dict[str, Verdict] = {}
    version = -1
    failure: FleetError | None = None
    try:
        for chunk in read_ranges(platform.broker, config.topic, config.topic_id, ranges):
            placed = place(chunk.messages, platform.time_policy)
            landed = land(platform.lake, source, chunk.ranges, placed, chunk.lost)
            fault_point("landing.not_reported")
            per_hour.update(landed.messages)
            version = landed.version
            context.log_event(_landing_event(chunk, version))
            for verdict in landed.verdicts:
                verdicts[verdict.table] = verdict
            context.log.info(f"version {version}: {chunk.messages.height:,} messages")
    except AlreadyLandedError as error:
        context.log.warning(str(error))
    except FleetError as error:  # what has landed before is reported all the same
        failure = error
    if verdicts:
        log_check(context, contract_evaluation(verdicts["landings"], None))
    held = partition_metadata(platform.lake, list(per_hour))
    for event_hour, messages in sorted(per_hour.items()):
        landed_here = Verdict("raw_telemetry", messages, verdicts["raw_telemetry"].failures)
        log_check(context, contract_evaluation(landed_here, event_hour))
        context.log_event(
            AssetMaterialization(
                "raw_telemetry",
                partition=event_hour,
                metadata={
                    **held.get((event_hour, "raw_telemetry"), {}),
                    "messages": MetadataValue.int(messages),
                    "raw version": MetadataValue.int(version),
                },
            )
        )
    if failure is not None:
        raise Failure(str(failure)) from failure


def _landing_event(chunk: Chunk, version: int) -> AssetMaterialization:
    rows = [[p, start, end, chunk.lost.get(p, 0)] for p, (start, end) in chunk.ranges.items()]
    table = markdown_table(["partition", "from offset", "to offset (excluded)", "lost"], rows)
    return AssetMaterialization(
        "landings",
        metadata={
            "messages": MetadataValue.int(chunk.messages.height),
            "raw version": MetadataValue.int(version),
            "ranges": MetadataValue.md(table),
        },
    )


@job(
    name=LANDING_JOB,
    executor_def=in_process_executor,
    description="Reads ranges of offsets from Kafka into raw_telemetry. Requested by its sensor.",
)
def landing_job() -> None:
    """The landing."""
    land_ranges()


def ingest_assets(partitions_def: HourlyPartitionsDefinition) -> list[AssetSpec]:
    """Assets that Dagster shows but does not materialise."""
    topic = AssetSpec(
        key=KAFKA_TOPIC,
        description="Kafka topic vehicle-telemetry (FLEET_TOPIC): messages of the vehicles, key"
        " vehicle_id, times by LogAppendTime. `fleet status` tells its lag.",
        group_name=INGEST,
        owners=OWNERS,
        kinds={"kafka"},
    )
    raw = lake_spec("raw_telemetry", INGEST, [KAFKA_TOPIC], partitions_def=partitions_def)
    landings = lake_spec("landings", INGEST, [KAFKA_TOPIC], partitions_def=None)
    register = [
        by_hand_spec(table, INGEST, text)
        for table, text in (
            ("vehicles", "The vehicle register, kept by `fleet vehicles import`."),
            ("vehicles_history", "Each version of each vehicle of the register, with its times."),
        )
    ]
    return [topic, raw, landings, *register]


__all__ = ["LAKE", "LANDING_JOB", "JobDefinition", "ingest_assets", "landing_job"]
