"""Upkeep changes where rows lie, never which there are; it disturbs nobody and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from telemetry_data import (
    HOUR,
    LATE_AFTER,
    NOW,
    SOURCE,
    commit_nothing,
    land_values,
    message,
    placed,
    sorted_rows,
)

from fleet_assets.contracts.tables import TABLES as CONTRACTS
from fleet_assets.errors import FleetError
from fleet_assets.lake import compaction, upkeep
from fleet_assets.lake.compaction import compact, content_hash
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.expiry import expire_hour, expired_rows, expired_upto
from fleet_assets.lake.landing import land
from fleet_assets.lake.layout import LayoutWriter
from fleet_assets.lake.merge_plan import COMPACTED, MergeLimits, files_to_merge
from fleet_assets.lake.refresh import FOLLOWERS, app_id, refresh_hour
from fleet_assets.lake.retire import old_hours
from fleet_assets.lake.store import Lake
from fleet_assets.lake.upkeep import UpkeepPolicy, UpkeepReport, keep_up
from fleet_assets.lake.vacuum import tidy_logs, vacuum
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours

KNOWN = frozenset({"v1", "v2", "v3"})
TABLES = ("raw_telemetry", "telemetry", *FOLLOWERS, "vehicle_hours")
LATER = NOW + timedelta(days=2)
DAY = timedelta(days=1)
POLICY = UpkeepPolicy(LATE_AFTER, DAY)
TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def at(second: int) -> str:
    return f"2026-02-01T05:{second // 60:02}:{second % 60:02}Z"


def batch(number: int) -> list[bytes | None]:
    return [
        message("v1", at(number), speed=number % 7, heading=None),
        message("v2", at(number), speed=1, firmware="x"),
        message("v2", at(0), speed=1, firmware="x"),  # a duplicate from the second batch on
        message("v3", at(number), speed=999),
        b"oops",
        message("stranger", at(number)),
    ]


def trickle(lake: Lake, first: int, count: int) -> None:
    """Lands and refreshes batch by batch, so that each leaves its own files."""
    for number in range(first, first + count):
        values = batch(number)
        land_values(lake, values, start=number * len(values))
        refresh(lake)


def refresh(lake: Lake, **options: Any) -> None:
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER, **options)
    refresh_vehicle_hours(lake, HOUR, TANKS)


def contents(lake: Lake, tables: tuple[str, ...] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: sorted_rows(lake.open(name).read(HOUR).drop("revisions", strict=False))
        for name in tables
    }


def marks(lake: Lake) -> dict[str, int | None]:
    return {name: lake.open(name).committed(app_id(HOUR)) for name in TABLES}


def files(lake: Lake, table: str) -> list[str]:
    found = lake.open(table).files
    return [] if found.is_empty() else found["path"].to_list()


def tidy(lake: Lake, **options: Any) -> UpkeepReport:
    return keep_up(lake, POLICY, options.pop("now", LATER), thorough=True, **options)


def hours_of(done: UpkeepReport) -> list[str | None]:
    return [c.event_hour for c in done.compacted if c.event_hour is not None]


def assert_accounted(lake: Lake) -> None:
    (found,) = account(lake, [HOUR])
    assert (found.differences, found.pending) == ([], 0)
    assert offset_differences(lake) == []


# --- compaction ---


def test_an_hour_becomes_one_file_a_table_with_the_same_rows_and_marks(lake: Lake) -> None:
    trickle(lake, 0, 3)
    before, stood, hashes = contents(lake), marks(lake), hashed(lake)
    assert len(files(lake, "telemetry")) >= 3
    assert tidy(lake).failed == []
    for table in ("raw_telemetry", "telemetry", "telemetry_rejects", "landings"):
        assert len(files(lake, table)) == 1, table
    assert COMPACTED in files(lake, "telemetry")[0]
    assert contents(lake) == before
    assert marks(lake) == stood
    assert hashed(lake) == hashes
    assert_accounted(lake)
    again = tidy(lake)
    assert (again.compacted, again.failed) == ([], [])


def hashed(lake: Lake) -> dict[str, str]:
    with duckdb.connect() as db:
        found = {}
        for name in ("raw_telemetry", "telemetry", "telemetry_rejects", "vehicle_hours"):
            table = lake.open(name)
            paths = [Path(lake.url, name, path) for path in table.files["path"]]
            found[name] = content_hash(db, table.contract, paths)
        return found


def test_a_refresh_takes_in_only_what_is_new_after_raw_was_compacted(lake: Lake) -> None:
    trickle(lake, 0, 2)
    values = batch(2)
    for number in (2, 3):
        land_values(lake, batch(number), start=number * len(values))
    tidy(lake)
    assert len(files(lake, "raw_telemetry")) == 1
    (waiting,) = account(lake, [HOUR])
    assert (waiting.pending, waiting.differences) == (2 * len(values), [])
    refreshed = refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    assert (refreshed.new_messages, refreshed.rebuilt) == (2 * len(values), False)
    assert_accounted(lake)
    stepped = contents(lake)
    refresh(lake, force_rebuild=True)
    assert contents(lake)["telemetry"] == stepped["telemetry"]


def test_raw_files_that_wait_for_a_refresh_are_not_made_larger_than_its_step(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "STEP_MESSAGES", 11)
    trickle(lake, 0, 2)
    values = batch(2)
    for number in (2, 3):
        land_values(lake, batch(number), start=number * len(values))
    waiting = files(lake, "raw_telemetry")
    tidy(lake)
    there = files(lake, "raw_telemetry")
    assert len(there) == 3
    assert len(set(there) & set(waiting)) == 2
    refresh(lake)
    tidy(lake)
    assert len(files(lake, "raw_telemetry")) == 1
    assert_accounted(lake)


def test_a_full_disk_leaves_no_half_written_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    trickle(lake, 0, 2)
    before = contents(lake)

    def full(self: LayoutWriter, rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LayoutWriter, "write", full)
    assert all("No space left" in text for text in tidy(lake).failed)
    assert list(Path(lake.url).rglob(f"{COMPACTED}*")) == []
    assert contents(lake) == before


def test_late_data_after_compaction_is_taken_in_and_compacted_again(lake: Lake) -> None:
    trickle(lake, 0, 3)
    tidy(lake)
    trickle(lake, 3, 3)
    assert len(files(lake, "telemetry")) > 1
    before = contents(lake)
    tidy(lake)
    assert len(files(lake, "telemetry")) == 1
    assert contents(lake) == before
    assert_accounted(lake)


def test_a_slow_trickle_leaves_a_bounded_number_of_files(lake: Lake) -> None:
    most = 0
    for number in range(0, 12, 4):
        trickle(lake, number, 4)
        keep_up(lake, POLICY, datetime.now(UTC))  # the schedule's round: never thorough
        most = max(most, *(len(files(lake, table)) for table in TABLES))
    assert most <= MergeLimits().loose + 4 + 1
    assert_accounted(lake)


def test_an_open_hour_is_compacted_only_when_it_is_crowded(lake: Lake) -> None:
    trickle(lake, 0, 6)
    now = NOW  # within the hour
    assert hours_of(tidy(lake, now=now)) == []
    found = lake.open("telemetry").files
    few = MergeLimits(loose_open=5)
    assert files_to_merge("telemetry", found, now, closed=False, limits=few) == sorted(
        found["path"].to_list()
    )


def test_what_was_written_is_compared_before_the_commit(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    trickle(lake, 0, 3)
    before = contents(lake)
    batches = compaction._batches

    def losing(*args: Any) -> Any:
        for rows in batches(*args):
            yield rows.slice(1)

    monkeypatch.setattr(compaction, "_batches", losing)
    with pytest.raises(FleetError, match="hold other rows"):
        compact(lake, "telemetry", HOUR, files(lake, "telemetry"))
    assert contents(lake) == before


def test_a_broken_file_fails_its_hour_and_no_other(lake: Lake) -> None:
    trickle(lake, 0, 3)
    Path(lake.url, "raw_telemetry", files(lake, "raw_telemetry")[0]).write_bytes(b"PAR1broken")
    done = tidy(lake)
    assert [text.split(":")[0] for text in done.failed] == [f"raw_telemetry {HOUR}"]
    assert len(files(lake, "telemetry")) == 1


def test_a_dry_run_says_what_a_round_would_do_and_does_nothing(lake: Lake) -> None:
    trickle(lake, 0, 3)
    versions = {name: lake.open(name).version for name in TABLES}
    planned = tidy(lake, dry_run=True).planned
    assert {name: lake.open(name).version for name in TABLES} == versions
    assert {(t, h) for t, h, _ in planned} >= {("telemetry", HOUR), ("raw_telemetry", HOUR)}


def test_an_hour_whose_tables_are_out_of_line_is_left_alone(lake: Lake) -> None:
    trickle(lake, 0, 2)
    commit_nothing(lake, "telemetry", {app_id(HOUR): 99})
    there = {name: files(lake, name) for name in TABLES}
    done = tidy(lake)
    assert (hours_of(done), done.vacuumed) == ([], {})
    assert {name: files(lake, name) for name in TABLES} == there


# --- several at once ---


def test_of_two_compactions_at_once_one_gives_way(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    trickle(lake, 0, 2)
    before = contents(lake)
    meeting(monkeypatch, lambda: compact(lake, "telemetry", HOUR, files(lake, "telemetry")))
    mine = compact(lake, "telemetry", HOUR, files(lake, "telemetry"))
    assert mine.gave_way
    assert len(files(lake, "telemetry")) == 1
    assert contents(lake) == before
    on_disk = list(Path(lake.url, "telemetry", f"event_hour={HOUR}").glob(f"{COMPACTED}*"))
    assert len(on_disk) == 1  # what gave way has taken its files away


@pytest.mark.parametrize("rebuild", [False, True], ids=["refresh", "rebuild"])
def test_a_refresh_during_a_compaction_loses_and_doubles_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, rebuild: bool
) -> None:
    trickle(lake, 0, 2)
    values = batch(2)
    land_values(lake, values, start=2 * len(values))
    meeting(monkeypatch, lambda: refresh(lake, force_rebuild=rebuild))
    compact(lake, "telemetry", HOUR, files(lake, "telemetry"))
    assert_accounted(lake)
    met = contents(lake)
    refresh(lake, force_rebuild=True)
    assert contents(lake) == met


def meeting(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Has something happen once, when a compaction has written its files and not committed."""
    met: list[str] = []

    def fault_point(name: str) -> None:
        if name == "upkeep.files_written" and not met:
            met.append(name)
            act()

    monkeypatch.setattr(compaction, "fault_point", fault_point)


