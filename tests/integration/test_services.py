"""``fleet up``, ``down`` and ``status`` on real servers, through starts, crashes and mistakes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource
from installation import COMMAND_LINE, Installation

import fleet_assets
from fleet_assets.errors import FleetError
from fleet_assets.local import external
from fleet_assets.local.databases import ensure_database, server_answers
from fleet_assets.local.jars import kafka_classpath, usual_cache
from fleet_assets.local.ports import free_port
from fleet_assets.local.up import UpOptions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def produce(installation: Installation, topic: str, payload: bytes) -> None:
    failures: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": installation.endpoints.kafka_bootstrap_servers,
            "message.max.bytes": 4_000_000,
        }
    )
    producer.produce(
        topic, payload, partition=0, on_delivery=lambda error, _: failures.append(error)
    )
    producer.flush(30)
    assert failures == [None]


def first_message(installation: Installation, topic: str) -> bytes:
    consumer = Consumer(
        {
            "bootstrap.servers": installation.endpoints.kafka_bootstrap_servers,
            "group.id": "test",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        value = message.value()
        assert value is not None
        return bytes(value)
    finally:
        consumer.close()


def test_data_survive_a_stop_and_a_kill(new_installation: Callable[[], Installation]) -> None:
    installation = new_installation()
    installation.up()
    produce(installation, "vehicle-telemetry", b"kept")
    with psycopg.connect(installation.endpoints.postgres_url) as connection:
        connection.execute("CREATE TABLE public.kept AS SELECT 42 AS answer")
    down = installation.fleet("down")
    assert down.returncode == 0, down.stderr
    assert installation.fleet("status").returncode == 1

    installation.up()
    children = [psutil.Process(s.pid) for s in installation.state.services.values() if s.pid]
    assert len(children) == 2
    supervisor = installation.supervisor
    supervisor.kill()
    supervisor.wait()
    # The kernel tells the children; nobody else could.
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive

    installation.up()
    assert first_message(installation, "vehicle-telemetry") == b"kept"
    with psycopg.connect(installation.endpoints.postgres_url) as connection:
        assert connection.execute("SELECT answer FROM public.kept").fetchone() == (42,)

    installation.stop(signal.SIGINT)  # as Ctrl-C does
    log = installation.log("supervisor")
    assert log.rindex("postgres stopped") < log.rindex("kafka stopped")
    assert not installation.settings.services_file.exists()


def test_a_child_that_dies_is_restarted(new_installation: Callable[[], Installation]) -> None:
    installation = new_installation()
    installation.up()
    before = installation.state.services["postgres"].pid
    assert before is not None
    psutil.Process(before).kill()
    with following_log(installation) as lines:
        assert any("postgres is ready again" in line for line in lines)
    after = installation.state.services["postgres"]
    assert after.pid != before
    assert server_answers(installation.endpoints.postgres_url)


@contextlib.contextmanager
def following_log(installation: Installation) -> Iterator[Iterable[str]]:
    """The supervisor's log, line by line as it grows."""
    command = ["tail", "-n", "+1", "-F", str(installation.home / "logs" / "supervisor.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        yield tail.stdout
        tail.kill()


def test_status_has_the_documented_shape(services: Installation) -> None:
    told = services.fleet("status", "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    status = json.loads(told.stdout)
    assert status["services"]["kafka"]["state"] == "running"
    assert psutil.pid_exists(status["services"]["postgres"]["pid"])
    assert status["kafka_bootstrap_servers"] == services.endpoints.kafka_bootstrap_servers
    assert set(status["lag"]) == {"0", "1", "2", "3", "4", "5"}
    assert {"postgres_url", "lake_url", "dagster_url", "stale_hours"} <= set(status)
    assert {"newest_event", "failing_checks", "last_landed_offset"} <= set(status)


def test_topics_carry_append_times_and_large_messages(services: Installation) -> None:
    admin = AdminClient({"bootstrap.servers": services.endpoints.kafka_bootstrap_servers})
    for topic, limit in {
        "vehicle-telemetry": 2 * 1024**2,
        "telemetry-dlq": 3 * 1024**2,
        "anomalies": 2 * 1024**2,
    }.items():
        resource = ConfigResource("topic", topic)
        config = admin.describe_configs([resource])[resource].result()
        assert config["message.timestamp.type"].value == "LogAppendTime"
        assert int(config["max.message.bytes"].value) == limit
        assert int(config["segment.bytes"].value) <= 256 * 1024**2
    produce(services, "telemetry-dlq", b"x" * (2 * 1024**2 + 1000))


def test_postgres_is_new_and_asks_for_the_password(services: Installation) -> None:
    url = services.endpoints.postgres_url
    with psycopg.connect(url) as connection:
        assert connection.info.server_version >= 180_000
    host = url.rpartition("@")[2]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://fleet:wrong@{host}")
    assert (services.home / "postgres.password").stat().st_mode & 0o077 == 0
    assert services.settings.services_file.stat().st_mode & 0o077 == 0


def test_a_second_up_says_who_runs(services: Installation) -> None:
    with pytest.raises(FleetError, match=f"Already running.*{services.supervisor.pid}"):
        services.up()
    assert services.fleet("status").returncode == 0


@pytest.mark.parametrize("port", ["kafka_port", "postgres_port", "dagster_port"])
def test_a_busy_port_is_named_with_its_setting(
    new_installation: Callable[[], Installation], port: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        installation = replace(new_installation(), **{port: number})
        with pytest.raises(FleetError) as caught:
            installation.up(UpOptions(dagster=True))
    assert f"Port {number}" in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert f"FLEET_{port.upper()}" in str(caught.value)


def test_servers_of_the_settings_are_used_and_left_running(
    services: Installation, new_installation: Callable[[], Installation]
) -> None:
    guest = new_installation().with_outside(services.endpoints, "guest")
    guest.up()
    try:
        states = guest.state.services
        assert {name: s.state for name, s in states.items()} == {
            "kafka": "external",
            "postgres": "external",
        }
        assert guest.supervisor.children() == []
        assert server_answers(guest.postgres_url)
        assert guest.fleet("status").returncode == 0
    finally:
        guest.stop()
    assert services.fleet("status").returncode == 0


def test_an_unreachable_server_of_the_settings_is_named(
    new_installation: Callable[[], Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "PATIENCE", timedelta(0))
    port = free_port()
    with pytest.raises(FleetError, match=f"{port}.*FLEET_KAFKA_BOOTSTRAP_SERVERS"):
        external.require_kafka(new_installation().settings, f"127.0.0.1:{port}", print)
    with pytest.raises(FleetError, match="FLEET_POSTGRES_URL") as caught:
        external.require_postgres(f"postgresql://fleet:secret@127.0.0.1:{port}/fleet", print)
    assert "secret" not in str(caught.value)


def test_a_wrong_password_fails_at_once(services: Installation) -> None:
    host = services.endpoints.postgres_url.rpartition("@")[2]
    with pytest.raises(FleetError, match="password authentication failed"):
        external.require_postgres(f"postgresql://fleet:wrong@{host}", print)


def test_missing_databases_are_made_once(services: Installation) -> None:
    server = services.endpoints.postgres_url.rpartition("/")[0]
    for _ in range(2):
        ensure_database(f"{server}/made_by_test")
    assert server_answers(f"{server}/made_by_test")


def test_missing_jars_without_network_name_cause_and_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "empty"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(FleetError) as caught:
        kafka_classpath(tmp_path, lambda line: None)
    assert "cannot be fetched" in str(caught.value)
    assert "FLEET_KAFKA_BOOTSTRAP_SERVERS" in str(caught.value)
    assert "\n" not in str(caught.value)


def readable_interpreter() -> Path | None:
    """A Python of this version that every user may run."""
    version = f"python3.{sys.version_info.minor}"
    candidates = [Path(sys.executable).resolve(), Path("/usr/bin") / version]
    for candidate in candidates:
        if candidate.exists() and all(
            place.stat().st_mode & 0o001 for place in (candidate, *candidate.parents)
        ):
            return candidate
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become an ordinary user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_an_ordinary_user_can_start_it(new_installation: Callable[[], Installation]) -> None:
    interpreter = readable_interpreter()
    if interpreter is None:
        pytest.skip("no Python of this version that an ordinary user may run")
    packages = [Path(place) for place in sys.path if place.endswith("site-packages")]
    packages.append(Path(fleet_assets.__file__).parent.parent)
    user = 65534
    probe = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    for package in packages:
        if subprocess.run([*probe, "ls", str(package)], capture_output=True).returncode:
            pytest.skip(f"an ordinary user may not read {package}")
    installation = new_installation()
    with home_for_others("ordinary") as home:
        for jar in kafka_classpath(home, lambda line: None).split(os.pathsep):
            copy = home / "m2" / Path(jar).relative_to(usual_cache())
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(jar, copy)
        subprocess.run(["chown", "-R", f"{user}:{user}", str(home)], check=True)
        env = {
            **os.environ,
            **replace(installation, home=home).env,
            "HOME": "/nonexistent",
            "PYTHONPATH": os.pathsep.join(str(package) for package in packages),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

        def fleet(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*probe, str(interpreter), "-c", COMMAND_LINE, *words],
                env=env,
                cwd=home,
                capture_output=True,
                text=True,
                check=False,
            )

        try:
            up = fleet("up", "--detach", "--no-dagster")
            assert up.returncode == 0, up.stderr
            assert (home / "postgres" / "PG_VERSION").stat().st_uid == user
            assert fleet("status").returncode == 0
        finally:
            assert fleet("down").returncode == 0


@contextlib.contextmanager
def home_for_others(name: str) -> Iterator[Path]:
    """A FLEET_HOME that an ordinary user can reach; pytest's folders are closed to others."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix=f"fleet-{name}-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
