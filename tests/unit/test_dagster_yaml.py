"""dagster.yaml: each setting that latency, bounds or privacy rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef

from fleet_assets.assets.runs import LONG_TAG
from fleet_assets.backfill.drive import BACKFILL_TAG

FILE = Path(__file__).parents[2] / "dagster.yaml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("run_queue.dequeue_interval_seconds", 1),
        (
            "concurrency.runs.tag_concurrency_limits",
            [{"key": LONG_TAG, "limit": 1}, {"key": BACKFILL_TAG, "limit": 1}],
        ),
        ("concurrency.pools.default_limit", 1),
        ("concurrency.pools.granularity", "op"),
        ("run_monitoring.enabled", True),
        ("run_monitoring.free_slots_after_run_end_seconds", 10),
        ("sensors.use_threads", True),
        ("schedules.use_threads", True),
        ("retention.sensor.purge_after_days.skipped", 1),
        ("telemetry.enabled", False),
        ("nux.enabled", False),
    ],
)
def test_the_setting_is(path: str, value: object) -> None:
    found: Any = CONFIG
    for name in path.split("."):
        assert name in found, f"dagster.yaml lacks {path}"
        found = found[name]
    assert found == value


def test_runs_are_bounded_but_not_one_at_a_time() -> None:
    assert 2 <= CONFIG["concurrency"]["runs"]["max_concurrent_runs"] <= 8


def test_ticks_are_purged() -> None:
    kept = CONFIG["retention"]
    assert set(kept["sensor"]["purge_after_days"]) == {"skipped", "failure", "success"}
    assert kept["schedule"]["purge_after_days"] > 0


def test_the_storage_is_where_the_environment_says() -> None:
    assert "env: DAGSTER_POSTGRES_URL" in FILE.read_text()
    assert "postgresql://" not in FILE.read_text()


def test_dagster_accepts_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    (tmp_path / "dagster.yaml").write_text(FILE.read_text())
    config, _ = dagster_instance_config(str(tmp_path))  # raises if a name is unknown
    assert config["telemetry"] == {"enabled": False}
    ref = InstanceRef.from_dir(str(tmp_path))
    storage = ref.custom_instance_class_data or ref.storage_data
    assert storage is not None
    assert storage.class_name.endswith("PostgresStorage")
