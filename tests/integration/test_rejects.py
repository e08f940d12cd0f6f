"""`fleet rejects`: what was refused is found, mended, sent again once, and counted once.

The tests follow one another on one lake. Each run of dbt takes seconds, so most look at the lake.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from installation import Installation
from platform_run import Message, PlatformRun, platform_run
from telemetry_data import LATE_AFTER, message
from typer.testing import CliRunner
from warehouse_data import vehicle

from fleet_assets.commands import rejects
from fleet_assets.errors import FleetError
from fleet_assets.lake.refresh import newest_raw_versions, refresh_hour
from fleet_assets.warehouse.from_lake import load_hour
from fleet_assets.warehouse.reject_replays import only_replayer
from fleet_assets.warehouse.vehicles import import_vehicles

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
]  # services, and dbt several times, on a busy machine

HOUR = "2020-03-01T05"
MIB = 1024**2


def renamed(second: int, **values: Any) -> bytes:
    """A message of T-1 whose sender calls its key vid."""
    at = f"2020-03-01T05:00:{second:02}Z"
    return message("T-1", at, speed=30, **values).replace(b"vehicle_id", b"vid")


RENAMED = [renamed(1), renamed(2), renamed(3), renamed(4, note="x" * (MIB + 1000))]
OTHERS: list[Message] = [
    (b"T-2", b"\xff\xfe\x00"),
    (b"T-2", None),
    (b"T-9", message("T-9", "2020-03-01T05:00:00Z", speed=30)),
    (b"T-1", message("T-2", "2020-03-01T05:00:00Z", speed=30)),
]
MISMATCH = "1/7"
FIX = ["--reason", "missing_vehicle_id", "--rename", "vid=vehicle_id"]


@pytest.fixture(scope="module")
def flow(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("rejects")
    settings = {"partitions_start": "2020-01-01T00:00Z", "late_interval": "PT0S"}
    with platform_run(services, "rejects", flow_home, lake, **settings) as run:
        import_vehicles(run.postgres_url, [vehicle(1), vehicle(2)], "test")
        run.produce([(None, value) for value in RENAMED], partition=1)
        run.produce(OTHERS, partition=1)
        run.land()
        assert all(result.success for result in run.refresh())
        yield run


def fleet(*words: str) -> str:
    app = typer.Typer()
    rejects.register(app)
    result = CliRunner().invoke(app, ["rejects", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def killed(point: str, *words: str) -> None:
    """The command, killed at a fault point."""
    code = "import sys; from fleet_assets.cli import main; sys.argv[1:1] = ['rejects']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "FLEET_FAULT_POINT": point},
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == -signal.SIGKILL


def listed(*words: str) -> dict[str, Any]:
    found = json.loads(fleet("list", "--format", "json", "--limit", "1000", *words))
    # a topic id may hold slashes of its own
    return {"/".join(row["coordinates"].split("/")[-2:]): row for row in found["rejects"]}


def states(*words: str) -> dict[str, str]:
    return {at: row["state"] for at, row in listed(*words).items()}


def take_in(flow: PlatformRun) -> None:
    """Land, refresh and load, without the marts."""
    flow.land()
    for hour in newest_raw_versions(flow.lake.open("raw_telemetry")):
        refresh_hour(flow.lake, hour, frozenset({"T-1", "T-2"}), LATE_AFTER)
        load_hour(flow.lake, flow.postgres_url, hour, None)


def messages_in_kafka(flow: PlatformRun) -> int:
    return sum(high - low for low, high in flow.watermarks().values())


def quality(flow: PlatformRun) -> tuple[Any, ...]:
    (row,) = flow.query(
        "select sum(read), sum(accepted), sum(rejected), sum(replayed), sum(resolved_by_replay),"
        " sum(open_rejects) from marts.mart_data_quality"
    )
    return tuple(map(int, row))


def test_rejects_are_listed_by_reason_vehicle_and_time(flow: PlatformRun) -> None:
    assert len(listed()) == 8
    assert set(listed("--reason", "missing_vehicle_id")) == {"1/0", "1/1", "1/2", "1/3"}
    assert set(listed("--vehicle", "T-9")) == {"1/6"}
    assert listed("--from", "2020-01-01", "--to", "2020-01-02") == {}
    assert len(listed("--from", "2020-01-01")) == 8
    assert "register the vehicle" in fleet("list")
    assert fleet("list", "--format", "csv", "--limit", "2").count("\n") == 3
    with pytest.raises(FleetError, match="known are"):
        fleet("list", "--reason", "ugly")


def test_a_reject_is_shown_with_its_bytes(flow: PlatformRun) -> None:
    assert "hex fffe00" in fleet("show", "1/4")
    assert json.loads(fleet("show", "1/5", "--json"))["value"] is None
    told = json.loads(fleet("show", "1/0", "--json"))
    assert (told["reason"], told["value"]) == ("missing_vehicle_id", RENAMED[0].decode())
    assert told["dead_letters"].startswith("0/")
    with pytest.raises(FleetError, match="no message with these coordinates"):
        fleet("show", "2/77")
    with pytest.raises(FleetError, match="names no message"):
        fleet("show", "first")


def test_a_dry_run_says_what_would_happen_and_changes_nothing(flow: PlatformRun) -> None:
    before = messages_in_kafka(flow)
    told = fleet("replay", *FIX, "--dry-run")
    assert "4 to send" in told
    assert '"vehicle_id":"T-1"' in told
    everything = fleet("replay", "--dry-run")
    assert "1 to send" in everything  # under its own key, the message of T-2 is right
    assert "would be rejected again: missing_vehicle_id" in everything
    assert "needs no replay: unknown_vehicle" in everything
    with pytest.raises(FleetError, match="--yes"):
        fleet("replay", *FIX)
    assert messages_in_kafka(flow) == before
    assert flow.query("select count(*) from warehouse.reject_replays") == [(0,)]


def test_a_kill_before_sending_leaves_the_reject_open(flow: PlatformRun) -> None:
    before = messages_in_kafka(flow)
    killed("rejects.intent", "replay", *FIX, "--limit", "1", "--yes")
    assert flow.query("select count(*) from warehouse.reject_replays") == [(1,)]
    assert "1 had not" in fleet("replay", "1/4", "--yes")
    assert flow.query("select count(*) from warehouse.reject_replays") == [(0,)]
    assert messages_in_kafka(flow) == before
    assert set(states().values()) == {"open"}


def test_a_kill_after_sending_sends_nothing_twice(flow: PlatformRun) -> None:
    before = messages_in_kafka(flow)
    killed("rejects.produced", "replay", *FIX, "--limit", "1", "--yes")
    assert messages_in_kafka(flow) == before + 1
    told = fleet("replay", *FIX, "--limit", "1", "--yes")  # Kafka knows it, the lake not yet
    assert "1 of its messages had been sent" in told
    assert "1 left out: replayed already" in told
    assert messages_in_kafka(flow) == before + 2
    killed("rejects.produced", "replay", *FIX, "--limit", "1", "--yes")
    flow.land()  # now the lake knows it
    told = fleet("replay", *FIX, "--yes")
    assert "1 of its messages had been sent" in told
    assert "Sent 1 of 1" in told
    assert messages_in_kafka(flow) == before + 4


def test_replays_are_accepted_and_counted_once(flow: PlatformRun) -> None:
    assert quality(flow) == (8, 0, 8, 0, 0, 8)
    flow.land()
    assert all(result.success for result in flow.refresh())
    rows = flow.rows("telemetry", HOUR)
    assert rows["vehicle_id"].to_list() == ["T-1"] * 4
    assert rows["extra"].str.len_chars().max() > MIB
    assert quality(flow) == (12, 4, 8, 4, 4, 4)
    counts = flow.rows("telemetry_outcomes").select(pl.col("read", "rejected", "replayed").sum())
    assert counts.row(0) == (12, 8, 4)
    assert set(flow.verdicts("telemetry_outcomes", "conservation").values()) == {True}
    assert set(listed()) == {"1/4", "1/5", "1/6", MISMATCH}
    assert states("--all")["1/0"] == "resolved"
    told = json.loads(fleet("show", "1/0", "--json"))["replays"]
    assert [one["outcome"] for one in told] == ["accepted"]
    assert told[0]["mapping"]["renames"] == [["vid", "vehicle_id"]]


def test_what_was_replayed_is_not_sent_again_unless_asked(flow: PlatformRun) -> None:
    before = messages_in_kafka(flow)
    assert "4 left out: replayed already" in fleet("replay", *FIX, "--yes")
    assert messages_in_kafka(flow) == before
    with only_replayer(flow.postgres_url), pytest.raises(FleetError, match="under way"):
        fleet("replay", *FIX, "--yes")


def test_a_replay_that_is_rejected_too_stays_with_its_origin(flow: PlatformRun) -> None:
    origin = next(iter(listed("--reason", "key_mismatch").values()))["coordinates"]
    flow.produce([(b"T-1", b"[]")], partition=0, headers=[("fleet-replay-of", origin.encode())])
    assert "Sent 1 of 1" in fleet("replay", "1/0", "--again", "--rename", "vid=vehicle_id", "--yes")
    take_in(flow)
    assert states()[MISMATCH] == "replayed"
    assert listed()[MISMATCH]["outcome"] == "rejected again: not_an_object"
    assert sorted(states("--all").values()).count("replay") == 1
    assert len(json.loads(fleet("show", "1/0", "--json"))["replays"]) == 2


def test_a_key_that_names_another_vehicle_is_mended_by_sending_it_again(flow: PlatformRun) -> None:
    assert "1 left out: replayed already" in fleet("replay", MISMATCH, "--yes")
    assert "Sent 1 of 1" in fleet("replay", MISMATCH, "--again", "--yes")
    take_in(flow)
    assert "T-2" in flow.rows("telemetry", HOUR)["vehicle_id"].to_list()
    assert states("--all")[MISMATCH] == "resolved"


def test_a_reject_that_comes_back_by_registration_is_open_no_more(flow: PlatformRun) -> None:
    import_vehicles(flow.postgres_url, [vehicle(9)], "test")
    assert all(result.success for result in flow.refresh())
    # of seven replays one repeats what is there, and one is rejected: no reject of its own
    assert quality(flow) == (15, 6, 8, 7, 5, 2)
    assert set(listed()) == {"1/4", "1/5"}
    batches = flow.query(
        "select requested_by <> '', planned, sent from warehouse.reject_replay_batches"
        " where finished_at is not null order by batch_id"
    )
    assert set(batches) == {(True, 1, 1)}
