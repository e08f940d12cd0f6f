"""What Dagster is shown: a snapshot of the graph, and what holds for every part of it.

After a change that is meant, write the snapshot anew:
``UPDATE_SNAPSHOTS=1 pytest tests/unit/test_definitions.py``, and look at the difference in git.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fleet_assets.assets.runs import LONG_TAG
from fleet_assets.contracts.tables import TABLES
from fleet_assets.definitions import build_defs

SNAPSHOT = Path(__file__).with_name("definitions.json")


@pytest.fixture(scope="module")
def defs(flow_home: Path) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_HOME", str(flow_home))
        patch.delenv("FLEET_PARTITIONS_START", raising=False)
        return build_defs()


def specs(defs: dg.Definitions) -> list[dg.AssetSpec]:
    return sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key.to_user_string())


def checks(defs: dg.Definitions) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in defs.resolve_asset_graph().asset_check_keys:
        found.setdefault(key.asset_key.to_user_string(), []).append(key.name)
    return {asset: sorted(names) for asset, names in found.items()}


def pieces(partitions_def: dg.PartitionsDefinition | None) -> str | None:
    kinds = {dg.HourlyPartitionsDefinition: "hours", dg.DailyPartitionsDefinition: "days"}
    return kinds[type(partitions_def)] if partitions_def else None


def jobs(defs: dg.Definitions) -> list[dg.JobDefinition]:
    found = [job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")]
    return sorted(found, key=lambda job: job.name)


def told(defs: dg.Definitions) -> dict[str, Any]:
    """Everything that a user would notice if it changed by accident."""
    of_asset = checks(defs)
    return {
        "assets": {
            spec.key.to_user_string(): {
                "group": spec.group_name,
                "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
                "partitions": pieces(spec.partitions_def),
                "kinds": sorted(spec.kinds),
                "owners": sorted(spec.owners),
                "checks": of_asset.get(spec.key.to_user_string(), []),
            }
            for spec in specs(defs)
        },
        "jobs": {
            job.name: {
                "executor": job.executor_def.name,
                "steps": sorted(node.name for node in job.graph.nodes),
                "partitions": pieces(job.partitions_def),
            }
            for job in jobs(defs)
        },
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "status": schedule.default_status.value,
            }
            for schedule in map(defs.resolve_schedule_def, [s.name for s in defs.schedules or ()])
        },
        "sensors": {
            sensor.name: {
                "jobs": sorted(target.job_name for target in sensor.targets),
                "interval": sensor.minimum_interval_seconds,
                "status": sensor.default_status.value,
            }
            for sensor in map(defs.resolve_sensor_def, [s.name for s in defs.sensors or ()])
        },
    }


def test_the_graph_is_as_it_was_meant_to_be(defs: dg.Definitions) -> None:
    found = json.dumps(told(defs), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(found)
    known = SNAPSHOT.read_text()
    difference = "\n".join(
        difflib.unified_diff(known.splitlines(), found.splitlines(), "known", "found", lineterm="")
    )
    assert not difference, (
        f"The definitions have changed. If that is meant, run\n  UPDATE_SNAPSHOTS=1 pytest"
        f" tests/unit/test_definitions.py\nand commit {SNAPSHOT.name}.\n{difference}"
    )


def test_dagster_accepts_the_definitions(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_asset_says_what_it_is_and_whose(defs: dg.Definitions) -> None:
    for spec in specs(defs):
        name = spec.key.to_user_string()
        assert spec.description, f"{name} has no description"
        assert spec.owners, f"{name} has no owner"
        assert spec.group_name not in (None, "default"), f"{name} has no group"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_lake_table_is_an_asset_with_the_columns_of_its_contract(
    defs: dg.Definitions, table: Any
) -> None:
    (spec,) = [spec for spec in specs(defs) if spec.key == dg.AssetKey(table.name)]
    schema = spec.metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == table.names
    assert all(column.description for column in schema.columns)
    by = {"event_hour": "hours", "event_day": "days"}
    assert pieces(spec.partitions_def) == by.get(table.partition_by)


def test_every_table_with_a_step_has_a_contract_check(defs: dg.Definitions) -> None:
    materialised = {
        key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys
    } & {table.name for table in TABLES}
    of_asset = checks(defs)
    assert {name for name in materialised if "contract" in of_asset.get(name, [])} == materialised


def test_every_job_runs_in_one_process(defs: dg.Definitions) -> None:
    for job in defs.resolve_all_job_defs():
        assert job.executor_def.name == "in_process", f"{job.name}: other executors cost seconds"


def test_long_runs_are_one_at_a_time(defs: dg.Definitions) -> None:
    assert {job.name for job in jobs(defs) if LONG_TAG in job.tags} == {
        "daily_models", "train_models", "verification_job",
    }  # fmt: skip


def test_sensors_that_move_messages_look_every_five_seconds(defs: dg.Definitions) -> None:
    for name in ("landing_sensor", "refresh_sensor"):
        sensor = defs.resolve_sensor_def(name)
        assert sensor.minimum_interval_seconds == 5
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_one_dbt_run_at_a_time(defs: dg.Definitions) -> None:
    assert defs.resolve_assets_def("fct_vehicle_hours").op.pool == "dbt"


def test_what_only_models_and_plots_need_is_not_loaded_with_the_definitions() -> None:
    """Each run is a process of its own: what is imported here delays and weighs on all of them."""
    heavy = ["sklearn", "skops", "mlflow", "scipy.stats", "matplotlib"]
    told = "import sys, fleet_assets.definitions; print([m for m in %r if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", told % heavy], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_drift_is_told_before_vehicles_are_refitted_and_they_before_the_choice() -> None:
    """Nothing before the choice is skippable: Dagster skips what follows a skipped asset."""
    graph = build_defs().resolve_asset_graph()
    steps = [dg.AssetKey(name) for name in ("feature_drift", "vehicle_models", "model_choice")]
    for before, after in pairwise(steps):
        assert before in graph.get(after).parent_keys
        assert not graph.assets_def_for_key(before).get_asset_spec(before).skippable
