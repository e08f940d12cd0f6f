"""The lake after crashes, conflicts and late news: nothing lost, nothing twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet
import pytest
from deltalake import DeltaTable
from dying import dying_at
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

from fleet_assets.lake import landing
from fleet_assets.lake import refresh as refresh_module
from fleet_assets.lake.compaction import compact
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.landed import waiting_since
from fleet_assets.lake.landing import AlreadyLandedError, land
from fleet_assets.lake.messages import newest_raw_versions
from fleet_assets.lake.refresh import FOLLOWERS, HourRefreshed, refresh_hour
from fleet_assets.lake.store import CommitConflictError, Lake, TableSnapshot

KNOWN = frozenset({"v1", "v2"})
TABLES = ("telemetry", *FOLLOWERS)
BATCHES: list[list[bytes | None]] = [
    [message(speed=1), message("v2", speed=2), b"oops", message("stranger")],
    [message(speed=1), message("v2", speed=3), message("v1", "2026-02-01T05:00:01Z")],
    [message("v2", speed=2), None],
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def land_all(lake: Lake, batches: list[list[bytes | None]] = BATCHES) -> None:
    start = 0
    for batch in batches:
        land_values(lake, batch, start)
        start += len(batch)


def refresh(lake: Lake, **options: Any) -> HourRefreshed:
    return refresh_hour(lake, HOUR, options.pop("known", KNOWN), LATE_AFTER, **options)


def contents(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the hour's tables, without the history of revisions."""
    return {
        name: sorted_rows(lake.open(name).read(HOUR).drop("revisions", strict=False))
        for name in TABLES
    }


def rebuilt_elsewhere(lake: Lake, known: frozenset[str] = KNOWN) -> dict[str, Any]:
    refresh(lake, force_rebuild=True, known=known)
    return contents(lake)


def assert_accounted(lake: Lake, event_hour: str = HOUR) -> None:
    (found,) = account(lake, [event_hour])
    assert (found.differences, found.pending) == ([], 0)


