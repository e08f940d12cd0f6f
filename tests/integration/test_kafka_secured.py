"""The flow on a broker with SASL and TLS: settings alone change, and wrong ones are told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation
from platform_run import PlatformRun, platform_run
from secured_kafka import SecuredKafka, secured_kafka
from telemetry_data import message

from fleet_assets.errors import FleetError
from fleet_assets.kafka.topic import Broker, topic_state
from fleet_assets.local.external import require_kafka
from fleet_assets.local.flow_status import flow_status
from fleet_assets.local.topics import create_missing_topics
from fleet_assets.settings import Settings, resolve_endpoints

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured") / "home") as broker:
        yield broker


@pytest.fixture(scope="module")
def run(
    services: Installation, flow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformRun]:
    lake = tmp_path_factory.mktemp("kafka-secured")
    with platform_run(services, "kafka-secured", flow_home, lake) as made:
        yield made


def with_settings(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> Settings:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def client(kafka: SecuredKafka, how: str) -> dict[str, str]:
    return kafka.with_certificate() if how == "certificate" else kafka.with_password(how)


@pytest.mark.parametrize("how", ["SCRAM-SHA-512", "PLAIN", "certificate"])
def test_the_flow_runs_by_settings_alone(
    run: PlatformRun, kafka: SecuredKafka, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = client(kafka, how) | {
        "FLEET_TOPIC": f"secured-{how}", "FLEET_LAKE_URL": str(tmp_path / "lake"),
        "FLEET_PARTITIONS_START": "2020-01-01T00:00Z",
    }  # fmt: skip
    settings = with_settings(monkeypatch, env)
    address = env["FLEET_KAFKA_BOOTSTRAP_SERVERS"]
    require_kafka(settings, address, lambda _: None)
    create_missing_topics(settings, address)
    sent = fleet("simulate", "--vehicles", "3", "--span", "20s", "--rate", "max", "--no-register")
    assert sent.returncode == 0, sent.stderr
    recording = tmp_path / "recording.ndjson"
    lines = [message("r1", f"2020-03-01T05:00:{second:02}Z", speed=9) for second in range(30)]
    recording.write_bytes(b"\n".join(lines))
    replayed = fleet("replay", str(recording))
    assert replayed.returncode == 0, replayed.stderr
    lag = sum(flow_status(resolve_endpoints()).lag.values())
    assert lag > 30
    run.land()
    assert run.rows("raw_telemetry").height == lag
    assert set(flow_status(resolve_endpoints()).lag.values()) == {0}


WRONG = [  # how a client comes, which settings differ, what is told and which settings to look at
    ("SCRAM-SHA-512", {"SASL_PASSWORD": "wrong"}, "login", "SASL_PASSWORD"),
    ("PLAIN", {"SASL_PASSWORD": "wrong"}, "login", "SASL_PASSWORD"),
    ("PLAIN", {"SASL_MECHANISM": "SCRAM-SHA-256"}, "login", "SASL_MECHANISM"),
    ("PLAIN", {"SSL_CA_LOCATION": "{other_ca}"}, "TLS", "SSL_CA_LOCATION"),
    ("certificate", {"SSL_CA_LOCATION": "{other_ca}"}, "TLS", "SSL_CA_LOCATION"),
    ("certificate", {"SSL_CERTIFICATE_LOCATION": "", "SSL_KEY_LOCATION": ""}, "TLS",
     "SSL_CERTIFICATE_LOCATION"),
    ("certificate", {"SECURITY_PROTOCOL": ""}, "no answer", "SECURITY_PROTOCOL"),
    ("PLAIN", {"SSL_CA_LOCATION": "/nowhere"}, "settings", ""),
]  # fmt: skip


@pytest.mark.parametrize(("how", "changed", "cause", "cure"), WRONG)
def test_what_is_wrong_is_told_in_one_line_with_its_cure(
    kafka: SecuredKafka, how: str, changed: dict[str, str], cause: str, cure: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = str(kafka.certificates.other_ca)
    different = {f"FLEET_KAFKA_{k}": v.format(other_ca=other) for k, v in changed.items()}
    env = client(kafka, how) | different
    settings = with_settings(monkeypatch, env)
    broker = Broker(env["FLEET_KAFKA_BOOTSTRAP_SERVERS"], settings.kafka_client_options())
    monkeypatch.setattr("fleet_assets.kafka.topic._TIMEOUT_S", 4.0)
    with pytest.raises(FleetError) as told:
        topic_state(broker, "any")
    line = str(told.value)
    assert "\n" not in line
    assert cause in line
    assert f"FLEET_KAFKA_{cure}" in line
    assert "wrong" not in line  # the password


def test_every_client_tells_a_refused_login(
    kafka: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = kafka.with_password("SCRAM-SHA-512", "wrong")
    settings = with_settings(monkeypatch, env)
    with pytest.raises(FleetError, match="login is refused"):
        require_kafka(settings, env["FLEET_KAFKA_BOOTSTRAP_SERVERS"], lambda _: None)
    sent = fleet("simulate", "--vehicles", "1", "--span", "1s", "--rate", "max", "--no-register")
    assert sent.returncode == 1
    assert "login is refused" in sent.stderr
    assert sent.stderr.count("fleet:") == 1


def fleet(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from fleet_assets.cli import main; main()", *words],
        env=os.environ.copy(), capture_output=True, text=True, check=False,
    )  # fmt: skip
