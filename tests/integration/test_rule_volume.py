"""The asset `rule_volume`: drawn now and then, and at once when the rules have changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, land_values, message
from warehouse_data import fresh_warehouse, query

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.rule_volume import VOLUME, build_rule_volume
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.rule_flow import changed_by_rules, settle, work_hour
from fleet_assets.rules.catalogue import read_catalogue
from fleet_assets.warehouse.rule_book import rule_book
from fleet_assets.warehouse.rule_stages import WantedStage, set_stage
from partitions.hours import hour_start

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def judged(lake: Lake, url: str) -> None:
    book = rule_book(url)
    worked = work_hour(lake, HOUR, book)
    settle(lake, url, book, None, changed_by_rules([worked]))


def test_it_tells_of_a_stage_as_soon_as_it_counts(
    services: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, lake = fresh_warehouse(services, "rule_volume"), Lake(str(tmp_path))
    monkeypatch.setenv("FLEET_POSTGRES_URL", url)
    monkeypatch.setenv("FLEET_LAKE_URL", lake.url)
    instance = dg.DagsterInstance.ephemeral()

    def drawn() -> list[str]:
        """Lines about hot engines in all drawings, the newest first."""
        ran = dg.materialize(
            [build_rule_volume()], instance=instance, resources={"platform": Platform()}
        )
        assert ran.success
        events = instance.fetch_materializations(VOLUME, limit=10).records
        tables = [str(e.asset_materialization.metadata["by rule"].value) for e in events]
        return [line for table in tables for line in table.splitlines() if "R23" in line]

    hot = [message("v1", f"{HOUR}:00:{s:02}Z", coolant_temp=120.0) for s in range(30)]
    land_values(lake, hot)
    refresh_hour(lake, HOUR, frozenset(["v1"]), LATE_AFTER)
    no_tanks = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
    refresh_vehicle_hours(lake, HOUR, no_tanks)
    judged(lake, url)
    live = "| R23 | engine_overheat | live | 1 | 1 |"
    assert drawn() == [live]
    assert drawn() == [live]  # nothing has changed, and it was drawn a moment ago
    on_trial = WantedStage("R23", "shadow", hour_start(HOUR))
    set_stage(url, read_catalogue(), on_trial, "a test", "test")
    judged(lake, url)
    assert drawn() == ["| R23 | engine_overheat | shadow | 1 | 1 |", live]
    set_stage(url, read_catalogue(), replace(on_trial, rule_id="R22"), "a test", "test")
    more = [message("v1", f"{HOUR}:01:{s:02}Z", coolant_temp=90.0) for s in range(30)]
    land_values(lake, more, start=30)
    refresh_hour(lake, HOUR, frozenset(["v1"]), LATE_AFTER)
    judged(lake, url)
    # new messages had come as well; they are not why nothing counts any more
    assert query(url, "select distinct cause from warehouse.anomaly_lineage") == [("rules",)]
