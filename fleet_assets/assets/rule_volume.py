"""How much each rule finds, as people look at it in the UI: a plot by day, a table by rule."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    EventLogEntry,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from fleet_assets.assets.common import OWNERS, RULES, markdown_table, warehouse_key
from fleet_assets.assets.platform import Platform
from fleet_assets.rules.volume_plot import volume_plot
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.rule_volume import DAYS, rule_volume

VOLUME = AssetKey("rule_volume")
INTERVAL = timedelta(minutes=5)
"""It is drawn at most this often, unless the rules have changed since."""
_RULES = "rules"
"""Metadata that says by which rules it was drawn."""


def build_rule_volume() -> AssetsDefinition:
    """The asset of this stage."""

    @multi_asset(
        name="draw_rule_volume",
        specs=[
            AssetSpec(
                VOLUME,
                deps=[warehouse_key("rule_anomalies"), warehouse_key("rule_catalogue")],
                description="How much the rules find: a plot by day, and a table by rule, in the"
                " metadata of the newest materialization. Rules on trial (shadow) are counted too.",
                group_name=RULES,
                owners=OWNERS,
                kinds={"postgres"},
                skippable=True,
            )
        ],
    )
    def draw(
        context: AssetExecutionContext, platform: Platform
    ) -> Iterator[MaterializeResult[None]]:
        rules = rule_book(platform.postgres_url).whole_fingerprint
        if not _due(context.instance.get_latest_materialization_event(VOLUME), rules):
            return
        volume = rule_volume(platform.postgres_url)
        if volume.is_empty():
            return
        newest = str(volume["day"].dt.to_string().max())
        by_rule = (
            volume.group_by("rule_id", "anomaly_type", "stage")
            .agg(
                pl.col("episodes")
                .filter(pl.col("day").dt.to_string() == newest)
                .sum()
                .alias("newest"),
                pl.col("episodes").sum().alias("all"),
            )
            .sort("rule_id")
        )
        table = markdown_table(
            ["rule", "type", "stage", f"on {newest}", f"in {DAYS} days"],
            [list(row) for row in by_rule.iter_rows()],
        )
        yield MaterializeResult(
            asset_key=VOLUME,
            metadata={
                "plot by day": MetadataValue.md(f"![episodes by day]({volume_plot(volume, DAYS)})"),
                "by rule": MetadataValue.md(table),
                "episodes on the newest day": MetadataValue.int(int(by_rule["newest"].sum())),
                "newest day": MetadataValue.text(newest),
                _RULES: MetadataValue.text(rules),
            },
        )

    return draw


def _due(last: EventLogEntry | None, rules: str) -> bool:
    """Who changes a rule looks here for what it did: there it does not wait."""
    if last is None or last.asset_materialization is None:
        return True
    drawn_by = last.asset_materialization.metadata.get(_RULES)
    if drawn_by is None or drawn_by.value != rules:
        return True
    return datetime.now(UTC).timestamp() - last.timestamp >= INTERVAL.total_seconds()
