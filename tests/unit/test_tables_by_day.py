"""The lake's tables by day: SQL, upkeep, many days at once, and what is shown of a vehicle."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from baseline_flow import DAYS, FIRST, FLEET, lake_of
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from fleet_assets.commands.features import features
from fleet_assets.errors import FleetError
from fleet_assets.lake.sql import ask
from fleet_assets.lake.store import Lake
from fleet_assets.lake.upkeep import UpkeepPolicy, keep_up
from fleet_assets.lake.vehicle_baselines import baselines_of, make_baselines


def test_sql_finds_them_by_day(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 3)
    query = f"""
        select version, count(*), min(event_day), max(event_day) from vehicle_baselines
        where event_day >= '{DAYS[2]}' group by all
    """
    with ask(lake, query) as found:
        (row,) = found.fetchall()
    assert row == (1, lake.open("vehicle_baselines").read(DAYS[2]).height, DAYS[2], DAYS[2])


def test_the_baseline_of_a_vehicle_is_shown_or_why_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_LAKE_URL", str(tmp_path))

    def said(*words: str) -> str:
        result = CliRunner().invoke(features, ["show", *words])
        if result.exception is not None:
            raise result.exception
        return result.output

    with pytest.raises(FleetError, match="There are no baselines yet"):
        said("rpm_mean_60s", "--vehicle", "v1")
    lake_of(tmp_path, 2)
    text = said("RPM_mean_60s", "--vehicle", "v1")
    assert f"v1, baseline of {DAYS[1]}, version 1" in text
    assert "city" in text
    with pytest.raises(FleetError, match="only of rpm_mean_60s, coolant_mean_60s"):
        said("speed_std_60s", "--vehicle", "v1")
    with pytest.raises(FleetError, match="v9 has no baseline of rpm_mean_60s"):
        said("rpm_mean_60s", "--vehicle", "v9")


def test_upkeep_merges_versions_of_a_day_and_loses_none(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 3)
    make_baselines(lake, DAYS[1], FLEET, repin=True)
    order = ["event_day", "version", "vehicle_id", "regime", "feature"]
    before = lake.open("vehicle_baselines").read().sort(order)
    policy = UpkeepPolicy(timedelta(minutes=5), timedelta(days=1))
    done = keep_up(lake, policy, FIRST + timedelta(days=9), thorough=True)
    assert done.failed == []
    (merged,) = [one for one in done.compacted if one.table == "vehicle_baselines"]
    assert (merged.event_hour, merged.files_before, merged.files_after) == (DAYS[1], 2, 1)
    after = lake.open("vehicle_baselines")
    assert sorted(after.files["event_day"]) == [DAYS[1], DAYS[2]]
    assert_frame_equal(after.read().sort(order), before)
    assert baselines_of(lake, DAYS[1], 2).height == baselines_of(lake, DAYS[1], 1).height


def test_rows_of_many_days_can_be_added_at_once(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, 3)
    rows = lake.open("feature_days").read()
    other = Lake(str(tmp_path / "other"))
    other.open("feature_days").append(rows, {"app": 1}, {})
    found = other.open("feature_days")
    assert sorted(found.files["event_day"]) == DAYS[:2]
    assert_frame_equal(found.read(DAYS[1]), rows.filter(pl.col("event_day") == DAYS[1]))
