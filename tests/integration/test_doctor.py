"""Faults seeded in a real Kafka, a real PostgreSQL and real files; the doctor names each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import psutil
import pytest
import typer
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from dagster._core.events import EngineEventData
from deltalake import Field
from installation import Installation
from telemetry_data import HOUR, LATE_AFTER, NOW, SOURCE, land_values, message, placed
from typer.testing import CliRunner
from warehouse_data import fresh_warehouse

from fleet_assets.commands import doctor as command
from fleet_assets.doctor.cures import apply_cures
from fleet_assets.doctor.examination import Examination
from fleet_assets.doctor.gather.clocks import (
    postgres_skew,
    refused_as_future,
    vehicle_skews,
)
from fleet_assets.doctor.gather.versions import version_facts
from fleet_assets.kafka.topic import Broker, topic_state
from fleet_assets.lake.landing import land
from fleet_assets.lake.refresh import refresh_hour
from fleet_assets.lake.store import Lake
from fleet_assets.local.databases import ensure_database
from fleet_assets.local.process import OWNER_VARIABLE
from fleet_assets.settings import Settings
from fleet_assets.warehouse.ledger import LedgerEntry, record, record_failure
from fleet_assets.warehouse.overrides import release

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

KNOWN = frozenset(["v1"])
OLD = timedelta(days=3).total_seconds()


@pytest.fixture(scope="module")
def warehouse(services: Installation) -> str:
    return fresh_warehouse(services, "doctor")


@pytest.fixture
def settings(services: Installation, warehouse: str, tmp_path: Path) -> Settings:
    """An installation of the test's own on the shared servers; its topic does not exist yet."""
    (tmp_path / "home").mkdir()
    return Settings(
        _env_file=None,
        home=tmp_path / "home",
        kafka_bootstrap_servers=services.endpoints.kafka_bootstrap_servers,
        postgres_url=warehouse,
        lake_url=str(tmp_path / "lake"),
        topic=tmp_path.name.replace("_", "-"),
        topic_partitions=1,
        disk_reserve_bytes=1,
    )


@pytest.fixture
def topic(settings: Settings) -> Callable[..., None]:
    """Makes the topic with this configuration and sends messages of this age to it."""

    def make(messages: int = 0, age: timedelta = timedelta(), **config: str) -> None:
        options = {"bootstrap.servers": settings.kafka_bootstrap_servers}
        wanted = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
        wanted |= {name.replace("_", "."): value for name, value in config.items()}
        admin = AdminClient(options)
        admin.create_topics([NewTopic(settings.topic, 1, 1, config=wanted)])[settings.topic].result(
            30
        )
        producer = Producer(options)
        moment = int((time.time() - age.total_seconds()) * 1000)
        for _ in range(messages):
            producer.produce(settings.topic, b"{}", timestamp=moment)
        assert producer.flush(30) == 0

    return make


def lines(settings: Settings) -> list[str]:
    return [finding.line for finding in Examination(settings).run()]


def told(settings: Settings, *words: str) -> None:
    """One line holds all these words."""
    found = lines(settings)
    assert any(all(word in line for word in words) for line in found), found


def land_offsets(settings: Settings, start: int, end: int) -> None:
    """Says that a range of the topic has landed."""
    broker = Broker(str(settings.kafka_bootstrap_servers), {})
    source = topic_state(broker, settings.topic).source
    values = [message("v1", f"2026-02-01T05:00:{n % 60:02}Z") for n in range(end - start)]
    rows = placed(values, start=start).with_columns(kafka_topic_id=pl.lit(source.topic_id))
    land(Lake(settings.lake_root), source, {0: (start, end)}, rows)


def test_a_missing_topic_is_named_and_made(settings: Settings) -> None:
    examination = Examination(settings)
    findings = examination.run()
    (finding,) = [one for one in findings if one.fix == "make_topics"]
    assert settings.topic in finding.line
    assert settings.topic in apply_cures(examination, [finding], lambda line: None)[0]
    assert not any("there is no topic" in line for line in lines(settings))


def test_lag_retention_and_setup_of_the_topic(
    settings: Settings, topic: Callable[..., None]
) -> None:
    topic(7, timedelta(minutes=50), retention_ms="5400000", max_message_bytes="1000")
    told(settings, "lag: 7 messages have waited", "partition 0: 7")
    told(settings, "7 messages that have not landed", "half the retention")
    told(settings, "CreateTime", "message.timestamp.type=LogAppendTime")
    told(settings, "keeps messages for only 90 min")
    told(settings, "refuses messages of more than 1,000 bytes")


