"""Law 3 in the lake: whatever is done in whatever order, also with crashes and without raw rows.

The reference is a lake in which all messages landed at once, all vehicles were known, and nothing
went wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_data import HOUR, LATE_AFTER, NOW, land_values, message, sorted_rows

from fleet_assets.lake import refresh as refresh_module
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.cut_off import cut_off_hours
from fleet_assets.lake.expiry import expire_hour
from fleet_assets.lake.refresh import FOLLOWERS, refresh_hour, refresh_together
from fleet_assets.lake.store import Lake, TableSnapshot
from fleet_assets.lake.upkeep import UpkeepPolicy, keep_up
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours
from fleet_assets.telemetry.resolve import CONFLICTING

OTHER_HOUR = "2026-02-01T04"
HOURS = (OTHER_HOUR, HOUR)
TANKS = pl.DataFrame({"vehicle_id": ["v1", "v2"], "tank_gallons": [20.0, None]})
EARLY, ALL = frozenset({"v1"}), frozenset({"v1", "v2"})
TOTALS = ["read", "accepted", "duplicate", "rejected", "pending", "late"]

MESSAGES = st.one_of(
    st.sampled_from([b"oops", None, message("stranger", speed=1)]),
    st.builds(
        lambda vehicle, time, values: message(vehicle, time, **values),
        st.sampled_from(["v1", "v2"]),
        st.sampled_from(["2026-02-01T05:00:00Z", "2026-02-01T05:29:00Z", "2026-02-01T04:59:59Z"]),
        st.sampled_from(
            [{"speed": 1}, {"speed": 1.0}, {"speed": 2}, {"speed": 1, "heading": 2},
             {"speed": None}, {"speed": 999}, {"firmware": {"a": [1, 2.50]}}, {"gps": 5}]
        ),
    ),
)  # fmt: skip
DEEDS = st.sampled_from(
    ["refresh", "together", "rebuild", "register", "expire", "crash", "upkeep", "upkeep crashes"]
)
LATER = NOW + timedelta(days=2)
NOTHING_KEPT = UpkeepPolicy(LATE_AFTER, vacuum_retention=timedelta(0))


class PowerCutError(BaseException):
    """The process is gone."""


class Story:
    """A lake, and what is done to it."""

    def __init__(self, folder: str) -> None:
        self.lake = Lake(folder)
        self.known = EARLY
        self.offset = 0

    def land(self, values: list[bytes | None]) -> None:
        if values:
            land_values(self.lake, values, self.offset)
            self.offset += len(values)

    def refresh(self, **options: Any) -> None:
        for hour in HOURS:
            refresh_hour(self.lake, hour, self.known, LATE_AFTER, **options)

    def do(self, deed: str, commit_that_fails: int) -> None:
        match deed:
            case "refresh":
                self.refresh()
            case "together":
                refresh_together(self.lake, HOURS, self.known, LATE_AFTER)
            case "rebuild":
                self.refresh(force_rebuild=True)
            case "register":
                self.known = ALL
            case "expire":
                self.refresh()
                self.expire()
            case "crash":
                with power_cut(commit_that_fails), suppress(PowerCutError):
                    self.refresh()
            case "upkeep":
                self.upkeep()
            case "upkeep crashes":
                with power_cut(commit_that_fails), suppress(PowerCutError):
                    self.upkeep()

    def upkeep(self) -> None:
        """Compacts what can be, and removes every file that the newest versions do not need."""
        done = keep_up(self.lake, NOTHING_KEPT, LATER, thorough=True)
        assert done.failed == []

    def expire(self) -> None:
        """Removes the raw rows of both hours, as upkeep does once they are old."""
        for hour in HOURS:
            expire_hour(self.lake, hour)

    def check(self) -> None:
        """Counts and rows agree."""
        for hour in HOURS:
            counts = self.counts(hour)
            assert counts["read"] == sum(counts[n] for n in ("accepted", "duplicate", "rejected"))
            assert counts["accepted"] == self.lake.open("telemetry").read(hour).height
            assert counts["rejected"] == self.lake.open("telemetry_rejects").read(hour).height
        assert [a.differences for a in account(self.lake, list(HOURS))] == [[], []]
        assert offset_differences(self.lake) == []

    def counts(self, hour: str) -> dict[str, int]:
        outcomes = self.lake.open("telemetry_outcomes").read(hour)
        return outcomes.select(pl.col(TOTALS).sum()).row(0, named=True)

    def rows(self) -> dict[str, Any]:
        """What must be the same: a conflict's loser stands for its key, whoever lost first."""
        rejects = self.lake.open("telemetry_rejects").read()
        return {
            "telemetry": sorted_rows(self.lake.open("telemetry").read()),
            "rejects": sorted_rows(
                rejects.select("event_hour", "reason", "vehicle_id", "event_time")
            ),
            "bytes": sorted_rows(
                rejects.filter(pl.col("reason") != CONFLICTING).select("reason", "key", "value")
            ),
            "counts": [self.counts(hour) for hour in HOURS],
            "vehicles": sorted_rows(self.lake.open("vehicle_outcomes").read()),
        }


def power_cut(number: int) -> Any:
    """The process dies when it makes its n-th commit to a table of the hour."""
    commit, made = TableSnapshot.commit_actions, iter(range(100))

    def dying(self: TableSnapshot, *args: Any, **options: Any) -> None:
        if next(made) == number:
            raise PowerCutError
        commit(self, *args, **options)

    return mock.patch.object(TableSnapshot, "commit_actions", dying)


