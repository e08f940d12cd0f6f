"""The asset `retention`: one event a round that tells what went, and the check of the archive."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, land_values, message
from warehouse_data import fresh_warehouse

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.retention import retention
from fleet_assets.lake.archive import Archive
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake

pytestmark = pytest.mark.integration


@pytest.fixture
def lake(services: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An hour that is old enough for all classes that are short."""
    monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("FLEET_ARCHIVE_URL", str(tmp_path / "archive"))
    monkeypatch.setenv("FLEET_POSTGRES_URL", fresh_warehouse(services, "retention_asset"))
    monkeypatch.setenv("FLEET_RAW_RETENTION", "PT1S")
    found = Lake(str(tmp_path / "lake"))
    land_values(found, [message("v1"), message("v2"), b"oops"])
    refresh_hour(found, HOUR, frozenset({"v1", "v2"}), LATE_AFTER)
    return found


def materialized() -> dg.ExecuteInProcessResult:
    return dg.materialize([retention], resources={"platform": Platform()}, raise_on_error=False)


def test_a_round_tells_what_went_and_a_damaged_archive_fails_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Archive.verify
    with monkeypatch.context() as patched:
        patched.setattr(Archive, "verify", _damaging(verify))
        failed = materialized()
    assert not failed.success
    assert lake.open("raw_telemetry").read(HOUR).height == 3
    result = materialized()
    assert result.success
    (event,) = result.asset_materializations_for_node("retention")
    assert "raw_telemetry | 1 | 3" in str(event.metadata["archived and removed"].value)
    assert event.metadata["rows"].value >= 3
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert lake.open("raw_telemetry").read(HOUR).is_empty()


def _damaging(verify: object) -> object:
    def damaged(self: Archive, batch: object) -> None:
        for file in batch.files:  # type: ignore[attr-defined]
            path = Path(self.url, file.path)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        verify(self, batch)  # type: ignore[operator]

    return damaged
