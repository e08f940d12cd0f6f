"""Kafka is killed and comes back: one line is told, nothing is lost or doubled, all goes on.

The broker is down for seconds here; minutes differ in nothing but the number of attempts.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from installation import Installation
from kafka_topics import Topic, telemetry
from platform_run import PlatformRun, platform_run, wait_until

from fleet_assets.errors import FleetError
from fleet_assets.kafka import read
from fleet_assets.lake.landing import Landed, land

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_killed_broker_costs_nothing_but_time(
    new_installation: Callable[[], Installation],
    flow_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = new_installation()
    services.up()
    with platform_run(services, "outage", flow_home, tmp_path / "lake") as run:
        topic = Topic(run.platform.broker, "outage")
        for partition in range(3):
            topic.produce(telemetry(range(1000)), partition)
        land_across_a_kill(run, topic, services, monkeypatch)
        fail_and_recover(run, topic, services, monkeypatch)
        raw = run.rows("raw_telemetry")
        assert raw.height == raw.select("kafka_partition", "kafka_offset").n_unique() == 4500
        lost = run.rows("landings")["lost"].sum()
        assert lost == 0
        (evaluation,) = run.execute("verify", {}, {}).get_asset_check_evaluations()
        assert evaluation.passed


def land_across_a_kill(
    run: PlatformRun, topic: Topic, services: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker dies when a landing is half done: it waits, or fails and is tried again."""
    landed = []

    def and_kill(*args: Any) -> Landed:
        landed.append(land(*args))
        if len(landed) == 2:
            kill_kafka(services)
        return landed[-1]

    with monkeypatch.context() as patched:
        patched.setattr(read, "CHUNK_MESSAGES", 500)
        patched.setattr("fleet_assets.assets.ingest.land", and_kill)
        wait_until(lambda: lands(run), 240)
    assert len(landed) > 3
    assert run.rows("raw_telemetry").height == 3000
    topic.wait_for(lambda state: all(high == 1000 for high in state.high.values()))


def fail_and_recover(
    run: PlatformRun, topic: Topic, services: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no broker is up, sensor and landing fail in one line; afterwards they go on."""
    for partition in range(3):
        topic.produce(telemetry(range(1000, 1500)), partition)
    (request,) = run.tick("landing_sensor").run_requests or []
    monkeypatch.setattr("fleet_assets.kafka.topic._TIMEOUT_S", 1.0)
    with monkeypatch.context() as patched:
        patched.setenv("FLEET_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        with pytest.raises(FleetError, match=r"no answer .*Connection refused") as told:
            run.tick("landing_sensor")
        assert "\n" not in str(told.value)
        result = run.execute("landing", request.run_config, request.tags)
        assert not result.success
        failure = result.failure_data_for_node("land_ranges")
        assert failure is not None
        assert failure.user_failure_data is not None
        assert "no answer" in str(failure.user_failure_data.description)
    kill_kafka(services)
    wait_until(lambda: lands(run), 240)


def lands(run: PlatformRun) -> bool:
    """One more attempt, as the daemon makes it every few seconds."""
    try:
        results = run.follow("landing_sensor", "landing")
    except FleetError:
        return False
    return not results


def kill_kafka(services: Installation) -> None:
    pid = services.state.services["kafka"].pid
    assert pid is not None
    process = psutil.Process(pid)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