@pytest.fixture(autouse=True)
def _small_steps() -> Iterator[None]:
    with mock.patch.object(refresh_module, "STEP_MESSAGES", 3):
        yield


@settings(deadline=None, max_examples=25)
@given(
    parts=st.lists(
        st.tuples(st.lists(MESSAGES, max_size=5), st.lists(DEEDS, max_size=3), st.integers(0, 7)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_happens_the_hours_end_the_same(
    parts: list[tuple[list[bytes | None], list[str], int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(f"{folder}/story")
        for values, deeds, number in parts:
            story.land(values)
            for deed in deeds:
                story.do(deed, number)
        story.known = ALL
        story.refresh()
        story.check()

        plain = Story(f"{folder}/plain")
        plain.known = ALL
        plain.land([value for values, _, _ in parts for value in values])
        plain.refresh()
        plain.check()
        assert story.rows() == plain.rows()


def test_registration_in_parts_counts_a_contested_message_once(tmp_path: Path) -> None:
    """A step brings back but three rejects here, so the rivals for a key come back apart."""
    one, two = (message("v2", "2026-02-01T05:29:00Z", speed=n) for n in (1, 2))
    again = message("v2", speed=1)
    story, plain = Story(str(tmp_path / "lake")), Story(str(tmp_path / "plain"))
    for landing in ([b"oops", one, b"oops"], [again], [again, two]):
        story.land(landing)
    story.refresh()
    plain.land([b"oops", one, b"oops", again, again, two])
    for told in (story, plain):
        told.known = ALL
        told.refresh()
        told.check()
    assert story.rows() == plain.rows()


def test_a_row_without_its_message_loses_to_a_better_one_and_is_kept_as_a_reject(
    tmp_path: Path,
) -> None:
    story = Story(str(tmp_path / "lake"))
    story.land([message(speed=1), message(speed=3)])
    story.refresh()
    story.expire()
    story.land([message(speed=1, heading=2)])
    story.refresh()
    story.check()
    telemetry = story.lake.open("telemetry").read(HOUR)
    assert telemetry.select("speed", "heading", "conflict").rows() == [(1, 2, True)]
    rejects = story.lake.open("telemetry_rejects").read(HOUR)
    assert rejects["reason"].to_list() == [CONFLICTING] * 2
    expired = rejects.filter(pl.col("detail").str.contains("expired"))
    assert expired["kafka_offset"].to_list() == [2]
    assert b'"speed":' in expired["value"][0]


@pytest.mark.parametrize("cut", range(len(FOLLOWERS) + 1))
def test_a_crash_without_raw_messages_is_mended_from_what_the_step_began_with(
    tmp_path: Path, cut: int
) -> None:
    story, plain = Story(str(tmp_path / "lake")), Story(str(tmp_path / "plain"))
    first = [message(speed=1), message("v2", speed=2), b"oops"]
    then = [message(speed=2), message("v2", "2026-02-01T05:29:00Z"), None]
    story.land(first)
    story.refresh()
    story.expire()
    story.land(then)
    with power_cut(cut), pytest.raises(PowerCutError):
        refresh_hour(story.lake, HOUR, ALL, LATE_AFTER)  # v2 is registered meanwhile
    story.known = ALL
    story.refresh()
    story.check()
    plain.known = ALL
    plain.land(first + then)
    plain.refresh()
    assert story.rows() == plain.rows()


@pytest.mark.parametrize("cut", range(len(FOLLOWERS) + 1))
def test_a_crash_in_a_part_of_a_registration_without_raw_messages_is_mended(
    tmp_path: Path, cut: int
) -> None:
    story, plain = Story(str(tmp_path / "lake")), Story(str(tmp_path / "plain"))
    landings = [[message(f"v{n}", f"2026-02-01T05:{m:02}:00Z") for m in range(3)] for n in (2, 3)]
    landings[1][1] = landings[0][1]
    for landing in landings:
        story.land(landing)
    story.refresh()
    story.expire()
    everyone = ALL | {"v3"}
    with power_cut(cut), pytest.raises(PowerCutError):
        refresh_hour(story.lake, HOUR, everyone, LATE_AFTER)
    for told in (story, plain):
        told.known = everyone
    plain.land([value for landing in landings for value in landing])
    story.refresh()
    plain.refresh()
    story.check()
    assert story.rows() == plain.rows()


def test_a_rebuild_that_was_killed_is_found_without_a_new_message(tmp_path: Path) -> None:
    story = Story(str(tmp_path / "lake"))
    story.known = ALL
    story.land([message(speed=1), b"oops"])
    story.refresh()
    for hour in HOURS:
        refresh_vehicle_hours(story.lake, hour, TANKS)
    assert cut_off_hours(story.lake) == frozenset()
    with power_cut(2), pytest.raises(PowerCutError):
        refresh_hour(story.lake, HOUR, ALL, LATE_AFTER, force_rebuild=True)
    assert cut_off_hours(story.lake) == {HOUR}
    story.refresh()
    assert cut_off_hours(story.lake) == {HOUR}  # vehicle_hours has not followed yet
    refresh_vehicle_hours(story.lake, HOUR, TANKS)
    assert cut_off_hours(story.lake) == frozenset()
