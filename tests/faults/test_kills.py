"""kill -9 of every process of the platform while messages flow: nothing is lost, nothing doubled.

A load with duplicates and spoilt messages is sent in portions, and while a portion is on its way
one of the processes is killed. At the end the lake and the marts are compared with what the
simulator wrote down that it sent.
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
import psutil
import pytest
from installation import Installation
from platform_run import wait_until
from warehouse_data import query

from fleet_assets.errors import FleetError
from fleet_assets.kafka.topic import Broker, topic_state
from fleet_assets.lake.store import Lake
from fleet_assets.local.status import platform_status
from fleet_assets.local.up import UpOptions

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

VEHICLES, MINUTES = 20, 6
RATE = 1500
"""Messages a second: a portion is on its way for some seconds."""
START = "2026-01-05T{hour:02}:57:00Z"
"""Each portion begins shortly before the hour ends, so that it touches two hours."""
PORTION = ["--vehicles", str(VEHICLES), "--span", f"{MINUTES}m", "--rate", str(RATE),
           "--duplicate", "0.02", "--corrupt", "0.02", "--late", "0.02", "--late-by", "10s..5m",
           "--reorder", "0.02"]  # fmt: skip
COMMAND = "from fleet_assets.cli import main; main()"
VICTIMS = ("run worker", "daemon", "code-server", "kafka", "postgres", "supervisor")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("kills"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_LATE_INTERVAL", "PT5S")  # all hours are long closed
        installation.up(UpOptions(dagster=True))
        yield installation
        installation.stop()


def status(platform: Installation) -> dict[str, Any]:
    """What `fleet status --json` tells; `problem` if that fails while something is dead."""
    try:
        return platform_status(platform.settings).as_json()
    except Exception as error:  # whatever it is, it has to pass
        return {"problem": repr(error)}


def messages_in_kafka(platform: Installation) -> int:
    settings = platform.settings
    try:
        state = topic_state(Broker(platform.endpoints.kafka_bootstrap_servers, {}), settings.topic)
    except FleetError:
        return 0
    return sum(high for _, high in state.watermarks.values())


def is_quiet(told: dict[str, Any]) -> bool:
    """Everything sent has landed and is shown in the marts."""
    lag = told.get("lag") or {}
    return (
        told.get("problem") is None
        and bool(lag)
        and not any(lag.values())
        and told["stale_hours"] == 0
    )


def all_run(platform: Installation) -> bool:
    services = status(platform).get("services", {})
    return len(services) >= 6 and all(s["state"] == "running" for s in services.values())


class Load:
    """A portion being sent in a process of its own; `manifest` counts what was acknowledged."""

    def __init__(self, platform: Installation, folder: Path, number: int) -> None:
        self.manifest = folder / f"manifest-{number}.json"
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "simulate", *PORTION,
             "--seed", str(number), "--prefix", f"P{number}",
             "--start", START.format(hour=number), "--manifest", str(self.manifest)],
            env={**os.environ, **platform.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def counts(self) -> dict[str, Any]:
        said, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, said
        counts = dict(json.loads(self.manifest.read_text()))
        assert counts["complete"], counts
        return counts


def worker_of_a_run(platform: Installation) -> psutil.Process | None:
    """A process that works on a run: a child of the code server with `execute_run`."""
    server = platform.state.services["code-server"].pid
    if server is None or not psutil.pid_exists(server):
        return None
    for child in psutil.Process(server).children(recursive=True):
        try:
            if any("execute_run" in word or "spawn_main" in word for word in child.cmdline()):
                return child
        except psutil.Error:
            continue
    return None


def kill(platform: Installation, victim: str) -> None:
    """kill -9, when there is something to kill."""
    if victim == "run worker":
        found: list[psutil.Process] = []

        def one_works() -> bool:
            worker = worker_of_a_run(platform)
            found.extend([worker] if worker else [])
            return bool(found)

        wait_until(one_works, 60, lambda: "no run was started")
        found[0].kill()
    elif victim == "supervisor":
        platform.stop(signal.SIGKILL)
        platform.up(UpOptions(dagster=True))  # at once: what is left of the children, it ends
    else:
        pid = platform.state.services[victim].pid
        assert pid is not None
        psutil.Process(pid).kill()
        wait_until(
            lambda: platform.state.services[victim].pid not in (pid, None),
            60,
            lambda: platform.log("supervisor")[-500:],
        )


@pytest.fixture(scope="module")
def sent(platform: Installation, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Counts of all portions; while each was on its way one process was killed."""
    folder = tmp_path_factory.mktemp("manifests")
    counts = []
    for number, victim in enumerate(VICTIMS):
        wait_until(lambda: all_run(platform), 120, lambda: str(status(platform)))
        before = messages_in_kafka(platform)
        load = Load(platform, folder, number)
        wait_until(lambda before=before: messages_in_kafka(platform) > before, 60)
        if victim == "supervisor":  # Kafka goes with it, for longer than a sender waits
            counts.append(load.counts())
        kill(platform, victim)
        if victim != "supervisor":
            counts.append(load.counts())
    wait_until(lambda: all_run(platform), 120, lambda: str(status(platform).get("services")))
    wait_until(lambda: is_quiet(status(platform)), 240, lambda: str(status(platform)))
    return counts


