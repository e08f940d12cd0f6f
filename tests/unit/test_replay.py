"""The replay: bytes as they are, trips moved whole."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_assets.errors import FleetError
from fleet_assets.fleet_sim.draws import Ints
from fleet_assets.fleet_sim.progress import Progress
from fleet_assets.fleet_sim.rebase import PAUSE, TRIP_GAP, move_timestamp, parse_timestamp, shifts
from fleet_assets.fleet_sim.recording import head, with_time
from fleet_assets.fleet_sim.replay import Replay
from fleet_assets.fleet_sim.sinks import FileSink
from fleet_assets.fleet_sim.times import iso, parse_time

REAL = Path(__file__).parents[3] / "shared" / "data" / "real_trips.ndjson.zst"
END = "2026-03-01T00:00:00.000Z"
GAP_MS = TRIP_GAP // timedelta(milliseconds=1)
PAUSE_MS = PAUSE // timedelta(milliseconds=1)
real_data = pytest.mark.skipif(not REAL.exists(), reason=f"real trips are not at {REAL}")


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**8)), min_size=1, max_size=60),
    st.integers(0, 2 * 10**12),
)
def test_rebase_keeps_timing_within_trips_and_ends_at_the_time(
    messages: list[tuple[int, int]], end_ms: int
) -> None:
    vehicle = np.array([v for v, _ in messages])
    time = np.array([t for _, t in messages])
    moved = time + shifts(vehicle, time, np.zeros(time.size, np.bool_), end_ms)
    for one in np.unique(vehicle):
        mine = vehicle == one
        assert moved[mine].max() == end_ms
        order = np.argsort(time[mine], kind="stable")
        before, after = np.diff(time[mine][order]), np.diff(moved[mine][order])
        within = before <= GAP_MS
        assert (before[within] == after[within]).all()
        assert (after[~within] == PAUSE_MS).all()


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("2019-05-01T00:00:02.000Z", "2019-05-01T00:00:03.001Z"),
        ("2019-05-01T23:59:59.9995Z", "2019-05-02T00:00:01.0005Z"),
        ("2019-05-01 00:00:02,123456+02:00", "2019-05-01 00:00:03,124456+02:00"),
        ("2019-05-01T00:00:02.000-0530", "2019-05-01T00:00:03.001-0530"),
    ],
)
def test_a_moved_timestamp_is_written_as_it_was(text: str, moved: str) -> None:
    assert move_timestamp(text, 1001) == f'"{moved}"'
    before, after = parse_timestamp(text), parse_timestamp(moved)
    assert before is not None
    assert after is not None
    assert after[0] - before[0] == 1001


def test_epoch_milliseconds_move_too() -> None:
    assert move_timestamp(1_556_668_800_000, -1000) == "1556668799000"


@given(
    st.integers(300_000_000_000, 2_200_000_000_000),
    st.integers(-(10**11), 10**11),
)
def test_quick_and_general_road_agree(time_ms: int, shift_ms: int) -> None:
    text = iso(time_ms)
    general = text.replace("Z", "+00:00")
    assert parse_timestamp(text) == parse_timestamp(general)
    assert move_timestamp(text, shift_ms) == move_timestamp(general, shift_ms).replace(
        "+00:00", "Z"
    )


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2019-05-01T00:00:02.000",
        "2019-13-01T00:00:02.000Z",
        "2019-05-01T00:61:02.000Z",
    ],
)
def test_a_text_that_names_no_moment_is_no_timestamp(text: str) -> None:
    assert parse_timestamp(text) is None


def test_only_the_outer_timestamp_is_moved() -> None:
    old, new = "2019-05-01T00:00:02.000Z", "2019-05-01T00:00:03.000Z"
    inner = f'"trip": {{"timestamp":"{old}"}}, "note":"\\"timestamp\\":1"'
    line = f'{{{inner}, "vehicle_id":"A", "timestamp" : "{old}" ,"x":1.50}}'
    moved = with_time(line.encode(), old, 1000).decode()
    assert moved == line.replace(f'"timestamp" : "{old}"', f'"timestamp" : "{new}"')
    assert json.loads(moved)["timestamp"] == new


def test_lines_that_say_nothing_are_sent_as_they_are_and_counted(tmp_path: Path) -> None:
    good = b'{"vehicle_id":"A","timestamp":"2019-05-01T00:00:02.000Z","speed":1.0}'
    bad = [
        b"",
        b"not json",
        b"[1]",
        b'{"vehicle_id":"A"}',
        good[:-9],
        good.replace(b"Z", b""),
        b"\xff",
    ]
    source, target = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    source.write_bytes(b"\n".join([good, *bad, good]) + b"\n")
    job = replay(source, target, rebase=END)
    lines = target.read_bytes().split(b"\n")[:-1]
    assert lines[1:-1] == bad
    assert json.loads(lines[0])["timestamp"] == END
    assert (job.outcome.sent, job.outcome.unreadable) == (len(bad) + 2, len(bad))


def replay(
    source: Path, target: Path, rebase: str | None = None, limit: int | None = None,
    *, in_order: bool = False,
) -> Replay:  # fmt: skip
    job = Replay(source, parse_time(rebase) if rebase else None, limit, in_order=in_order)
    with Progress("test", None, shown=False) as progress, FileSink(target) as sink:
        job.run(sink, "max", progress)
    return job


def test_in_step_with_the_clock_messages_come_in_order_of_time(tmp_path: Path) -> None:
    source, target = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    times = {
        "A": ["2019-05-01T00:00:00.000Z", "2019-05-01T00:00:02.000Z"],
        "B": ["2020-01-01T00:00:00.000Z"],
    }
    lines = [json.dumps({"vehicle_id": v, "timestamp": t}) for v, ts in times.items() for t in ts]
    source.write_text("\n".join(lines) + "\n")
    replay(source, target, rebase=END, in_order=True)
    stamps = [json.loads(line)["timestamp"] for line in target.read_text().splitlines()]
    assert stamps == sorted(stamps) == ["2026-02-28T23:59:58.000Z", END, END]


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="does not exist"):
        replay(tmp_path / "none.ndjson", tmp_path / "out")


def test_a_broken_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "in.zst").write_bytes(b"this is not zstd at all")
    with pytest.raises(FleetError, match="zstd"):
        replay(tmp_path / "in.zst", tmp_path / "out")


@real_data
def test_real_lines_keep_their_bytes(tmp_path: Path) -> None:
    import zstandard

    job = replay(REAL, tmp_path / "out.ndjson", limit=60_000)
    with zstandard.open(REAL, "rb") as file:
        size = (tmp_path / "out.ndjson").stat().st_size
        assert file.read(size) == (tmp_path / "out.ndjson").read_bytes()
    assert job.outcome.sent == 60_000


@real_data
def test_real_trips_move_whole_and_conflicts_stay_conflicts() -> None:
    end_ms = parse_time(END)
    old_keys, old = keys_and_times(Replay(REAL, None, None, in_order=False))
    keys, new = keys_and_times(Replay(REAL, end_ms, None, in_order=False))
    assert keys == old_keys
    assert len(keys) - len(set(zip(keys, new.tolist(), strict=True))) == 316
    vehicle = np.array(keys)
    for one in np.unique(vehicle):
        before, after = old[vehicle == one], new[vehicle == one]
        order = np.argsort(before, kind="stable")
        steps, moved = np.diff(before[order]), np.diff(after[order])
        assert after.max() == end_ms
        assert (steps == moved)[steps <= GAP_MS].all()
        assert (moved[steps > GAP_MS] == PAUSE_MS).all()


def keys_and_times(job: Replay) -> tuple[list[bytes | None], Ints]:
    """What a consumer reads from the lines, not what the replay believes."""
    keys: list[bytes | None] = []
    times = []
    for batch in job.batches():
        keys += batch.keys
        times += [found[2] for line in batch.lines if (found := head(line)) is not None]
    return keys, np.array(times)