def test_a_backlog_is_taken_in_by_steps_that_fit_in_memory(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_all(lake)
    monkeypatch.setattr(refresh_module, "STEP_MESSAGES", 1)
    commits_before = lake.open("telemetry").version
    refreshed = refresh(lake)
    assert lake.open("telemetry").version - commits_before == len(BATCHES)
    assert refreshed.new_messages == sum(len(batch) for batch in BATCHES)
    assert_accounted(lake)
    assert contents(lake) == rebuilt_elsewhere(lake)


def test_a_rebuild_from_an_old_snapshot_misses_nothing(lake: Lake) -> None:
    land_values(lake, BATCHES[0])
    old = lake.open("raw_telemetry")
    land_values(lake, BATCHES[1], start=len(BATCHES[0]))
    refresh(lake)
    before = contents(lake)
    refresh(lake, raw=old, force_rebuild=True)
    assert contents(lake) == before


# --- landing ---


def test_a_range_lands_once(lake: Lake) -> None:
    land_values(lake, [message(speed=1)] * 3)
    with pytest.raises(AlreadyLandedError, match="landed up to 3"):
        land_values(lake, [message(speed=1)] * 3)
    with pytest.raises(AlreadyLandedError):
        land_values(lake, [message(speed=1)], start=5)
    land_values(lake, [message(speed=1)], start=3)
    assert lake.open("raw_telemetry").read().height == 4
    assert lake.open("landings").read()["offset_end"].to_list() in ([3, 4], [4, 3])
    assert offset_differences(lake) == []


def test_a_commit_from_a_stale_snapshot_conflicts(lake: Lake) -> None:
    stale = lake.open("raw_telemetry")
    rows = stale.contract.polars_schema.to_frame()
    commit_nothing(lake, "raw_telemetry", {"somebody": 1})
    with pytest.raises(CommitConflictError):
        stale.append(rows, {"else": 1}, {})


def test_a_landing_that_meets_another_is_tried_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, met = TableSnapshot.append, []

    def meeting(self: TableSnapshot, *args: Any) -> int:
        if not met:
            met.append(True)
            land_values(lake, [message("v2")], partition=1)
        return append(self, *args)

    monkeypatch.setattr(TableSnapshot, "append", meeting)
    landed = land_values(lake, [message("v1")])
    raw = lake.open("raw_telemetry").read()
    assert sorted(raw["kafka_partition"].to_list()) == [0, 1]
    mine = raw.filter(pl.col("kafka_partition") == 0)
    assert mine["landing_version"].to_list() == [landed.version]
    assert raw["landing_version"].n_unique() == 2
    assert offset_differences(lake) == []


def test_a_landing_loses_the_race_for_its_own_range(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, met = TableSnapshot.append, []

    def meeting(self: TableSnapshot, *args: Any) -> int:
        if not met:
            met.append(True)
            land_values(lake, [message("v1")])
        return append(self, *args)

    monkeypatch.setattr(TableSnapshot, "append", meeting)
    with pytest.raises(AlreadyLandedError):
        land_values(lake, [message("v1")])
    assert lake.open("raw_telemetry").read().height == 1


def test_the_record_that_a_crash_left_out_is_added_by_the_next_landing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    land_values(lake, [message(speed=1)] * 2)
    with monkeypatch.context() as patched:
        patched.setattr(landing, "_record", crash)
        with pytest.raises(KeyboardInterrupt):
            land_values(lake, [message(speed=1)] * 3, start=2)
    assert lake.open("landings").read().height == 1
    assert offset_differences(lake) == []  # the note in the commit stands for the record
    land_values(lake, [message(speed=1)], start=5)
    recorded = lake.open("landings").read().sort("offset_start")
    assert recorded.select("offset_start", "offset_end", "messages", "holes").rows() == [
        (0, 2, 2, 0), (2, 5, 3, 0), (5, 6, 1, 0),
    ]  # fmt: skip
    assert recorded["landing_version"].is_unique().all()
    assert offset_differences(lake) == []


def test_a_crash_in_the_very_first_landing_is_healed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(landing, "_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            land_values(lake, [message(speed=1)] * 3)
    land_values(lake, [message(speed=1)], start=3)
    assert lake.open("landings").read().sort("offset_start")["offset_start"].to_list() == [0, 3]
    assert offset_differences(lake) == []


def test_a_record_that_was_left_out_is_found_behind_any_number_of_other_commits(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(landing, "_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            land_values(lake, [message(speed=1)] * 3)
    for _ in range(25):
        commit_nothing(lake, "raw_telemetry")
    land_values(lake, [message(speed=1)], start=3)
    assert lake.open("landings").read()["offset_start"].sort().to_list() == [0, 3]


def test_a_landing_that_meets_one_which_then_crashes_records_both(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, met = TableSnapshot.append, []

    def meeting(self: TableSnapshot, *args: Any) -> int:
        if not met:
            met.append(True)
            with monkeypatch.context() as patched:
                patched.setattr(landing, "_record", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    land_values(lake, [message("v2")], partition=1)
        return append(self, *args)

    monkeypatch.setattr(TableSnapshot, "append", meeting)
    land_values(lake, [message("v1")])
    assert sorted(lake.open("landings").read()["kafka_partition"]) == [0, 1]
    assert offset_differences(lake) == []


def test_where_all_is_recorded_the_history_is_not_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_values(lake, [message()])

    def read(*_: Any) -> Any:
        raise AssertionError("the history was read")

    monkeypatch.setattr(DeltaTable, "history", read)
    land_values(lake, [message()], start=1)


def test_a_lake_that_landed_before_landings_were_named_is_healed_too(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = TableSnapshot.append

    def unnamed(self: TableSnapshot, rows: Any, progress: dict[str, int], note: Any) -> int:
        return append(self, rows, {k: v for k, v in progress.items() if k != "landing"}, note)

    with monkeypatch.context() as patched:
        patched.setattr(TableSnapshot, "append", unnamed)
        patched.setattr(landing, "_record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            land_values(lake, [message(speed=1)] * 3)
    land_values(lake, [message(speed=1)], start=3)
    assert lake.open("landings").read()["offset_start"].sort().to_list() == [0, 3]


@pytest.mark.parametrize("moment", ["before_write", "files_written", "raw_committed", "recorded"])
def test_a_landing_that_dies_anywhere_is_whole_or_not_there(lake: Lake, moment: str) -> None:
    land_values(lake, [message("v1")])
    with dying_at(f"landing.{moment}") as died:
        land_values(lake, [message("v2"), None], start=1)
    assert died
    is_there = moment in ("raw_committed", "recorded")
    assert lake.open("raw_telemetry").read().height == (3 if is_there else 1)
    if is_there:
        with pytest.raises(AlreadyLandedError):
            land_values(lake, [message("v2"), None], start=1)
    else:
        land_values(lake, [message("v2"), None], start=1)
    land_values(lake, [message("v2")], start=3)
    assert lake.open("raw_telemetry").read()["kafka_offset"].sort().to_list() == [0, 1, 2, 3]
    assert lake.open("landings").read()["offset_start"].sort().to_list() == [0, 1, 3]
    assert offset_differences(lake) == []


def test_a_landing_writes_a_file_for_each_hour_with_its_bounds(lake: Lake) -> None:
    times = [f"2026-02-01T0{hour}:00:0{second}Z" for second in range(3) for hour in (3, 1, 2)]
    land_values(lake, [*(message(timestamp=time) for time in times), None, b"\xff"])
    raw = lake.open("raw_telemetry")
    files = raw.files.sort("event_hour")
    assert files["event_hour"].to_list() == [f"2026-02-01T0{hour}" for hour in (1, 2, 3, 5)]
    assert files["num_records"].to_list() == [3, 3, 3, 2]
    for file in files.iter_rows(named=True):
        rows = raw.read(file["event_hour"])
        assert rows["kafka_offset"].is_sorted()
        for name in ("landing_version", "kafka_partition", "kafka_offset"):
            assert (file[f"min.{name}"], file[f"max.{name}"]) == (
                rows[name].min(),
                rows[name].max(),
            )
        assert file["min.append_time"] == rows["append_time"].min()
        assert file["null_count.replay_of"] == rows.height
        assert file["size_bytes"] == Path(lake.url, "raw_telemetry", file["path"]).stat().st_size
    assert raw.read().sort("kafka_offset")["value"].to_list()[-2:] == [None, b"\xff"]
    schema = pyarrow.parquet.read_schema(Path(lake.url, "raw_telemetry", files["path"][0]))
    nullable = {column.name: column.nullable for column in raw.contract.columns}
    assert {f.name: f.nullable for f in schema} == {
        name: may for name, may in nullable.items() if name != "event_hour"
    }


def test_holes_and_lost_offsets_are_recorded(lake: Lake) -> None:
    rows = placed([message(speed=1)] * 2, start=14).with_columns(
        offset_start=pl.lit(10, dtype=pl.Int64), offset_end=pl.lit(20, dtype=pl.Int64)
    )
    land(lake, SOURCE, {0: (10, 20)}, rows, {0: 3})
    found = lake.open("landings").read().row(0, named=True)
    assert (found["messages"], found["holes"], found["lost"]) == (2, 5, 3)


def test_a_range_without_messages_moves_the_offset(lake: Lake) -> None:
    land(lake, SOURCE, {0: (0, 7)}, placed([]))
    land_values(lake, [message(speed=1)], start=7)
    assert lake.open("raw_telemetry").read().height == 1
    assert offset_differences(lake) == []


# --- refresh ---


def test_refreshing_after_each_landing_equals_a_rebuild(lake: Lake) -> None:
    start = 0
    for batch in BATCHES:
        land_values(lake, batch, start)
        start += len(batch)
        done = refresh(lake)
        assert done.rebuilt is False or start == len(BATCHES[0])
        assert_accounted(lake)
    stepped = contents(lake)
    assert stepped == rebuilt_elsewhere(lake)
    assert_accounted(lake)


def test_refreshing_twice_changes_nothing(lake: Lake) -> None:
    land_all(lake)
    refresh(lake)
    versions = {name: lake.open(name).version for name in TABLES}
    again = refresh(lake)
    assert again.new_messages == 0
    assert {name: lake.open(name).version for name in TABLES} == versions


@pytest.mark.parametrize("first", [True, False], ids=["first refresh", "later refresh"])
@pytest.mark.parametrize("broken", FOLLOWERS)
def test_a_crash_after_the_commit_to_telemetry_is_healed_by_the_next_refresh(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, broken: str, first: bool
) -> None:
    if not first:
        land_all(lake, BATCHES[:1])
        refresh(lake)
    for batch in BATCHES if first else BATCHES[1:]:
        start = sum(map(len, BATCHES[: BATCHES.index(batch)]))
        land_values(lake, batch, start)
    write = TableSnapshot.commit_actions

    def crash(self: TableSnapshot, *args: Any, **options: Any) -> None:
        if self.contract.name == broken:
            raise KeyboardInterrupt
        write(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(TableSnapshot, "commit_actions", crash)
        with pytest.raises(KeyboardInterrupt):
            refresh(lake)
    (half,) = account(lake, [HOUR])
    assert half.in_line is False
    assert refresh(lake).rebuilt
    healed = contents(lake)
    assert_accounted(lake)
    assert healed == rebuilt_elsewhere(lake)


@pytest.mark.parametrize("table", TABLES)
def test_two_refreshes_of_an_hour_at_once_count_nothing_twice(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    land_all(lake, BATCHES[:1])
    refresh(lake)
    land_values(lake, BATCHES[1], start=len(BATCHES[0]))
    write, met = TableSnapshot.commit_actions, []

    def meeting(self: TableSnapshot, *args: Any, **options: Any) -> None:
        if self.contract.name == table and not met:
            met.append(True)
            refresh(lake)
        write(self, *args, **options)

    monkeypatch.setattr(TableSnapshot, "commit_actions", meeting)
    refresh(lake)
    assert_accounted(lake)
    assert contents(lake) == rebuilt_elsewhere(lake)


def test_registering_a_vehicle_brings_its_messages_back(lake: Lake) -> None:
    land_all(lake)
    refresh(lake)
    before = lake.open("telemetry").read(HOUR)
    assert "stranger" not in before["vehicle_id"].to_list()
    more = KNOWN | {"stranger"}
    refresh(lake, known=more)
    after = contents(lake)
    assert "stranger" in lake.open("telemetry").read(HOUR)["vehicle_id"].to_list()
    assert_accounted(lake)
    assert after == rebuilt_elsewhere(lake, more)
    assert refresh(lake, known=more).rebuilt is False


def test_a_landing_during_a_refresh_is_taken_in_by_the_next(lake: Lake) -> None:
    land_values(lake, [message(speed=1)])
    snapshot = lake.open("raw_telemetry")
    land_values(lake, [message("v2", speed=1)], start=1)
    assert refresh(lake, raw=snapshot).new_messages == 2
    assert_accounted(lake)
    assert refresh(lake).new_messages == 0


def test_a_corrupted_raw_file_fails_only_its_hour(lake: Lake) -> None:
    both = [message(speed=1), message("v1", "2026-02-01T04:00:00Z")]
    land_values(lake, both)
    (broken,) = Path(lake.url, "raw_telemetry", f"event_hour={HOUR}").glob("*.parquet")
    broken.write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")
    with pytest.raises(pl.exceptions.PolarsError):
        refresh(lake)
    refresh_hour(lake, "2026-02-01T04", KNOWN, LATE_AFTER)
    assert_accounted(lake, "2026-02-01T04")
    assert lake.open("telemetry").read(HOUR).is_empty()


def test_finding_a_table_that_is_missing_makes_nothing(lake: Lake) -> None:
    assert lake.find("telemetry") is None
    assert not Path(lake.url).exists()


def test_what_waits_is_told_apart_from_what_is_shown_within_one_file(lake: Lake) -> None:
    later = NOW + timedelta(minutes=20)
    land_values(lake, [message(speed=1)] * 3)
    shown = newest_raw_versions(lake.open("raw_telemetry"))
    land_values(lake, [message(speed=2)], start=3, append_time=later)
    newest = newest_raw_versions(lake.open("raw_telemetry"))
    for merged in (False, True):
        if merged:
            compact(lake, "raw_telemetry", HOUR, lake.open("raw_telemetry").files["path"].to_list())
            assert lake.open("raw_telemetry").files.height == 1
        raw = lake.open("raw_telemetry")
        assert waiting_since(raw, shown) == {HOUR: later}
        assert waiting_since(raw, {}) == {HOUR: NOW}
        assert waiting_since(raw, newest) == {}
