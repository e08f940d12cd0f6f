"""Where a notebook works: on what runs or is set; it makes nothing if half of that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_assets.errors import NotRunningError
from fleet_assets.sandbox import here


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.delenv("FLEET_POSTGRES_URL", raising=False)


def test_a_platform_that_is_set_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_POSTGRES_URL", "postgresql://fleet@localhost:1/fleet")
    said: list[str] = []
    place = here(said.append)
    assert not place.is_sandbox
    assert place.lake.url == str(tmp_path / "lake")
    assert place.postgres_url.endswith(":1/fleet")
    assert str(tmp_path / "lake") in said[0]


def test_a_lake_without_its_warehouse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="FLEET_POSTGRES_URL"):
        here(lambda _: None)
    assert not (tmp_path / "lake").exists()