def test_offsets_beyond_the_end_and_expired_before_they_landed(
    settings: Settings, topic: Callable[..., None]
) -> None:
    topic(9)
    land_offsets(settings, 0, 4)
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    admin.delete_records([Place(settings.topic, 0, 6)])[Place(settings.topic, 0)].result(30)
    told(settings, "Kafka has expired 2 offsets")
    land_offsets(settings, 4, 20)
    told(settings, "partition 0 ends at offset 9, but 20 has landed")


def test_a_loss_is_a_gap(settings: Settings) -> None:
    rows = placed([message("v1")], start=5).with_columns(offset_start=pl.lit(0, dtype=pl.Int64))
    land(Lake(settings.lake_root), SOURCE, {0: (0, 6)}, rows, lost={0: 5})
    told(settings, "gaps: ", "offsets 0 to 4", "fleet gaps acknowledge")


def test_failed_withheld_released_and_stale_hours(settings: Settings, warehouse: str) -> None:
    land_values(Lake(settings.lake_root), [message("v1")])
    record_failure(warehouse, "telemetry", [HOUR], "rows break\ntheir contract")
    record(warehouse, [LedgerEntry("warehouse", HOUR, state="withheld", detail="telemetry failed")])
    release(warehouse, "telemetry", HOUR, "known fault", "ann")
    told(settings, f"failed: telemetry of {HOUR}: 1 attempts", "rows break their contract")
    told(settings, f"withheld: warehouse of {HOUR}")
    told(settings, f"override: telemetry of {HOUR} is released by ann", "known fault")
    told(settings, "stale: 1 hours", HOUR)
    record(warehouse, [LedgerEntry(stage, HOUR, 1) for stage in ("telemetry", "warehouse")])


def test_missing_and_orphan_files_and_only_orphans_are_removed(settings: Settings) -> None:
    lake = Lake(settings.lake_root)
    land_values(lake, [message("v1")])
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER)
    refresh_hour(lake, HOUR, KNOWN, LATE_AFTER, force_rebuild=True)
    land_values(lake, [message("v1", "2026-02-01T06:00:00Z")], start=1)
    folder = Path(settings.lake_root) / "telemetry" / f"event_hour={HOUR}"
    kept = set(Path(settings.lake_root).rglob("*.parquet"))
    orphan, young = folder / "orphan.parquet", folder / "young.parquet"
    for path in (orphan, young):
        path.write_bytes(b"PAR1")
    for path in (*kept, orphan):  # old files that are referred to, now or before, stay too
        os.utime(path, (time.time() - OLD,) * 2)
    examination = Examination(settings)
    (finding,) = [one for one in examination.run() if one.fix == "remove_orphans"]
    assert "telemetry has 1 files" in finding.line
    assert "orphan.parquet" in finding.line
    apply_cures(examination, [finding], lambda line: None)
    assert set(Path(settings.lake_root).rglob("*.parquet")) == kept | {young}

    raw = lake.open("raw_telemetry").files["path"][0]
    (Path(settings.lake_root) / "raw_telemetry" / raw).unlink()
    told(settings, "missing files: raw_telemetry refers to 1 files", raw)
    told(settings, "damaged: 2026-02-01T0", "1 gone")


def test_a_table_unlike_its_contract_is_named(settings: Settings) -> None:
    lake = Lake(settings.lake_root)
    lake.open("telemetry").delta.alter.add_columns([Field("tyre_pressure", "double")])
    told(settings, "schema: telemetry", "tyre_pressure")


