"""The asset `lake_upkeep`: one event a round, which says what was done or what failed."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from telemetry_data import HOUR, LATE_AFTER, land_values, message

from fleet_assets.assets.lake_upkeep import lake_upkeep
from fleet_assets.assets.platform import Platform
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "lake"))
    found = Lake(str(tmp_path / "lake"))
    for second in range(9):
        at = f"2026-02-01T05:00:0{second}Z"
        land_values(found, [message(timestamp=at, speed=second)], second)
        refresh_hour(found, HOUR, frozenset({"v1"}), LATE_AFTER)
    return found


def materialized() -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [lake_upkeep], resources={"platform": Platform()}, raise_on_error=False
    )  # fmt: skip


def test_a_round_is_one_event_that_tells_what_was_done(lake: Lake) -> None:
    result = materialized()
    assert result.success
    (event,) = result.asset_materializations_for_node("lake_upkeep")
    told = event.metadata
    assert f"telemetry | {HOUR} | 9 | 9 | 1" in str(told["compacted"].value)
    assert told["failed"].value == "none"
    assert lake.open("telemetry").read(HOUR).height == 9


def test_a_round_that_could_not_do_all_fails_and_has_done_the_rest(lake: Lake) -> None:
    broken = lake.open("raw_telemetry").files["path"][0]
    Path(lake.url, "raw_telemetry", broken).write_bytes(b"PAR1broken")
    result = materialized()
    assert not result.success
    assert lake.open("telemetry").files.height == 1
