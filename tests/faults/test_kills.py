"""kill -9 of every process of the platform while messages flow: nothing is lost, nothing doubled.

A load with duplicates and spoilt messages is sent in portions, and while a portion is on its way
one of the processes is killed. At the end lake and marts are compared with what the simulator
wrote down that it sent, and with what one undisturbed pass over the topic gives.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from end_state import (
    assert_counts_add_up,
    assert_marts_show,
    assert_nothing_lost_or_doubled,
    assert_same_as_fault_free,
    fault_free_pass,
)
from fire import KILLS, NOTES, Load
from installation import Installation
from platform_run import wait_until
from warehouse_data import query

from fleet_assets.assets.platform import Platform
from fleet_assets.errors import FleetError
from fleet_assets.kafka.topic import Broker, topic_state
from fleet_assets.local.databases import ensure_database, with_database
from fleet_assets.local.status import platform_status
from fleet_assets.local.up import UpOptions
from fleet_assets.warehouse.migrate import upgrade
from fleet_assets.warehouse.vehicles import import_vehicles, list_vehicles

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

START = datetime(2026, 1, 5, 0, 57, tzinfo=UTC)
"""Each portion begins shortly before an hour of its own ends, so that it touches two hours."""
PORTION = ["--vehicles", "20", "--span", "6m", "--rate", "1500", "--duplicate", "0.1",
           "--corrupt", "0.05", "--late", "0.02", "--late-by", "10s..5m",
           "--reorder", "0.02"]  # fmt: skip
SERVICES = ("daemon", "code-server", "dagster", "kafka", "postgres", "run-watcher")
ONCE = ("run worker", "daemon", "code-server", "kafka", "postgres", "all while STARTED")
MANY = (
    *("run worker", *SERVICES, "all while QUEUED"),
    *("run worker", "all while STARTING", "kafka", "postgres"),
    *("all while STARTED", "daemon", "run worker", "code-server", "supervisor"),
)
"""``all while …``: supervisor and run worker at once, while a run has that status in Dagster."""


@pytest.fixture(
    scope="module",
    params=[ONCE, pytest.param(MANY, marks=pytest.mark.soak)],
    ids=["once", "many"],
)
def victims(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What is killed, one after the other."""
    return tuple(request.param)


@pytest.fixture(scope="module")
def platform(
    victims: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("kills"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEET_LATE_INTERVAL", "PT5S")  # all hours are long closed
        for name, value in installation.env.items():
            patch.setenv(name, value)  # `Platform()` of this process is the one that is killed
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


def workers(platform: Installation) -> list[psutil.Process]:
    """Processes that work on runs: children of the code server with `execute_run`."""
    server = platform.state.services["code-server"].pid
    if server is None or not psutil.pid_exists(server):
        return []
    found = []
    for child in psutil.Process(server).children(recursive=True):
        try:
            if any("execute_run" in word or "spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def runs(platform: Installation, *statuses: str) -> list[Any]:
    """Runs of these statuses in Dagster's storage."""
    storage = platform.endpoints.postgres_url.rpartition("/")[0] + "/dagster"
    try:
        return query(storage, "select run_id, status from runs where status = any(%s)", [*statuses])
    except psycopg.Error:
        return []


def kill(platform: Installation, victim: str) -> None:
    """kill -9, when there is something to kill."""
    if victim == "run worker":
        found: list[psutil.Process] = []

        def one_works() -> bool:
            found[:] = workers(platform)
            return bool(found)

        wait_until(one_works, 60, lambda: "no run was started")
        found[0].kill()
    elif victim == "supervisor":
        platform.stop(signal.SIGKILL)
        platform.up(UpOptions(dagster=True))  # at once: what is left of the children, it ends
    elif victim.startswith("all while"):
        wanted = victim.split()[-1]
        wait_until(lambda: bool(runs(platform, wanted)), 60, lambda: f"no run was {wanted}")
        at_work = workers(platform)
        platform.stop(signal.SIGKILL)
        for worker in at_work:
            worker.kill()
        platform.up(UpOptions(dagster=True))
    else:
        pid = platform.state.services[victim].pid
        assert pid is not None
        psutil.Process(pid).kill()
        wait_until(
            lambda: platform.state.services[victim].pid not in (pid, None),
            60,
            lambda: platform.log("supervisor")[-500:],
        )
    KILLS[f"platform: {victim}"] += 1


@pytest.fixture(scope="module")
def sent(
    platform: Installation, victims: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """Counts of all portions; while each was on its way one process was killed."""
    folder = tmp_path_factory.mktemp("manifests")
    counts = []
    for number, victim in enumerate(victims):
        wait_until(lambda: all_run(platform), 240, lambda: str(status(platform)))
        before = messages_in_kafka(platform)
        start = START + number * timedelta(hours=1)
        load = Load(
            platform.env, folder / f"manifest-{number}.json", *PORTION, "--seed", str(number),
            "--prefix", f"P{number}", "--start", start.isoformat(),
        )  # fmt: skip
        load.wait_for_start(lambda before=before: messages_in_kafka(platform) > before)
        takes_kafka_along = victim == "supervisor" or victim.startswith("all")
        if takes_kafka_along:  # for longer than a sender waits
            counts.append(load.finish())
        kill(platform, victim)
        if not takes_kafka_along:
            counts.append(load.finish())
    wait_until(lambda: all_run(platform), 240, lambda: str(status(platform).get("services")))
    wait_until(lambda: is_quiet(status(platform)), 1500, lambda: str(status(platform)))
    return counts


def test_every_acknowledged_message_is_there_once(
    platform: Installation, sent: list[dict[str, Any]], tmp_path: Path
) -> None:
    flow = Platform()
    warehouse = with_database(platform.endpoints.postgres_url, "clean")
    ensure_database(warehouse)
    upgrade(warehouse)
    import_vehicles(warehouse, list_vehicles(flow.postgres_url), "test")
    told = [
        assert_nothing_lost_or_doubled(sent, flow),
        assert_counts_add_up(flow),
        assert_same_as_fault_free(flow, fault_free_pass(tmp_path / "clean", warehouse)),
        assert_marts_show(sent, flow.postgres_url),
    ]
    NOTES.append(f"platform, {len(sent)} kills: " + "; ".join(told))


def test_no_hour_is_left_failed_and_no_check_fails(
    platform: Installation, sent: list[dict[str, Any]]
) -> None:
    told: list[dict[str, Any]] = []

    def well() -> bool:
        told.append(status(platform))
        return not told[-1].get("failing_checks")

    # an hour that met a dead PostgreSQL is tried again after its back-off
    wait_until(well, 600, lambda: str(told[-1].get("failing_checks")))


def test_no_run_is_left_unfinished(platform: Installation, sent: list[dict[str, Any]]) -> None:
    wait_until(
        lambda: runs(platform, "STARTED", "STARTING") == [],
        60,
        lambda: str(runs(platform, "STARTED", "STARTING")),
    )