@pytest.fixture
def dagster(
    warehouse: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage beside the warehouse, as `fleet up` has it."""
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    url = f"{warehouse}_dagster"
    ensure_database(url)
    home = settings.home / "dagster"
    home.mkdir()
    template = Path(__file__).parents[2] / "dagster.yaml"
    (home / "dagster.yaml").write_text(template.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_POSTGRES_URL", url)
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            yield instance


@dg.job
def landing() -> None:
    """A job without steps."""


@dg.op
def fails() -> None:
    raise ValueError("the disk is full")


@dg.job
def failing() -> None:
    fails()


def test_dead_and_failed_runs_are_named_and_dead_ones_ended(
    dagster: dg.DagsterInstance, settings: Settings
) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    started = dg.DagsterRunStatus.STARTED
    dead, alive = (dagster.create_run_for_job(landing, status=started) for _ in range(2))
    for run, worker in ((dead, process.pid), (alive, os.getpid())):
        told_by = EngineEventData.in_process(worker)
        dagster.report_engine_event(f"Started process for run (pid: {worker}).", run, told_by)
    failing.execute_in_process(instance=dagster, raise_on_error=False)
    told(settings, "the job failing has failed 1 times", "the disk is full")
    examination = Examination(settings)
    found = [one for one in examination.run() if one.fix == "end_dead_runs"]
    assert [dead.run_id[:8] in one.line for one in found] == [True]
    assert apply_cures(examination, found, lambda line: None) == ["dead runs ended: 1"]
    statuses = [record.dagster_run.status for record in dagster.get_run_records()]
    assert sorted(status.value for status in statuses) == ["FAILURE", "FAILURE", "STARTED"]
    assert not any(one.fix == "end_dead_runs" for one in Examination(settings).run())


def test_leftovers_are_named_and_only_they_are_ended(settings: Settings) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    env = {**os.environ, OWNER_VARIABLE: str(settings.home.absolute())}
    with subprocess.Popen(sleep, env=env) as ours, subprocess.Popen(sleep) as theirs:
        examination = Examination(settings)
        (finding,) = [one for one in examination.run() if one.fix == "stop_leftovers"]
        assert f"(pid {ours.pid})" in finding.line
        assert f"(pid {theirs.pid})" not in finding.line
        apply_cures(examination, [finding], lambda line: None)
        survives = theirs.poll() is None
        theirs.kill()
        assert survives
        assert not psutil.pid_exists(ours.pid) or ours.poll() is not None


def test_what_is_down_is_said_once_and_without_a_traceback(settings: Settings) -> None:
    down = settings.model_copy(
        update={
            "kafka_bootstrap_servers": "127.0.0.1:1",
            "postgres_url": "postgresql://x@127.0.0.1:1/x",
        }
    )
    found = lines(down)
    assert sum("kafka is down" in line for line in found) == 2  # that it is, and what is not told
    assert sum("postgres is down" in line for line in found) == 2
    assert all(line.count("\n") == 0 and "Traceback" not in line for line in found)


def test_little_room_and_old_packages_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    lock.write_text("psutil==0.0.1 \\\n    --hash=sha256:00\nduckdb==0.1 ; python_version < '3'\n")
    monkeypatch.setattr("fleet_assets.doctor.gather.versions.version_facts.__defaults__", (lock,))
    short = settings.model_copy(update={"disk_reserve_bytes": 10**18})
    told(short, "disk: only", "FLEET_DISK_RESERVE_BYTES")
    told(short, "1 packages are not as locked: psutil", "`make install`")


def test_the_version_of_the_broker_that_runs_is_known(services: Installation) -> None:
    facts = version_facts(None, services.state.services["kafka"].pid)
    assert facts.kafka == facts.kafka_locked


def test_clocks_of_vehicles_and_of_postgres(settings: Settings, warehouse: str) -> None:
    assert abs(postgres_skew(warehouse)) < 1
    lake = Lake(settings.lake_root)
    values = [
        message(vehicle, f"2026-02-01T05:{minute}:{second:02}Z")
        for vehicle, minute in (("fast", 32), ("slow", 10), ("well", 29), ("fine", 29))
        for second in range(30)
    ]
    land_values(lake, values)
    ahead, behind = vehicle_skews(lake, LATE_AFTER)
    assert set(ahead) == {"fast"}
    assert set(behind) == {"slow"}
    assert 100 < ahead["fast"] < 150
    land_values(lake, [message("fast", "2026-02-01T07:00:00Z")] * 3, start=len(values))

    assert refused_as_future(lake, NOW.timestamp() + 60) == {"fast": 3}
    assert refused_as_future(lake, NOW.timestamp() + OLD) == {}


def test_the_command_ends_with_one_for_findings_and_speaks_json(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_assets.settings.Settings", lambda: settings)
    fleet = typer.Typer()
    command.register(fleet)
    result = CliRunner().invoke(fleet, ["--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert not answer["well"]
    assert "lake" in answer["size_bytes"] or not Path(settings.lake_root).exists()
    assert {"check", "problem", "cure", "fix", "line"} <= set(answer["findings"][0])
    result = CliRunner().invoke(fleet, ["--fix"])
    assert "fixed: topics made" in result.stdout
    assert "there is no topic" not in result.stdout
