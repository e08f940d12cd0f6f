"""`vehicle_hours` in the lake follows telemetry through steps, rebuilds, compaction and crashes."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_data import HOUR, LATE_AFTER, land_values, message

from fleet_assets.lake.changes import hour_change
from fleet_assets.lake.hour_states import StatesChanged, states_after
from fleet_assets.lake.marks import app_id, rows_id
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.lake.vehicle_hours import (
    VehicleHoursRefreshed,
    refresh_vehicle_hours,
    refresh_vehicle_hours_together,
)
from fleet_assets.telemetry.hour_states import hour_states
from fleet_assets.telemetry.samples import samples
from fleet_assets.telemetry.vehicle_hours import vehicle_hours

TANKS = pl.DataFrame({"vehicle_id": ["v1", "v2"], "tank_gallons": [20.0, None]})
CRASHES = ["hours.before_states", "hours.states_committed", "hours.before_write"]


class CrashError(Exception):
    """Stands for the death of the process."""


class Flow:
    """A lake with one hour of two vehicles, one of which may be registered late."""

    def __init__(self, root: Path) -> None:
        self.lake = Lake(str(root))
        self.known = frozenset({"v1"})
        self.offset = 0

    def land(self, values: list[bytes]) -> None:
        land_values(self.lake, values, start=self.offset)
        self.offset += len(values)

    def telemetry(self, *, rebuild: bool = False) -> None:
        refresh_hour(self.lake, HOUR, self.known, LATE_AFTER, force_rebuild=rebuild)

    def compact(self) -> None:
        self.lake.open("telemetry").delta.optimize.compact()

    def hours(self, crash_at: str | None = None, *, force: bool = False) -> VehicleHoursRefreshed:
        def point(name: str) -> None:
            if name == crash_at:
                raise CrashError

        with patch("fleet_assets.lake.vehicle_hours.fault_point", point):
            return refresh_vehicle_hours(self.lake, HOUR, TANKS, force=force)

    def expected(self) -> pl.DataFrame:
        """The hour in one pass over all rows."""
        everything = samples(self.lake.open("telemetry").read(HOUR).lazy()).collect()
        return vehicle_hours(hour_states(everything, HOUR), TANKS, HOUR)

    def check(self) -> None:
        expected = self.expected()
        assert self.hours().rows.equals(expected)
        telemetry = self.lake.open("telemetry")
        for name in ("vehicle_hour_states", "vehicle_hours"):
            table = self.lake.open(name)
            for mark, none in ((app_id(HOUR), -1), (rows_id(HOUR), 0)):
                found = telemetry.committed(mark)
                assert table.committed(mark) == (none if found is None else found)
        assert self.lake.open("vehicle_hours").read(HOUR).equals(expected)


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path / "lake")


def at(second: float, vehicle: str = "v1", **values: Any) -> bytes:
    whole = timedelta(seconds=second)
    return message(vehicle, f"2026-02-01T05:{str(whole)[2:]}Z", **values)


MESSAGES = st.builds(
    lambda vehicle, second, values: at(second, vehicle, **values),
    st.sampled_from(["v1", "v1", "v2"]),
    st.sampled_from([0, 1, 2, 3, 9, 10, 40, 70, 131, 600, 601, 3599]),
    st.sampled_from([{"speed": 30}, {"speed": 0, "engine_rpm": 800}, {"fuel_level": 50}, {}]),
)
LAND = st.lists(MESSAGES, min_size=1, max_size=5).map(lambda values: ("land", values))
ACTIONS = st.lists(
    st.one_of(
        LAND,
        LAND,
        st.sampled_from([("telemetry", None), ("rebuild", None), ("compact", None)]),
        st.sampled_from([("register", None), ("hours", None), ("force", None)]),
        st.sampled_from([("crash", point) for point in CRASHES]),
    ),
    min_size=3,
    max_size=10,
)


@settings(deadline=None, max_examples=15)
@given(actions=ACTIONS)
def test_any_interleaving_ends_in_one_pass_over_all_rows(
    actions: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("flow")
    flow = Flow(root)
    for action, value in actions:
        match action:
            case "land":
                flow.land(value)
                flow.telemetry()
            case "telemetry" | "rebuild":
                flow.telemetry(rebuild=action == "rebuild")
            case "compact":
                flow.compact()
            case "register":
                flow.known = frozenset({"v1", "v2"})
                flow.telemetry()
            case "hours" | "force":
                flow.hours(force=action == "force")
            case "crash":
                with suppress(CrashError):
                    flow.hours(value)
    flow.telemetry()
    flow.check()
    shutil.rmtree(root)


def states_made(flow: Flow) -> StatesChanged:
    """What the next refresh does, without doing it."""
    telemetry, table = flow.lake.open("telemetry"), flow.lake.open("vehicle_hour_states")
    base = table.committed(f"states-1/{HOUR}")
    return states_after(telemetry, base, table.read(HOUR), HOUR)


def test_new_rows_are_added_without_reading_the_others(flow: Flow) -> None:
    flow.land([at(second, speed=30) for second in range(10)])
    flow.telemetry()
    assert flow.hours().rows_added is None
    flow.land([at(4.5, speed=40), at(11, speed=20)])
    flow.telemetry()
    assert flow.hours().rows_added == 2
    flow.check()
    assert flow.hours().verdicts == ()


def test_compaction_between_two_refreshes_costs_nothing(flow: Flow) -> None:
    flow.land([at(0, speed=30)])
    flow.telemetry()
    flow.hours()
    for second in (5, 3):
        flow.land([at(second, speed=30)])
        flow.telemetry()
    flow.compact()
    assert flow.hours().rows_added == 2
    flow.compact()
    assert flow.hours().verdicts == ()
    flow.land([at(4, speed=10)])
    flow.telemetry()
    assert flow.hours().rows_added == 1
    flow.check()


def test_a_conflict_that_appears_later_takes_its_values_back(flow: Flow) -> None:
    flow.land([at(0, speed=30), at(1, speed=90), at(2, speed=30), at(1, "v2", speed=1)])
    flow.known = frozenset({"v1", "v2"})
    flow.telemetry()
    assert flow.hours().rows["speed_max_mph"].to_list() == [90, 1]
    flow.land([at(1, speed=91)])
    flow.telemetry()
    assert flow.hours().rows["speed_max_mph"].to_list() == [30, 1]
    flow.check()


def test_files_that_are_gone_make_the_hour_anew(flow: Flow) -> None:
    flow.land([at(0, speed=30)])
    flow.telemetry()
    flow.hours()
    flow.land([at(1, speed=30)])
    flow.telemetry()
    flow.compact()
    flow.lake.open("telemetry").delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert flow.hours().rows_added is None
    flow.check()


def test_a_log_that_was_cleaned_up_makes_the_hour_anew(flow: Flow) -> None:
    flow.land([at(0, speed=30)])
    flow.telemetry()
    flow.hours()
    flow.land([at(1, speed=30)])
    flow.telemetry()
    telemetry = flow.lake.open("telemetry")
    telemetry.delta.create_checkpoint()
    for log in Path(flow.lake.url, "telemetry", "_delta_log").glob("0*.json"):
        log.unlink()
    assert hour_change(flow.lake.open("telemetry"), telemetry.version - 1, HOUR) is None
    assert flow.hours().rows_added is None
    flow.check()


@pytest.mark.parametrize("point", CRASHES)
def test_after_a_crash_between_the_commits_the_next_refresh_brings_both_in_line(
    flow: Flow, point: str
) -> None:
    flow.land([at(0, speed=30)])
    flow.telemetry()
    flow.hours()
    flow.land([at(1, speed=60)])
    flow.telemetry()
    with pytest.raises(CrashError):
        flow.hours(point)
    flow.check()


def test_another_tank_makes_the_hour_again_from_its_states(flow: Flow) -> None:
    flow.land([at(s, fuel_level=50 - s / 1000) for s in range(0, 1300, 10)])
    flow.telemetry()
    before = flow.hours().rows["fuel_used_gallons"][0]
    states = flow.lake.open("vehicle_hour_states").version
    larger = TANKS.with_columns(tank_gallons=pl.col("tank_gallons") * 2)
    after = refresh_vehicle_hours(flow.lake, HOUR, larger)
    assert after.rows["fuel_used_gallons"][0] == pytest.approx(2 * before)
    assert flow.lake.open("vehicle_hour_states").version == states


def test_many_small_hours_share_commits(flow: Flow) -> None:
    """Each has the rows that it would have alone; one that changes later is alone in changing."""
    hours = [f"2026-02-01T0{hour}" for hour in range(2, 6)]
    for hour in hours:
        flow.land([message("v1", f"{hour}:00:{second:02}Z", speed=30) for second in range(5)])
        refresh_hour(flow.lake, hour, flow.known, LATE_AFTER)
    empty = "2026-01-01T00"
    done = refresh_vehicle_hours_together(flow.lake, [empty, *hours], lambda _: TANKS)
    assert list(done) == [empty, *hours]
    assert done[empty].rows.is_empty()
    versions = [flow.lake.open(name).version for name in ("vehicle_hour_states", "vehicle_hours")]
    assert versions == [1, 1]
    for hour in hours:
        assert [verdict.rows for verdict in done[hour].verdicts] == [1, 1]
        assert done[hour].rows["seconds_seen"].to_list() == [5]
        again = refresh_vehicle_hours(flow.lake, hour, TANKS)
        assert again.verdicts == ()
        assert again.rows.equals(done[hour].rows)
    flow.land([at(7, speed=30)])
    flow.telemetry()
    done = refresh_vehicle_hours_together(flow.lake, hours, lambda _: TANKS)
    assert [hour for hour, result in done.items() if result.verdicts] == [HOUR]
    assert done[HOUR].rows_added == 1
    flow.check()


def test_hours_of_a_set_that_fails_are_left_to_be_done_alone(flow: Flow) -> None:
    def no_tanks(_: str) -> pl.DataFrame:
        raise CrashError

    flow.land([at(0, speed=30)])
    flow.telemetry()
    assert refresh_vehicle_hours_together(flow.lake, [HOUR, "2026-01-01T00"], no_tanks) == {}
    flow.check()


def test_large_hours_are_made_part_by_part(flow: Flow) -> None:
    flow.known = frozenset(f"v{number}" for number in range(9))
    flow.land([at(s, f"v{v}", speed=v) for v in range(9) for s in range(7)])
    flow.telemetry()
    whole = states_made(flow)
    with patch("fleet_assets.lake.hour_states.PART_ROWS", 15):
        assert states_made(flow).states.equals(whole.states)
    assert whole.states.height == 9
