"""Kafka and PostgreSQL for a benchmark, started as `fleet up` does, in a folder of their own."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from fleet_assets.kafka.topic import Broker
from fleet_assets.local.detach import start_detached
from fleet_assets.local.ports import free_port
from fleet_assets.local.single_instance import supervisor_pid
from fleet_assets.local.up import UpOptions
from fleet_assets.settings import Settings, resolve_endpoints


@dataclass(frozen=True)
class Services:
    """Where they are."""

    broker: Broker
    postgres_url: str

    def send(self, topic: str, messages: Sequence[bytes], partitions: int = 6) -> None:
        """Makes a topic and fills it; messages keep their order by partition."""
        admin = AdminClient(self.broker.config())
        admin.create_topics([NewTopic(topic, partitions)])[topic].result()
        self.add(topic, messages, partitions)

    def add(self, topic: str, messages: Sequence[bytes], partitions: int = 6) -> None:
        """Fills a topic that is there."""
        producer = Producer(self.broker.config(**{"linger.ms": 20, "acks": 1}))
        for number, message in enumerate(messages):
            while True:
                try:
                    producer.produce(topic, message, partition=number * partitions // len(messages))
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 5_000 == 0:
                producer.poll(0)
        assert producer.flush(120) == 0


@contextmanager
def services() -> Iterator[Services]:
    """Running services, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        home = Path(folder)
        env = {"FLEET_HOME": folder, "FLEET_LAKE_URL": "", "FLEET_POSTGRES_URL": ""} | {
            f"FLEET_{name}_PORT": str(free_port()) for name in ("KAFKA", "POSTGRES", "DAGSTER")
        }
        os.environ.update(env)
        settings = Settings(_env_file=None)
        start_detached(settings, UpOptions(dagster=False), lambda _: None, env=env)
        try:
            found = resolve_endpoints(settings)
            yield Services(Broker(found.kafka_bootstrap_servers, {}), found.postgres_url)
        finally:
            pid = supervisor_pid(home)
            if pid is not None:
                process = psutil.Process(pid)
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)
