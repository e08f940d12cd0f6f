"""What is old goes to the archive and nothing is lost: verified, held, killed, restored."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.fs
import pytest
from dying import dying_at
from s3_server import s3_server
from telemetry_data import (
    HOUR,
    LATE_AFTER,
    NOW,
    SOURCE,
    land_values,
    message,
    placed,
    sorted_rows,
)

from fleet_assets.contracts.tables import TABLE_BY_NAME
from fleet_assets.lake.archive import Archive, ArchiveError
from fleet_assets.lake.conservation import account, offset_differences
from fleet_assets.lake.cut_off import cut_off_hours
from fleet_assets.lake.follow import hours_behind
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.restore import archived_keys, restore_hour
from fleet_assets.lake.restored import restored_lake
from fleet_assets.lake.retire import Going, look, old_hours, retire
from fleet_assets.lake.sql import ask
from fleet_assets.lake.store import Lake
from fleet_assets.lake.trips import refresh_trip_segments
from fleet_assets.lake.vacuum import vacuum
from fleet_assets.lake.vehicle_hours import refresh_vehicle_hours

KNOWN = frozenset({"v1", "v2"})
NEXT = "2026-02-01T06"
HOURS = (HOUR, NEXT)
HOUR_LONG = timedelta(hours=1)
OLD = NOW + timedelta(days=100)
"""A moment from which on everything is old."""
TANKS = pl.DataFrame(schema={"vehicle_id": pl.String, "tank_gallons": pl.Float64})
FIRST = ("raw_telemetry", "telemetry", "telemetry_rejects")
MADE = ("vehicle_hours", "vehicle_hour_states", "trip_segments", "vehicle_outcomes")


def at(hour: str, second: int) -> str:
    return f"{hour}:{second // 60:02}:{second % 60:02}Z"


def batch(hour: str, number: int) -> list[bytes | None]:
    return [
        message("v1", at(hour, number), speed=20 + number % 7, driver_id="d-7"),
        message("v2", at(hour, number), speed=1, firmware="x"),
        message("v2", at(hour, 0), speed=1, firmware="x"),
        b"oops",
        message("stranger", at(hour, number)),
    ]


def filled(lake: Lake) -> Lake:
    """Two hours in several files, with everything that follows from them."""
    start = 0
    for hour in HOURS:
        for number in range(3):
            values = batch(hour, number)
            land_values(lake, values, start, append_time=NOW + HOURS.index(hour) * HOUR_LONG)
            start += len(values)
            work(lake, hour)
    return lake


def work(lake: Lake, hour: str, **options: Any) -> None:
    refresh_hour(lake, hour, KNOWN, LATE_AFTER, **options)
    refresh_vehicle_hours(lake, hour, TANKS)
    refresh_trip_segments(lake, hour)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(filled(Lake(str(tmp_path_factory.mktemp("template") / "lake"))).url)


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> Lake:
    return Lake(str(shutil.copytree(template, tmp_path / "lake")))


@pytest.fixture(params=["folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    if request.param == "folder":
        yield Archive(str(tmp_path / "a archive"))
    else:
        with s3_server() as url:
            yield Archive(url)


@pytest.fixture
def folder(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


def contents(lake: Lake, tables: tuple[str, ...], hour: str = HOUR) -> dict[str, Any]:
    return {name: sorted_rows(lake.open(name).read(hour)) for name in tables}


def go(
    lake: Lake, archive: Archive | None, tables: tuple[str, ...] = FIRST, hour: str = HOUR,
    held: frozenset[str] = frozenset(),
) -> list[Going]:  # fmt: skip
    return [retire(lake, table, hour, OLD, held, archive) for table in tables]


def assert_accounted(lake: Lake) -> None:
    for found in account(lake, list(HOURS)):
        assert (found.differences, found.pending) == ([], 0), found.event_hour
    assert offset_differences(lake) == []


def files_in(archive: Archive) -> list[str]:
    selector = pyarrow.fs.FileSelector("", recursive=True, allow_not_found=True)
    return sorted(info.path for info in archive.store.get_file_info(selector) if info.is_file)


# --- archive, verify, remove, restore ---


def test_what_goes_can_be_restored_as_it_was(lake: Lake, archive: Archive) -> None:
    before = contents(lake, FIRST)
    went = go(lake, archive)
    assert [(it.table, it.kept_because) for it in went] == [(name, None) for name in FIRST]
    assert [it.rows for it in went] == [len(before[name]) for name in FIRST]
    assert contents(lake, FIRST) == {name: [] for name in FIRST}
    assert_accounted(lake)
    for table in FIRST:
        assert archived_keys(lake, archive, table, "2026-02-01T00", "2026-02-01T23") == [HOUR]
        assert restore_hour(lake, archive, table, HOUR).rows == len(before[table])
        assert restore_hour(lake, archive, table, HOUR).rows == len(before[table])  # no more
    assert contents(restored_lake(lake), FIRST) == before
    assert contents(lake, FIRST) == {name: [] for name in FIRST}
    with ask(lake, "SELECT count(*), max(speed) FROM restored_telemetry") as answer:
        assert answer.fetchall() == [(len(before["telemetry"]), 22)]
    with ask(lake, "SELECT count(*) FROM telemetry") as answer:
        assert answer.fetchall() == [(len(contents(lake, FIRST, NEXT)["telemetry"]),)]


def test_one_vehicle_may_be_restored_alone(lake: Lake, folder: Archive) -> None:
    go(lake, folder)
    restore_hour(lake, folder, "telemetry", HOUR, "v1")
    rows = restored_lake(lake).open("telemetry").read(HOUR)
    assert set(rows["vehicle_id"]) == {"v1"}
    assert rows.height == 3


def test_the_archive_holds_the_bytes_of_the_lake(lake: Lake, archive: Archive) -> None:
    paths = lake.open("telemetry").files_of([HOUR])["path"]
    was = sorted(Path(lake.url, "telemetry", path).read_bytes() for path in paths)
    go(lake, archive)
    store = archive.store
    found = [path for path in files_in(archive) if path.startswith("telemetry/")]
    assert found[0] == f"telemetry/event_hour={HOUR}/0001.json" or ".parquet" in found[0]
    copies = []
    for path in found:
        if path.endswith(".parquet"):
            with store.open_input_file(path) as content:
                copies.append(content.read())
    assert sorted(copies) == was


@pytest.mark.parametrize("harm", ["changed", "cut short", "gone"])
def test_a_damaged_archive_keeps_the_rows(
    lake: Lake, folder: Archive, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(lake, FIRST)
    verify = Archive.verify

    def damaged(self: Archive, given: Any) -> None:
        path = Path(self.url, given.files[0].path)
        content = path.read_bytes()
        if harm == "gone":
            path.unlink()
        else:
            middle = len(content) // 2
            flipped = bytes([content[middle] ^ 1])
            whole = content[:middle] + flipped + content[middle + 1 :]
            path.write_bytes(whole if harm == "changed" else content[:-9])
        verify(self, given)

    monkeypatch.setattr(Archive, "verify", damaged)
    with pytest.raises(ArchiveError, match=r"nothing is removed|cannot be read"):
        retire(lake, "raw_telemetry", HOUR, OLD, (), folder)
    assert contents(lake, FIRST) == before
    assert_accounted(lake)
    monkeypatch.setattr(Archive, "verify", verify)
    go(lake, folder)  # the next attempt replaces what was damaged
    restore_hour(lake, folder, "raw_telemetry", HOUR)
    assert contents(restored_lake(lake), ("raw_telemetry",)) == {
        "raw_telemetry": before["raw_telemetry"]
    }


def test_a_damaged_archive_is_not_restored(lake: Lake, folder: Archive) -> None:
    go(lake, folder)
    path = next(p for p in files_in(folder) if p.startswith("telemetry/") and "0001-" in p)
    Path(folder.url, path).write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(ArchiveError, match="cannot be read"):
        restore_hour(lake, folder, "telemetry", HOUR)


POINTS = (
    "archive.file_written",
    "archive.before_manifest",
    "archive.manifest_written",
    "retire.sealed",
    "retire.before_commit",
    "retire.committed",
)


@pytest.mark.parametrize("table", FIRST)
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_nothing_is_lost_and_the_next_run_finishes(
    lake: Lake, folder: Archive, table: str, point: str
) -> None:
    before = contents(lake, FIRST)
    go(lake, folder, FIRST[: FIRST.index(table)])
    with dying_at(point) as died:
        retire(lake, table, HOUR, OLD, (), folder)
    if not died:
        assert point == "retire.sealed"
        assert table != "telemetry"
    assert_accounted(lake)
    held = sorted_rows(lake.open(table).read(HOUR))
    assert held in (before[table], [])
    if not held:  # it had gone: then the archive has it
        restore_hour(lake, folder, table, HOUR)
        assert contents(restored_lake(lake), (table,))[table] == before[table]
    retire(lake, table, HOUR, OLD, (), folder)
    go(lake, folder, FIRST[FIRST.index(table) + 1 :])
    assert_accounted(lake)
    for name in FIRST:
        restore_hour(lake, folder, name, HOUR)
    assert contents(restored_lake(lake), FIRST) == before
    numbers = [path for path in files_in(folder) if path.endswith(".json")]
    assert len(numbers) == len(FIRST)


# --- order, and what follows ---


def test_telemetry_waits_for_raw_and_all_else_for_telemetry(lake: Lake, folder: Archive) -> None:
    assert look(lake, "telemetry", HOUR, OLD, ()).kept_because == "its raw messages are still there"
    for table in ("telemetry_rejects", *MADE):
        assert look(lake, table, HOUR, OLD, ()).kept_because == "its telemetry is still there"
    assert look(lake, "telemetry", HOUR, OLD, (), ["raw_telemetry"]).kept_because is None
    go(lake, folder, (*FIRST, *MADE))
    assert contents(lake, MADE) == {name: [] for name in MADE}
    assert_accounted(lake)


def test_telemetry_waits_for_what_is_made_from_it(lake: Lake, folder: Archive) -> None:
    values = batch(NEXT, 5)
    land_values(lake, values, 30, append_time=NOW + HOUR_LONG)
    go(lake, folder, ("raw_telemetry",))
    assert look(lake, "telemetry", HOUR, OLD, ()).kept_because == (
        f"{NEXT}: {len(values)} messages are not taken in yet"
    )
    refresh_hour(lake, NEXT, KNOWN, LATE_AFTER)
    refresh_vehicle_hours(lake, NEXT, TANKS)
    assert look(lake, "telemetry", HOUR, OLD, ()).kept_because == (
        f"trip_segments of {NEXT} is not in line with it yet"
    )
    refresh_trip_segments(lake, NEXT)
    assert look(lake, "telemetry", HOUR, OLD, ()).kept_because is None


def test_only_what_is_old_and_quiet_goes(lake: Lake) -> None:
    end = datetime.fromisoformat("2026-02-01T06:00:00+00:00")
    assert old_hours(lake, "raw_telemetry", end) == [HOUR]
    assert old_hours(lake, "telemetry", end) == [HOUR]
    assert old_hours(lake, "telemetry", end - timedelta(seconds=1)) == []
    late = NOW + timedelta(days=9)
    land(lake, SOURCE, {0: (30, 35)}, placed(batch(HOUR, 9), start=30, append_time=late))
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    for table in ("raw_telemetry", "telemetry", "vehicle_hours"):
        assert old_hours(lake, table, late - timedelta(seconds=1)) == [NEXT]


def test_an_hour_that_has_gone_looks_finished_and_is_never_made_anew(
    lake: Lake, folder: Archive
) -> None:
    made = contents(lake, MADE)
    after = contents(lake, (*FIRST, *MADE), NEXT)
    go(lake, folder)
    assert hours_behind(lake, "trip_segments") == []
    assert cut_off_hours(lake) == frozenset()
    everybody = KNOWN | {"stranger"}  # registered meanwhile
    for hour in HOURS:
        refresh_hour(lake, hour, everybody, LATE_AFTER, force_rebuild=True)
        refresh_vehicle_hours(lake, hour, TANKS, force=True)
        refresh_trip_segments(lake, hour, force=True)
    assert contents(lake, MADE) == made
    assert contents(lake, (*FIRST, *MADE), NEXT) == after
    assert hours_behind(lake, "trip_segments") == []
    assert_accounted(lake)


def test_what_arrives_too_late_is_refused_and_counted(lake: Lake, folder: Archive) -> None:
    go(lake, folder)
    late = NOW + timedelta(days=120)
    values = [message("v1", at(HOUR, 9), speed=3), message("v2", at(NEXT, 9), speed=3), b"oops"]
    land(lake, SOURCE, {0: (30, 33)}, placed(values, start=30, append_time=late))
    arrival = late.strftime("%Y-%m-%dT%H")
    refresh_hour(lake, arrival, KNOWN, LATE_AFTER)
    rejects = lake.open("telemetry_rejects").read(arrival)
    assert sorted(rejects["reason"]) == ["invalid_json", "too_late", "too_late"]
    assert lake.open("raw_telemetry").read(HOUR).is_empty()
    assert_accounted(lake)
    (found,) = account(lake, [arrival])
    assert (found.differences, found.read, found.rejected) == ([], 3, 3)


def test_nothing_of_it_needs_files_that_vacuum_removes(lake: Lake, folder: Archive) -> None:
    before = contents(lake, FIRST)
    go(lake, folder)
    assert vacuum(lake, timedelta(0))["telemetry"] > 0
    for hour in HOURS:
        work(lake, hour)
    assert_accounted(lake)
    restore_hour(lake, folder, "telemetry", HOUR)
    assert contents(restored_lake(lake), ("telemetry",))["telemetry"] == before["telemetry"]


# --- legal hold ---


def test_rows_of_held_vehicles_stay_and_go_once_they_are_released(
    lake: Lake, folder: Archive
) -> None:
    before = contents(lake, (*FIRST, *MADE))
    held = frozenset({"v1"})
    everything = (*FIRST, *MADE)
    go(lake, folder, everything, held=held)
    for table in everything:
        rows = lake.open(table).read(HOUR)
        assert set(rows["vehicle_id"]) == ({"v1"} if rows.height else set()), table
    assert lake.open("telemetry").read(HOUR).height == 3
    assert_accounted(lake)
    for table in FIRST:
        told = look(lake, table, HOUR, OLD, held)
        assert told.kept_because in ("all of it is held, or not over yet", "nothing is there")
    work(lake, HOUR, force_rebuild=True)
    assert lake.open("telemetry").read(HOUR).height == 3
    go(lake, folder, everything)
    assert contents(lake, everything) == {name: [] for name in everything}
    assert_accounted(lake)
    for table in everything:
        restore_hour(lake, folder, table, HOUR)
    assert contents(restored_lake(lake), everything) == before


def test_a_dry_look_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    def everything() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in Path(lake.url).rglob("*") if p.is_file()}

    before = everything()
    for table in FIRST:
        look(lake, table, HOUR, OLD, {"v1"}, ["raw_telemetry"])
    assert everything() == before
    assert not (tmp_path / "archive").exists()


def test_what_is_not_over_stays(lake: Lake) -> None:
    from fleet_assets.lake.retire import staying

    rows = pl.DataFrame(
        {
            "vehicle_id": ["a", "b", "c", "d"],
            "state": ["open", "closed", "closed", "closed"],
            "ended_at": [NOW, NOW, OLD + timedelta(days=1), NOW],
        }
    )
    condition = staying(TABLE_BY_NAME["trips"], OLD, {"d"})
    assert condition is not None
    assert rows.filter(condition)["vehicle_id"].to_list() == ["a", "c", "d"]