@pytest.mark.parametrize("rebuild", [False, True], ids=["refresh", "rebuild"])
def test_a_compaction_during_a_refresh_loses_and_doubles_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, rebuild: bool
) -> None:
    trickle(lake, 0, 2)
    values = batch(2)
    again = [message("v1", at(1), speed=6), message("v2", at(1))]  # contradict what is there
    land_values(lake, [*values, *again], start=2 * len(values))
    read, met = type(lake.open("telemetry")).committed, []

    def committed(self: Any, name: str) -> int | None:
        found = read(self, name)
        if self.contract.name == "telemetry" and not met:
            met.append(True)
            tidy(lake)
        return found

    monkeypatch.setattr(type(lake.open("telemetry")), "committed", committed)
    refresh(lake, force_rebuild=rebuild)
    assert met
    assert_accounted(lake)
    stepped = contents(lake)
    refresh(lake, force_rebuild=True)
    assert contents(lake)["telemetry"] == stepped["telemetry"]


def test_rounds_beside_landings_and_refreshes_leave_everything_right(lake: Lake) -> None:
    trickle(lake, 0, 1)
    failed: list[BaseException] = []
    done = threading.Event()

    def rounds() -> None:
        try:
            while not done.is_set():
                report = tidy(lake)
                assert report.failed == []
        except BaseException as error:
            failed.append(error)

    keepers = [threading.Thread(target=rounds) for _ in range(2)]
    for keeper in keepers:
        keeper.start()
    trickle(lake, 1, 4)
    done.set()
    for keeper in keepers:
        keeper.join()
    assert failed == []
    assert_accounted(lake)
    met = contents(lake)
    refresh(lake, force_rebuild=True)
    assert contents(lake) == met


