"""Commits of single files: what they replace, and when another commit stands in their way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from fleet_assets.contracts.tables import VEHICLE_OUTCOMES
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot

HOUR, OTHER = "2026-02-01T05", "2026-02-01T06"


def rows(hour: str, *vehicles: str) -> pl.DataFrame:
    counts = {"read": 1, "accepted": 1, "duplicate": 0, "rejected": 0, "pending": 0, "late": 0}
    counts["replayed"] = 0
    return pl.DataFrame(
        [
            {
                "event_hour": hour,
                "vehicle_id": vehicle,
                **counts,
                "rejected_by_reason": "{}",
                "newest_append_time": datetime(2026, 2, 1, 6, tzinfo=UTC),
            }
            for vehicle in vehicles
        ],
        schema=VEHICLE_OUTCOMES.polars_schema,
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def opened(lake: Lake) -> TableSnapshot:
    return lake.open("vehicle_outcomes")


def add(table: TableSnapshot, hour: str, *vehicles: str, version: int = 1) -> None:
    nothing = table.files.clear()
    table.commit_files({hour: [rows(hour, *vehicles)]}, nothing, {f"hour/{hour}": version})


def vehicles(lake: Lake, hour: str = HOUR) -> list[str]:
    return sorted(opened(lake).read(hour)["vehicle_id"])


def test_one_commit_adds_to_many_hours_and_removes_files(lake: Lake) -> None:
    add(opened(lake), HOUR, "old")
    table = opened(lake)
    table.commit_files(
        {HOUR: [rows(HOUR, "a"), rows(HOUR, "b")], OTHER: [rows(OTHER, "c")]},
        table.files,
        {f"hour/{HOUR}": 2, f"hour/{OTHER}": 2},
    )
    assert opened(lake).version == table.version + 1
    assert (vehicles(lake), vehicles(lake, OTHER)) == (["a", "b"], ["c"])
    assert opened(lake).committed(f"hour/{OTHER}") == 2


def test_a_file_has_the_types_and_bounds_of_its_contract(lake: Lake) -> None:
    add(opened(lake), HOUR, "a", "b")
    table = opened(lake)
    assert table.read(HOUR).schema == VEHICLE_OUTCOMES.polars_schema
    assert table.read(HOUR).equals(rows(HOUR, "a", "b"))
    assert table.files["num_records"].to_list() == [2]
    assert table.delta.to_pyarrow_table().num_rows == 2


def test_other_hours_do_not_stand_in_the_way(lake: Lake) -> None:
    add(opened(lake), HOUR, "a")
    stale = opened(lake)
    other = opened(lake)
    add(other, OTHER, "x")
    stale_again = opened(lake)
    stale_again.commit_files({OTHER: [rows(OTHER, "y")]}, stale_again.files.filter(
        pl.col("event_hour") == OTHER), {f"hour/{OTHER}": 2})  # fmt: skip
    stale.commit_files({HOUR: [rows(HOUR, "b")]}, stale.files, {f"hour/{HOUR}": 2})
    assert (vehicles(lake), vehicles(lake, OTHER)) == (["b"], ["y"])


def test_progress_of_the_same_hour_is_a_conflict(lake: Lake) -> None:
    add(opened(lake), HOUR, "a")
    stale = opened(lake)
    add(opened(lake), HOUR, "b", version=2)
    with pytest.raises(CommitConflictError):
        add(stale, HOUR, "c", version=2)
    assert vehicles(lake) == ["a", "b"]


def test_a_file_that_somebody_has_replaced_is_a_conflict(lake: Lake) -> None:
    add(opened(lake), HOUR, "a")
    stale = opened(lake)
    now = opened(lake)
    now.commit_files({HOUR: [rows(HOUR, "a")]}, now.files, {f"hour/{HOUR}": 1}, data_change=False)
    with pytest.raises(CommitConflictError):
        stale.commit_files({HOUR: [rows(HOUR, "z")]}, stale.files, {f"hour/{HOUR}": 2})
    assert vehicles(lake) == ["a"]
