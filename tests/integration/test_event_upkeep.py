"""Cleaning Dagster's event log changes nothing that the UI says about partitions and checks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DailyPartitionsDefinition,
    MaterializeResult,
    asset,
    materialize,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckKey
from installation import Installation

from fleet_assets.local.databases import ensure_database, with_database
from fleet_assets.warehouse.event_upkeep import prune_compute_logs, prune_events

pytestmark = pytest.mark.integration

DAYS = DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
KEYS = DAYS.get_partition_keys()


@pytest.fixture
def storage(
    services: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[DagsterInstance, str]]:
    url = with_database(services.endpoints.postgres_url, "upkeep_test")
    ensure_database(url)
    template = Path(__file__).parents[2] / "dagster.yaml"
    (tmp_path / "dagster.yaml").write_text(template.read_text())
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with DagsterInstance.get() as instance:
        yield instance, url


_VERDICTS = """
    SELECT DISTINCT ON (partition) partition, execution_status, run_id
    FROM asset_check_executions WHERE evaluation_event IS NOT NULL ORDER BY partition, id DESC
"""
HOLDS = AssetCheckSpec("holds", asset="hours_table", partitions_def=DAYS)


@asset(partitions_def=DAYS, check_specs=[HOLDS])
def hours_table(context) -> MaterializeResult:  # type: ignore[no-untyped-def]
    if context.partition_key == KEYS[2] and "broken" in context.run.tags:
        raise ValueError("a bad day")
    good = "broken" not in context.run.tags
    return MaterializeResult(check_results=[AssetCheckResult(check_name="holds", passed=good)])


def what_the_ui_shows(instance: DagsterInstance, url: str) -> dict[str, object]:
    key = AssetKey("hours_table")
    check = AssetCheckKey(key, "holds")
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
    with psycopg.connect(url) as connection:
        verdicts = connection.execute(_VERDICTS).fetchall()
    return {
        "verdict of each partition": verdicts,
        "status": instance.get_status_by_partition(key, list(KEYS), DAYS),
        "materialized": instance.get_materialized_partitions(key),
        "verdict": last.status,
        "verdict run": last.run_id,
    }


def test_pruning_keeps_the_status_of_partitions_and_the_latest_verdicts(
    storage: tuple[DagsterInstance, str],
) -> None:
    instance, url = storage
    for _ in range(2):
        for key in KEYS[:3]:
            materialize([hours_table], partition_key=key, instance=instance)
    materialize(
        [hours_table], partition_key=KEYS[2], instance=instance, tags={"broken": "yes"},
        raise_on_error=False,
    )  # fmt: skip
    materialize([hours_table], partition_key=KEYS[1], instance=instance, tags={"broken": "yes"})
    before = what_the_ui_shows(instance, url)

    with psycopg.connect(url) as connection:
        count = "SELECT count(*) FROM event_logs"
        rows_before = connection.execute(count).fetchone()
        runs_before = len(instance.get_run_records())
        removed = prune_events(url, timedelta(0))
        rows_after = connection.execute(count).fetchone()

    assert rows_before is not None
    assert rows_after is not None
    assert rows_after[0] < rows_before[0] / 2
    assert removed["superseded events"] > 0
    assert what_the_ui_shows(instance, url) == before
    assert before["materialized"] == set(KEYS[:3])
    assert len(before["verdict of each partition"]) == 3  # type: ignore[arg-type]
    # of eight runs those stay that a partition or a verdict still goes by
    assert removed["runs that say nothing"] == runs_before - len(instance.get_run_records()) > 0
    still_told = {run for _, _, run in before["verdict of each partition"]}  # type: ignore[attr-defined]
    assert still_told <= {record.dagster_run.run_id for record in instance.get_run_records()}


def test_what_is_younger_than_the_retention_stays(storage: tuple[DagsterInstance, str]) -> None:
    instance, url = storage
    instance.report_runless_asset_event(AssetMaterialization("recent", partition="a"))
    instance.report_runless_asset_event(AssetMaterialization("recent", partition="a"))
    instance.report_runless_asset_event(
        AssetCheckEvaluation(asset_key=AssetKey("recent"), check_name="c", passed=True)
    )
    assert sum(prune_events(url, timedelta(days=1)).values()) == 0


def test_captured_output_of_old_runs_goes(tmp_path: Path) -> None:
    for name, age in (("old", 10_000), ("new", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "out").write_text("said")
        moment = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (moment, moment))
    assert prune_compute_logs(tmp_path, timedelta(hours=1)) == 1
    assert [f.name for f in tmp_path.iterdir()] == ["new"]
