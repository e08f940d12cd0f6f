"""What a crash between two commits leaves, what tells of it, and that the next run mends it.

One test per pair of tables that are committed one after the other. The first of a pair is the
truth; `docs/guides/data-engineer.md` has the table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dying import dying_at
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, commit_nothing, land_values, message
from test_order_law import TANKS, empty
from warehouse_data import fresh_warehouse, query

from fleet_assets.flow import hour_progress
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.warehouse.from_lake import load_hour
from fleet_assets.warehouse.ledger import read_ledger
from fleet_assets.warehouse.staleness import mark_marts, pending_marts
from partitions.planning import plan_refresh

pytestmark = pytest.mark.integration

KNOWN = frozenset({"v1", "v2"})
FIRST = [message("v1", speed=30), message("v2", speed=20), message("later", speed=5), b"oops"]
SECOND = [
    message("v1", speed=30),  # again
    message("v2", speed=21),  # with another value
    message("v1", "2026-02-01T05:00:10Z", speed=31),
    b"",
]


@pytest.fixture(scope="module")
def warehouse(services: Installation) -> str:
    return fresh_warehouse(services, "crash")


@pytest.fixture
def lake(tmp_path: Path, warehouse: str) -> Lake:
    """An hour that is wholly shown, and further messages that have just landed."""
    empty(warehouse)
    lake = Lake(str(tmp_path / "lake"))
    land_values(lake, FIRST)
    work(lake, warehouse)
    mark_marts(warehouse, read_ledger(warehouse, "warehouse"))
    assert differences(lake) == []
    land_values(lake, SECOND, start=len(FIRST))
    return lake


def work(
    lake: Lake, warehouse: str, known: frozenset[str] = KNOWN, *, rebuild: bool = False
) -> None:
    """What a refresh run does, without dbt."""
    refresh_hour(lake, HOUR, known, LATE_AFTER, force_rebuild=rebuild)
    refresh_vehicle_hours(lake, HOUR, TANKS)
    load_hour(lake, warehouse, HOUR, None)


def differences(lake: Lake) -> list[str]:
    return account(lake, [HOUR])[0].differences


def planned(lake: Lake, warehouse: str) -> list[str]:
    """Hours that the refresh sensor asks for."""
    hours = hour_progress(lake, warehouse)
    now, no_wait = datetime.now(UTC), timedelta(0)
    return [r.first for r in plan_refresh(hours, frozenset(), frozenset(), now, no_wait, no_wait)]


def shown(lake: Lake, warehouse: str) -> list[list[tuple[object, ...]]]:
    """All rows, as they should be whatever has happened before."""
    rejects = lake.open("telemetry_rejects").read(columns=["kafka_offset", "reason"])
    outcomes = lake.open("telemetry_outcomes").read()
    return [
        lake.open("telemetry").read().sort("vehicle_id", "event_time").rows(),
        rejects.sort("kafka_offset").rows(),
        outcomes.select("read", "accepted", "duplicate", "rejected", "pending").sum().rows(),
        lake.open("vehicle_outcomes").read().sort("vehicle_id").rows(),
        lake.open("vehicle_hours").read().sort("vehicle_id").rows(),
        query(warehouse, "select vehicle_id, messages from warehouse.vehicle_hours order by 1"),
        query(
            warehouse,
            "select vehicle_id, read, accepted from warehouse.vehicle_outcomes order by 1",
        ),
    ]


def undisturbed(
    folder: Path, warehouse: str, known: frozenset[str] = KNOWN
) -> list[list[tuple[object, ...]]]:
    """The same messages without a crash."""
    empty(warehouse)
    lake = Lake(str(folder / "undisturbed"))
    land_values(lake, FIRST)
    land_values(lake, SECOND, start=len(FIRST))
    work(lake, warehouse, known)
    return shown(lake, warehouse)


BETWEEN = (
    "refresh.telemetry_committed",
    "refresh.telemetry_rejects_committed",
    "refresh.telemetry_outcomes_committed",
)


@pytest.mark.parametrize("point", BETWEEN)
def test_telemetry_is_the_truth_and_the_tables_after_it_follow(
    lake: Lake, warehouse: str, tmp_path: Path, point: str
) -> None:
    with dying_at(point) as died:
        work(lake, warehouse)
    assert died
    (told,) = differences(lake)
    assert "a refresh was cut off" in told
    assert planned(lake, warehouse) == [HOUR]
    work(lake, warehouse)
    assert differences(lake) == []
    assert shown(lake, warehouse) == undisturbed(tmp_path, warehouse)


@pytest.mark.parametrize("point", BETWEEN)
def test_a_rebuild_that_is_cut_off_is_seen_and_mended(
    lake: Lake, warehouse: str, tmp_path: Path, point: str
) -> None:
    """A registered vehicle changes rows without new messages: no version tells of it."""
    work(lake, warehouse)
    known = KNOWN | {"later"}
    with dying_at(point) as died:
        work(lake, warehouse, known)
    assert died
    assert differences(lake) != []
    work(lake, warehouse, known)
    assert differences(lake) == []
    assert shown(lake, warehouse) == undisturbed(tmp_path, warehouse, known)


def test_raw_is_the_truth_and_the_record_of_the_landing_follows(
    lake: Lake, warehouse: str, tmp_path: Path
) -> None:
    start = len(FIRST) + len(SECOND)
    with dying_at("landing.raw_committed") as died:
        land_values(lake, [message("v1", "2026-02-01T05:00:20Z")], start=start)
    assert died
    # the note in the raw commit itself tells what the record will say: nothing looks wrong
    assert lake.open("landings").read()["offset_end"].max() == start
    assert offset_differences(lake) == []
    work(lake, warehouse)  # the messages themselves are taken in at once
    assert differences(lake) == []
    land_values(lake, [message("v1", "2026-02-01T05:00:30Z")], start=start + 1)
    assert lake.open("landings").read()["offset_end"].max() == start + 2
    assert offset_differences(lake) == []


def test_the_record_of_a_landing_is_found_behind_any_number_of_other_commits(
    tmp_path: Path,
) -> None:
    """Upkeep commits once for each hour it compacts: they bury the landing that a crash cut off."""
    lake = Lake(str(tmp_path / "lake"))
    land_values(lake, FIRST)
    with dying_at("landing.raw_committed"):
        land_values(lake, SECOND, start=len(FIRST))
    for _ in range(25):
        commit_nothing(lake, "raw_telemetry")
    assert offset_differences(lake) == []
    land_values(lake, [message("v1", "2026-02-01T05:00:30Z")], start=len(FIRST) + len(SECOND))
    assert lake.open("landings").read().height == 3
    assert offset_differences(lake) == []


LATER: dict[str, Callable[[Lake, str], bool]] = {
    "refresh.vehicle_outcomes_committed": lambda lake, url: HOUR in planned(lake, url),
    "hours.before_write": lambda lake, url: HOUR in planned(lake, url),
    "hours.committed": lambda lake, url: HOUR in planned(lake, url),
    "load.hour_deleted": lambda lake, url: HOUR in planned(lake, url),
    "load.before_commit": lambda lake, url: HOUR in planned(lake, url),
    "load.committed": lambda lake, url: pending_marts(url) == [HOUR],
}


@pytest.mark.parametrize("point", list(LATER))
def test_the_lake_is_the_truth_and_vehicle_hours_warehouse_and_marts_follow(
    lake: Lake, warehouse: str, tmp_path: Path, point: str
) -> None:
    with dying_at(point) as died:
        work(lake, warehouse)
    assert died
    assert LATER[point](lake, warehouse)
    if point != "load.committed":
        # readers see the hour as it was, not a part of it
        assert query(warehouse, "select sum(read)::int from warehouse.vehicle_outcomes") == [
            (len(FIRST),)
        ]
    assert planned(lake, warehouse) == [HOUR]
    work(lake, warehouse)
    mark_marts(warehouse, read_ledger(warehouse, "warehouse"))
    assert planned(lake, warehouse) == []
    assert shown(lake, warehouse) == undisturbed(tmp_path, warehouse)
