"""dbt's models and tests as assets and checks of the same graph."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, Config
from pydantic import Field

from fleet_assets.assets.common import (
    LANE_TAG,
    OWNERS,
    QUALITY,
    WAREHOUSE,
    by_hand_spec,
    warehouse_key,
)
from fleet_assets.assets.ledger import LEDGER
from fleet_assets.assets.light_dbt import ChildDbt, DagsterDbtTranslator, dbt_assets
from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import younger_history_run
from fleet_assets.fault_points import fault_point
from fleet_assets.warehouse.dbt_env import (
    dbt_environment,
    marked_environment,
    touched_environment,
)
from fleet_assets.warehouse.dbt_project import PROJECT_DIR, dbt_executable
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger, record_failure
from fleet_assets.warehouse.mart_marks import hours_with_marks, remove_marks, take_marks
from fleet_assets.warehouse.mart_revisions import begin_build, finish_build, warehouse_clock
from fleet_assets.warehouse.staleness import mark_marts, pending_marts

DBT_POOL = "dbt"
"""One dbt run at a time."""
BUILD_LOG = [
    by_hand_spec("mart_builds", QUALITY, "Builds of the marts: since when, which hours, ended or"
                 " not. Written by each of them."),
    by_hand_spec("mart_revisions", QUALITY, "Figures of history that builds of the marts changed,"
                 " and why. Written by each of them."),
]  # fmt: skip
LONGEST_WAIT = timedelta(minutes=1)
"""Loaded hours of history wait at most this long for other hours to share a run of dbt."""


class MartsConfig(Config):
    """What to rebuild."""

    everything: bool = Field(
        default=False,
        description="Rebuild all windows. Otherwise only hours that were loaded since.",
    )


class Translator(DagsterDbtTranslator):
    """Keys, groups and owners of dbt's models in Dagster."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """Models go by their own name, as does the ledger; other sources by that of the load."""
        name = dbt_resource_props["name"]
        if dbt_resource_props["resource_type"] == "source" and name != LEDGER:
            return warehouse_key(name)
        return AssetKey(name)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What the model's YAML says, without its SQL."""
        return str(dbt_resource_props["description"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Quality marts beside the other quality assets."""
        return QUALITY if "quality" in dbt_resource_props["name"] else WAREHOUSE

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """The same owners for all."""
        return OWNERS


def build_marts(manifest: Path) -> AssetsDefinition:
    """The assets of this stage."""

    @dbt_assets(
        manifest=manifest,
        name="build_marts",
        dagster_dbt_translator=Translator(),
        pool=DBT_POOL,
    )
    def build(
        context: AssetExecutionContext, config: MartsConfig, platform: Platform
    ) -> Iterator[Any]:
        url = platform.postgres_url
        as_of = warehouse_clock(url)
        hours = pending_marts(url) or hours_with_marks(url)
        marks = take_marks(url)
        loaded = read_ledger(url, "warehouse", None if config.everything else hours)
        if LANE_TAG in context.run.tags:  # by hand, dbt always runs
            if not hours:
                context.log.info("another run has shown these hours already")
                return
            if _may_wait(loaded) and younger_history_run(context.instance, context.run):
                context.log.info("left to the next run, which loads more history right now")
                return
        wanted = None if config.everything else hours
        build = begin_build(
            url, as_of, wanted, platform.settings.late_after, context.run_id, marks.hours
        )
        environment = dbt_environment(url, (platform.settings.home / "dbt").absolute())
        environment |= touched_environment(wanted)
        environment |= marked_environment(None if config.everything else marks.hours)
        os.environ.update(environment)  # dbt runs as a child
        dbt = ChildDbt(
            project_dir=str(PROJECT_DIR),
            profiles_dir=str(PROJECT_DIR),
            dbt_executable=dbt_executable(),
            global_config_flags=["--no-use-colors", "--no-write-json"],  # nobody reads its files
        )
        try:
            yield from dbt.cli(
                # unit tests test code, not data: `make test` runs them
                ["build", "--exclude-resource-type", "unit_test"],
                context=context,
                target_path=Path(environment["DBT_TARGET_PATH"]),
            ).stream()
        except Exception as error:
            record_failure(url, "marts", hours, f"dbt: {error}"[:2000], context.run_id)
            raise
        fault_point("marts.built")
        revised = finish_build(url, build, is_whole=not context.is_subset)
        context.log.info(f"{revised} figures of history changed: marts.mart_revisions tells which")
        if not context.is_subset:  # some models alone do not show an hour
            mark_marts(url, loaded, context.run_id)
            remove_marks(url, marks)
            fault_point("marts.marked")

    return build


def _may_wait(loaded: Sequence[LedgerEntry]) -> bool:
    """No load has waited for long: a run of dbt takes ten seconds, so history shares one."""
    oldest = min((e.processed_at for e in loaded if e.processed_at is not None), default=None)
    return oldest is not None and datetime.now(UTC) - oldest < LONGEST_WAIT
