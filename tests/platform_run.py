"""The flow in the test's own process: the real definitions, sensors and jobs, no daemon.

A sensor is evaluated as the daemon does it, and the runs that it requests are executed with the
run config and tags that it gave. Kafka and PostgreSQL are real; topic, database and lake are the
test's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import polars as pl
from confluent_kafka import Producer
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.execute_in_process_result import ExecuteInProcessResult
from installation import Installation
from warehouse_data import fresh_warehouse, query

from fleet_assets.assets.platform import Platform
from fleet_assets.assets.runs import RANGE_END, RANGE_START
from fleet_assets.definitions import build_defs
from fleet_assets.kafka.topic import topic_state
from fleet_assets.lake.store import Lake
from fleet_assets.local.topics import create_missing_topics
from fleet_assets.settings import Settings
from fleet_assets.telemetry.source import Source
from fleet_assets.warehouse.ledger import LedgerEntry, read_ledger

Message = tuple[bytes | None, bytes | None]


@dataclass
class PlatformRun:
    """One lake, topic and warehouse with the definitions that work on them."""

    topic: str
    postgres_url: str
    defs: dg.Definitions = field(default_factory=build_defs)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    platform: Platform = field(default_factory=Platform)

    @property
    def lake(self) -> Lake:
        return self.platform.lake

    def produce(
        self,
        messages: Sequence[Message],
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Send (key, value) pairs and wait until all are acknowledged."""
        failures: list[str] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                failures.append(error.str())

        options = {"message.max.bytes": 3_000_000, "linger.ms": 5}
        producer = Producer(self.platform.broker.config(**options))
        where: dict[str, Any] = {"headers": list(headers)} if headers else {}
        where |= {} if partition is None else {"partition": partition}
        for key, value in messages:
            producer.produce(self.topic, value=value, key=key, on_delivery=delivered, **where)
            producer.poll(0)
        assert producer.flush(30) == 0
        assert not failures, failures[0]

    def watermarks(self) -> dict[int, tuple[int, int]]:
        return topic_state(self.platform.broker, self.topic).watermarks

    @property
    def source(self) -> Source:
        return topic_state(self.platform.broker, self.topic).source

    def tick(self, sensor: str) -> SensorExecutionData:
        """Evaluate a sensor."""
        context = dg.build_sensor_context(instance=self.instance, definitions=self.defs)
        return self.defs.resolve_sensor_def(sensor).evaluate_tick(context)

    def execute(
        self,
        job: str,
        run_config: Mapping[str, Any],
        tags: Mapping[str, str],
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> ExecuteInProcessResult:
        """One run, as the daemon launches it; a failure is told by its result."""
        return self.defs.resolve_job_def(job).execute_in_process(
            run_config=dict(run_config),
            tags=dict(tags),
            instance=self.instance,
            raise_on_error=False,
            asset_selection=assets,
        )

    def follow(self, sensor: str, job: str) -> list[ExecuteInProcessResult]:
        """Evaluate a sensor and execute what it requests."""
        requests = self.tick(sensor).run_requests or []
        return [
            self.execute(job, request.run_config, request.tags, request.asset_selection)
            for request in requests
        ]

    def land(self) -> None:
        """Landing runs until the sensor has nothing to request."""
        while results := self.follow("landing_sensor", "landing"):
            assert all(result.success for result in results)

    def refresh(self) -> list[ExecuteInProcessResult]:
        """Refresh runs until the sensor has nothing to request; all of them."""
        executed: list[ExecuteInProcessResult] = []
        while results := self.follow("refresh_sensor", "refresh"):
            executed += results
            assert len(executed) < 20, "the refresh sensor never comes to rest"
        return executed

    def judge(self) -> list[ExecuteInProcessResult]:
        """Runs of trips and anomalies until the sensor has nothing to request; all of them."""
        executed: list[ExecuteInProcessResult] = []
        while results := self.follow("rules_sensor", "trips_and_anomalies"):
            executed += results
            assert len(executed) < 20, "the rules' sensor never comes to rest"
        return executed

    def refresh_hours(
        self, first: str, last: str | None = None, *, rebuild: bool = True
    ) -> ExecuteInProcessResult:
        """A refresh as a user starts it from the UI."""
        config = {
            "ops": {
                "refresh_telemetry": {"config": {"rebuild": rebuild}},
                "refresh_vehicle_hours": {"config": {"anew": rebuild}},
            }
        }
        return self.execute("refresh", config, {RANGE_START: first, RANGE_END: last or first})

    def rows(self, table: str, hour: str | None = None) -> pl.DataFrame:
        return self.lake.open(table).read(hour)

    def ledger(self, hour: str) -> dict[str, LedgerEntry]:
        """The hour's entries by stage."""
        return {entry.stage: entry for entry in read_ledger(self.postgres_url, hours=[hour])}

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.postgres_url, statement, *values)

    def move_retries(self, wait: timedelta) -> None:
        """Failed hours wait for so long from now; a negative wait: they are due."""
        self.query(
            "update warehouse.stage_ledger set next_attempt_at = now() + %s"
            " where next_attempt_at is not null returning 1",
            wait,
        )

    def verdicts(self, asset: str, check: str) -> dict[str | None, bool]:
        """The newest verdict of a check by partition."""
        key = dg.AssetKey(asset.split("/"))
        found: dict[str | None, bool] = {}
        filters = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        for record in self.instance.get_event_records(filters, ascending=True):
            event = record.event_log_entry.dagster_event
            assert event is not None
            evaluation = event.asset_check_evaluation_data
            if (evaluation.asset_key, evaluation.check_name) == (key, check):
                found[evaluation.partition] = evaluation.passed
        return found


@contextmanager
def platform_run(
    services: Installation, name: str, home: Path, lake: Path, **settings: str
) -> Iterator[PlatformRun]:
    """A platform of this name on the shared services, known by settings alone.

    Args:
        services: Kafka and PostgreSQL.
        name: of topic and database.
        home: FLEET_HOME; may be shared, as it holds dbt's parsed project only.
        lake: folder of the lake.
        settings: further settings by name, without ``FLEET_``.
    """
    env = {
        "FLEET_HOME": str(home),
        "FLEET_KAFKA_BOOTSTRAP_SERVERS": services.endpoints.kafka_bootstrap_servers,
        "FLEET_POSTGRES_URL": fresh_warehouse(services, name.replace("-", "_")),
        "FLEET_LAKE_URL": str(lake),
        "FLEET_TOPIC": name,
        "FLEET_DLQ_TOPIC": f"{name}-dlq",
        "FLEET_ANOMALIES_TOPIC": f"{name}-anomalies",
        "FLEET_RULES_SHARE": "1",
        "FLEET_TOPIC_PARTITIONS": "3",
        **{f"FLEET_{key.upper()}": value for key, value in settings.items()},
    }
    with mock.patch.dict(os.environ, env):  # a run may add to it: all is put back
        create_missing_topics(Settings(_env_file=None), env["FLEET_KAFKA_BOOTSTRAP_SERVERS"])
        run = PlatformRun(name, env["FLEET_POSTGRES_URL"])
        with run.instance:
            yield run


def wait_until(
    condition: Callable[[], bool], seconds: float, what: Callable[[], str] = lambda: ""
) -> None:
    """Looks until the condition holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what()}"
        time.sleep(0.2)
