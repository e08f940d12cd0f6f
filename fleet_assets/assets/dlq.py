"""The dead-letter topic: each reject is sent there once it is known."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    HourlyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from fleet_assets.assets.common import INGEST, OWNERS, lake_spec, listed
from fleet_assets.assets.platform import Platform
from fleet_assets.errors import FleetError
from fleet_assets.rejects.publish import Published, publish_rejects

KAFKA_DLQ = AssetKey(["kafka", "telemetry_dlq"])
PUBLISHED = AssetCheckSpec(
    "published",
    asset=KAFKA_DLQ,
    description="All rejects known so far are in the dead-letter topic; those that are not are"
    " tried again by the next refresh, and by `dlq_sensor` while there is none.",
)


def build_dlq() -> AssetsDefinition:
    """The asset of this stage. Kafka refusing it fails the check and holds up nothing."""

    @multi_asset(
        name="publish_rejects",
        specs=[
            AssetSpec(
                KAFKA_DLQ,
                deps=["telemetry_rejects"],
                description="Kafka topic telemetry-dlq (FLEET_DLQ_TOPIC): each reject with its"
                " bytes; headers say why and where it came from. Key: topic id/partition/offset of"
                " the message; one that is there twice was sent twice.",
                group_name=INGEST,
                owners=OWNERS,
                kinds={"kafka"},
                skippable=True,
            )
        ],
        check_specs=[PUBLISHED],
    )
    def publish(
        context: AssetExecutionContext, platform: Platform
    ) -> Iterator[MaterializeResult[None] | AssetCheckResult]:
        settings = platform.settings
        try:
            done = publish_rejects(
                platform.lake,
                platform.broker,
                platform.postgres_url,
                settings.topic,
                settings.dlq_topic,
            )
        except FleetError as error:
            context.log.warning(f"rejects are not published: {error}")
            done = Published({}, (str(error),))
        sent = sum(done.rejects.values())
        if sent:
            metadata = {
                "rejects": MetadataValue.int(sent),
                "hours": MetadataValue.text(", ".join(h for h, n in done.rejects.items() if n)),
                "hours left": MetadataValue.int(done.left),
            }
            yield MaterializeResult(asset_key=KAFKA_DLQ, metadata=metadata)
        yield AssetCheckResult(
            asset_key=KAFKA_DLQ,
            check_name=PUBLISHED.name,
            passed=not done.failures,
            metadata={"failures": listed(done.failures), "published": MetadataValue.int(sent)},
        )

    return publish


def dlq_published_spec(partitions_def: HourlyPartitionsDefinition) -> AssetSpec:
    """The note of what was published."""
    return lake_spec("dlq_published", INGEST, [KAFKA_DLQ], partitions_def=partitions_def)
