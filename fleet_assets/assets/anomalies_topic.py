"""The topic `anomalies`: each change of an anomaly is sent there once the warehouse has it."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from fleet_assets.assets.common import OWNERS, RULES, listed, warehouse_key
from fleet_assets.assets.platform import Platform
from fleet_assets.errors import FleetError
from fleet_assets.kafka.anomalies import PublishedChanges, publish_changes

KAFKA_ANOMALIES = AssetKey(["kafka", "anomalies"])
PUBLISHED = AssetCheckSpec(
    "published",
    asset=KAFKA_ANOMALIES,
    description="All changes of anomalies known so far are in the topic; what is not is sent by"
    " the next run.",
)


def build_anomalies_topic() -> AssetsDefinition:
    """The asset of this stage. Kafka refusing it fails the check and holds up nothing."""

    @multi_asset(
        name="publish_anomalies",
        specs=[
            AssetSpec(
                KAFKA_ANOMALIES,
                deps=[warehouse_key("anomalies")],
                description="Kafka topic anomalies (FLEET_ANOMALIES_TOPIC): JSON, one message for"
                " each time that an anomaly was opened, updated, closed or revised. Key:"
                " anomaly_id; one that is there twice with the same revision was sent twice.",
                group_name=RULES,
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
        topic = platform.settings.anomalies_topic
        try:
            done = publish_changes(platform.broker, platform.postgres_url, topic)
        except FleetError as error:
            context.log.warning(f"changes of anomalies are not published: {error}")
            done = PublishedChanges(0, str(error))
        if done.changes:
            metadata = {"changes": MetadataValue.int(done.changes)}
            yield MaterializeResult(asset_key=KAFKA_ANOMALIES, metadata=metadata)
        yield AssetCheckResult(
            asset_key=KAFKA_ANOMALIES,
            check_name=PUBLISHED.name,
            passed=done.failure is None,
            metadata={"failures": listed([done.failure] if done.failure else [])},
        )

    return publish