@pytest.mark.parametrize(
    "point",
    ["upkeep.files_written", "upkeep.committed", "upkeep.before_vacuum"],
)
def test_an_upkeep_that_is_killed_leaves_all_rows_and_the_next_one_finishes(
    lake: Lake, point: str
) -> None:
    trickle(lake, 0, 2)
    kept = ("telemetry", *FOLLOWERS, "vehicle_hours")
    before = contents(lake, kept)
    killed = fleet_upkeep(lake, FLEET_FAULT_POINT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert contents(lake, kept) == before
    assert_accounted(lake)
    finished = fleet_upkeep(lake)
    assert finished.returncode == 0, finished.stderr
    assert contents(lake, kept) == before
    assert_accounted(lake)
    assert len(files(lake, "telemetry")) == 1


def fleet_upkeep(lake: Lake, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    settings = {"FLEET_LAKE_URL": lake.url} | environment
    return subprocess.run(
        [sys.executable, "-c", "from fleet_assets.cli import main; main()", "upkeep"],
        env=os.environ | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip


# --- dead files and the log ---


def test_a_reader_keeps_its_snapshot_over_compaction_and_vacuum(lake: Lake) -> None:
    trickle(lake, 0, 2)
    reader = lake.open("telemetry")
    before = sorted_rows(reader.read(HOUR))
    age_files(lake, timedelta(days=30))  # old files, but replaced only now
    assert tidy(lake).vacuumed == {}
    assert sorted_rows(reader.read(HOUR)) == before


def test_files_that_nobody_committed_stay_for_the_retention(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    trickle(lake, 0, 2)

    def killed(name: str) -> None:
        if name == "upkeep.files_written":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "fault_point", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(lake, "telemetry", HOUR, files(lake, "telemetry"))
    (orphan,) = Path(lake.url, "telemetry").rglob(f"{COMPACTED}*")
    before = contents(lake)
    vacuum(lake, DAY)
    assert orphan.exists()
    os.utime(orphan, (time.time() - 2 * 86_400,) * 2)
    assert vacuum(lake, DAY, dry_run=True)["telemetry"] == 1
    vacuum(lake, DAY)
    assert not orphan.exists()
    assert contents(lake) == before


def test_a_refresh_from_a_snapshot_that_was_vacuumed_fails_and_is_tried_again(lake: Lake) -> None:
    trickle(lake, 0, 2)
    values = batch(2)
    land_values(lake, values, start=2 * len(values))
    old = lake.open("raw_telemetry")
    tidy(lake)
    vacuum(lake, timedelta(0))
    before = contents(lake, ("telemetry", "telemetry_rejects"))
    with pytest.raises(Exception, match=r"(?i)no such file|not found|cannot find"):
        old.read(HOUR)
    assert contents(lake, ("telemetry", "telemetry_rejects")) == before
    refresh(lake)
    assert_accounted(lake)


def test_the_log_stays_short_and_forgets_no_mark(lake: Lake) -> None:
    trickle(lake, 0, 5)
    stood = marks(lake)
    log = Path(lake.url, "telemetry", "_delta_log")
    for number in range(60):
        commit_nothing(lake, "telemetry", {"beat": number})
    for entry in log.glob("*.json"):
        os.utime(entry, (time.time() - 86_400,) * 2)
    before = contents(lake)
    tidy_logs(lake, DAY)
    commit_nothing(lake, "telemetry", {"beat": 60})
    assert len(list(log.glob("*.json"))) < 20
    assert marks(lake) == stood
    assert lake.open("telemetry").committed("beat") == 60
    assert contents(lake) == before


def age_files(lake: Lake, age: timedelta) -> None:
    then = time.time() - age.total_seconds()
    for path in Path(lake.url).rglob("*.parquet"):
        os.utime(path, (then, then))


# --- expiry of raw ---


def test_raw_expires_once_everything_is_accounted_for(lake: Lake) -> None:
    trickle(lake, 0, 3)
    values = batch(3)
    land_values(lake, values, start=3 * len(values))
    assert expire_hour(lake, HOUR).kept_because == "6 messages are not taken in yet"
    refresh(lake)
    before = contents(lake, ("telemetry", *FOLLOWERS, "vehicle_hours"))
    newest = lake.open("raw_telemetry").files["max.landing_version"].max()
    done = expire_hour(lake, HOUR)
    assert (done.rows, done.kept_because) == (4 * len(values), None)
    raw = lake.open("raw_telemetry")
    assert raw.read(HOUR).is_empty()
    assert (expired_upto(raw, HOUR), expired_rows(raw, HOUR)) == (newest, 4 * len(values))
    assert contents(lake, ("telemetry", *FOLLOWERS, "vehicle_hours")) == before
    assert_accounted(lake)
    assert expire_hour(lake, HOUR).kept_because == "nothing is there"


def test_late_messages_expire_after_those_before_them(lake: Lake) -> None:
    trickle(lake, 0, 2)
    first = expire_hour(lake, HOUR)
    values = batch(2)
    land_values(lake, values, start=2 * len(values))
    (waiting,) = account(lake, [HOUR])
    assert (waiting.pending, waiting.differences) == (len(values), [])
    refresh(lake)
    assert_accounted(lake)
    second = expire_hour(lake, HOUR)
    assert expired_rows(lake.open("raw_telemetry"), HOUR) == first.rows + second.rows
    assert_accounted(lake)


def test_only_old_and_quiet_hours_expire(lake: Lake) -> None:
    trickle(lake, 0, 1)
    assert old_hours(lake, "raw_telemetry", NOW) == []  # the hour ended half an hour after
    assert old_hours(lake, "raw_telemetry", NOW + timedelta(hours=1)) == [HOUR]
    rows = placed(batch(1), start=6, append_time=NOW + timedelta(days=5))
    land(lake, SOURCE, {0: (6, 12)}, rows)
    assert old_hours(lake, "raw_telemetry", NOW + timedelta(days=2)) == []


def test_a_landing_during_an_expiry_is_not_taken_along(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    trickle(lake, 0, 2)
    values = batch(2)
    snapshot = type(lake.open("telemetry"))
    commit, met = snapshot.commit_actions, []

    def meeting(self: Any, *args: Any, **options: Any) -> None:
        if not met:
            met.append(True)
            land_values(lake, values, start=2 * len(values))
        return commit(self, *args, **options)

    monkeypatch.setattr(snapshot, "commit_actions", meeting)
    assert expire_hour(lake, HOUR).kept_because is None
    (waiting,) = account(lake, [HOUR])
    assert (waiting.pending, waiting.differences) == (len(values), [])
    refresh(lake)
    assert_accounted(lake)


def test_expiry_gives_way_to_a_compaction(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    trickle(lake, 0, 2)
    snapshot = type(lake.open("telemetry"))
    commit, met = snapshot.commit_actions, []

    def meeting(self: Any, *args: Any, **options: Any) -> None:
        if not met:
            met.append(True)
            compact(lake, "raw_telemetry", HOUR, files(lake, "raw_telemetry"))
        return commit(self, *args, **options)

    monkeypatch.setattr(snapshot, "commit_actions", meeting)
    with_ = expire_hour(lake, HOUR)
    assert with_.kept_because == "another writer changed its files meanwhile"
    assert_accounted(lake)
    assert expire_hour(lake, HOUR).kept_because is None
    assert_accounted(lake)


# --- the plan ---


def test_every_table_can_be_compacted() -> None:
    assert set(compaction.SORTED_BY) == {contract.name for contract in CONTRACTS}


def described(*files: tuple[str, int, str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "path": [name for name, *_ in files],
            "num_records": [rows for _, rows, *_ in files],
            "min.vehicle_id": [low for _, _, low, _ in files],
            "max.vehicle_id": [high for *_, high in files],
            "modification_time": [datetime(2026, 2, 1, 6, tzinfo=UTC).replace(tzinfo=None)]
            * len(files),
        }
    )


LARGE = 2_000_000
AT_SIX = datetime(2026, 2, 1, 6, tzinfo=UTC).replace(tzinfo=None)  # as deltalake says it
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
SOON = datetime(2026, 2, 1, 6, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("files", "now", "expected"),
    [
        ([("compacted-a", 5, "a", "z")], NOON, []),
        ([("part-a", 5, "a", "z")], NOON, ["part-a"]),
        ([("part-a", 5, "a", "z")], SOON, []),
        (
            [("compacted-a", LARGE, "a", "m"), ("part-b", 5, "a", "z"), ("part-c", 5, "a", "z")],
            NOON,
            ["part-b", "part-c"],
        ),
        (
            [("compacted-a", 50, "a", "m"), ("part-b", 5, "a", "z")],
            NOON,
            ["compacted-a", "part-b"],
        ),
        (
            [(f"compacted-{i}", LARGE, "a", "z") for i in range(5)],
            NOON,
            [f"compacted-{i}" for i in range(5)],
        ),
        ([(f"compacted-{i}", LARGE, f"{i}", f"{i + 1}") for i in range(5)], NOON, []),
    ],
    ids=["good", "one loose", "not quiet", "large stays", "small merges", "overlap", "neighbours"],
)
def test_the_plan(
    files: list[tuple[str, int, str, str]], now: datetime, expected: list[str]
) -> None:
    assert files_to_merge("telemetry", described(*files), now, closed=True) == expected


def test_one_loose_file_of_another_table_is_good_as_it_is() -> None:
    one = described(("part-a", 5, "a", "z"))
    assert files_to_merge("raw_telemetry", one, NOON, closed=True) == []