def total(sent: list[dict[str, Any]], name: str) -> int:
    return sum(portion[name] for portion in sent)


def test_every_acknowledged_message_is_accounted_for_once(
    platform: Installation, sent: list[dict[str, Any]]
) -> None:
    lake = Lake(platform.endpoints.lake_url)
    names = ("read", "accepted", "duplicate", "rejected", "pending")
    outcomes = lake.open("telemetry_outcomes").read().select(pl.col(names).sum())
    assert outcomes.row(0, named=True) == {
        "read": total(sent, "acknowledged"),
        "accepted": total(sent, "unique_valid_keys"),
        "duplicate": total(sent, "duplicates"),
        "rejected": total(sent, "rejected"),
        "pending": 0,
    }
    assert lake.open("raw_telemetry").read(columns=["kafka_offset"]).height == total(
        sent, "acknowledged"
    )


def test_nothing_is_doubled(platform: Installation, sent: list[dict[str, Any]]) -> None:
    lake = Lake(platform.endpoints.lake_url)
    telemetry = lake.open("telemetry").read(columns=["vehicle_id", "event_time"])
    assert telemetry.height == telemetry.unique().height == total(sent, "unique_valid_keys")
    for name in ("raw_telemetry", "telemetry_rejects"):
        place = ["kafka_topic_id", "kafka_partition", "kafka_offset"]
        rows = lake.open(name).read(columns=place)
        assert rows.height == rows.unique().height


def test_the_marts_show_the_same(platform: Installation, sent: list[dict[str, Any]]) -> None:
    url = platform.endpoints.postgres_url
    assert query(url, "select sum(messages)::int from marts.fct_vehicle_hours") == [
        (total(sent, "unique_valid_keys"),)
    ]
    reasons: dict[str, int] = {}
    for portion in sent:
        for reason, number in portion["rejected_by_reason"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    shown = query(
        url,
        "select sum(read)::int, sum(duplicate)::int, "
        + ", ".join(f"sum(rejected_{reason})::int" for reason in reasons)
        + " from marts.mart_data_quality",
    )
    assert shown == [(total(sent, "acknowledged"), total(sent, "duplicates"), *reasons.values())]


def test_no_hour_is_left_failed_and_no_check_fails(
    platform: Installation, sent: list[dict[str, Any]]
) -> None:
    told: list[dict[str, Any]] = []

    def well() -> bool:
        told.append(status(platform))
        return not told[-1].get("failing_checks")

    # an hour that met a dead PostgreSQL is tried again after its back-off
    wait_until(well, 90, lambda: str(told[-1].get("failing_checks")))


def test_no_run_is_left_unfinished(platform: Installation, sent: list[dict[str, Any]]) -> None:
    storage = platform.endpoints.postgres_url.rpartition("/")[0] + "/dagster"
    statement = "select run_id, status from runs where status in ('STARTED', 'STARTING')"

    def ended() -> bool:
        return query(storage, statement) == []

    wait_until(ended, 60, lambda: str(query(storage, statement)))
