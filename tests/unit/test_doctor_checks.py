"""Each fault is named with its cure in one line; without faults nothing is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleet_assets.doctor.checks.clocks import ClockFacts, check_clocks
from fleet_assets.doctor.checks.hours import ActiveOverride, HourFacts, HourTrouble, check_hours
from fleet_assets.doctor.checks.kafka import KafkaFacts, PartitionFacts, check_kafka
from fleet_assets.doctor.checks.lake import LakeFacts, TableFacts, check_lake
from fleet_assets.doctor.checks.machine import Disk, DiskFacts, check_disks
from fleet_assets.doctor.checks.runs import (
    EXPECTED_CHECKS,
    FailedJob,
    RunFact,
    RunFacts,
    check_runs,
)
from fleet_assets.doctor.checks.services import ServiceFacts, TakenPort, check_services
from fleet_assets.doctor.checks.versions import VersionFacts, check_versions
from fleet_assets.doctor.finding import MOST_LINES, Cure, Finding, unknown

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GIB = 1024**3
WELL_RUNS = RunFacts(has_data=True, verdict_age_seconds=dict.fromkeys(EXPECTED_CHECKS, 10.0))
WELL_SERVICES = ServiceFacts({"kafka": "running", "postgres": "external"}, 7, "/h/logs")
WELL_KAFKA = KafkaFacts(
    "vehicle-telemetry",
    {0: PartitionFacts(low=0, high=100, committed=100, lag_later=0)},
    {"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"},
)
WELL_VERSIONS = VersionFacts(
    (3, 12),
    "4.3.1",
    "0007",
    postgres=18,
    kafka="4.3.1",
    migration="0007",
    known_migrations=frozenset({"0006", "0007"}),
)


def partition(**facts: int | None) -> KafkaFacts:
    return replace(
        WELL_KAFKA,
        partitions={3: PartitionFacts(**{"low": 0, "high": 100, "committed": 0} | facts)},
    )


def configured(**config: str) -> KafkaFacts:
    return replace(WELL_KAFKA, config={k.replace("_", "."): v for k, v in config.items()})


def table(**facts: object) -> LakeFacts:
    return LakeFacts({"telemetry": TableFacts(**facts)}, 86_400)  # type: ignore[arg-type]


def trouble(state: str = "failed", due: timedelta | None = timedelta(minutes=3)) -> HourFacts:
    when = None if due is None else NOW + due
    one = HourTrouble("telemetry", "2026-03-01T05", state, 4, when, "rows break their contract")
    return HourFacts(NOW, troubles=[one])


def runs(**facts: object) -> RunFacts:
    return replace(WELL_RUNS, **facts)


def run(status: str, silent: float, worker: str) -> RunFacts:
    return runs(unfinished=[RunFact("abcdef0123", "landing", status, silent, worker)])  # type: ignore[arg-type]


FAULTS: dict[str, tuple[list[Finding], list[str], Cure | None]] = {
    "service down": (
        check_services(ServiceFacts({"kafka": "down"}, None, "/h/logs")),
        ["services: kafka is down", "`fleet up`"],
        None,
    ),
    "service restarting": (
        check_services(replace(WELL_SERVICES, states={"daemon": "restarting"})),
        ["daemon is restarting", "/h/logs/daemon.log"],
        None,
    ),
    "port taken": (
        check_services(
            ServiceFacts(
                {"kafka": "down"},
                None,
                "/h",
                taken={"kafka": TakenPort(19092, "FLEET_KAFKA_PORT", "java, pid 5")},
            )
        ),
        ["port 19092", "java, pid 5", "FLEET_KAFKA_PORT"],
        None,
    ),
    "leftovers": (
        check_services(replace(WELL_SERVICES, supervisor=None, leftovers=("python (pid 9)",))),
        ["leftovers", "python (pid 9)"],
        "stop_leftovers",
    ),
    "addresses of a dead supervisor": (
        check_services(replace(WELL_SERVICES, supervisor=None, addresses_left=True)),
        ["services.json"],
        "stop_leftovers",
    ),
    "silent daemon": (
        check_services(
            replace(WELL_SERVICES, states={"daemon": "running"}, daemon_silent_seconds=600)
        ),
        ["daemon", "10 min"],
        None,
    ),
    "no topic": (check_kafka(replace(WELL_KAFKA, partitions=None)), ["no topic"], "make_topics"),
    "landing overdue": (
        check_kafka(partition(overdue=40, lag_later=90)),
        ["lag: 40 messages", "partition 3: 40", "landing_sensor"],
        None,
    ),
    "lag grows": (
        check_kafka(partition(high=2_000_000, lag_later=2_500_000)),
        ["2,000,000", "grows"],
        None,
    ),
    "committed beyond the end": (
        check_kafka(partition(high=100, committed=180)),
        ["partition 3 ends at offset 100, but 180 has landed", "fleet gaps list"],
        None,
    ),
    "expired unread": (
        check_kafka(partition(low=60, committed=20, lag_later=0)),
        ["expired 40 offsets", "retention.ms"],
        None,
    ),
    "about to expire": (
        check_kafka(partition(endangered=9, lag_later=0)),
        ["9 messages", "half the retention"],
        None,
    ),
    "gap": (
        check_kafka(replace(WELL_KAFKA, open_gaps=["partition 3: offsets 5 to 9"])),
        ["gaps: partition 3: offsets 5 to 9", "fleet gaps acknowledge"],
        None,
    ),
    "create time": (
        check_kafka(configured(message_timestamp_type="CreateTime")),
        ["CreateTime", "message.timestamp.type=LogAppendTime"],
        None,
    ),
    "short retention": (
        check_kafka(configured(retention_ms="60000")),
        ["only 60 s", "retention.ms="],
        None,
    ),
    "small messages": (
        check_kafka(configured(max_message_bytes="1000")),
        ["1,000 bytes", "2 MiB"],
        None,
    ),
    "stale hours": (
        check_hours(HourFacts(NOW, overdue=["2026-03-01T05"], oldest_waiting_seconds=4000)),
        ["stale: 1 hours", "2026-03-01T05", "67 min", "fleet ledger --state stale"],
        None,
    ),
    "failed hour": (
        check_hours(trouble()),
        [
            "failed: telemetry of 2026-03-01T05: 4 attempts, next attempt in 3 min",
            "rows break their contract",
            "fleet ledger release 2026-03-01T05 --stage telemetry",
        ],
        None,
    ),
    "failed hour that is due": (check_hours(trouble(due=timedelta(minutes=-1))), ["is due"], None),
    "withheld hour": (check_hours(trouble("withheld")), ["withheld: telemetry of"], None),
    "override": (
        check_hours(
            HourFacts(
                NOW,
                overrides=[ActiveOverride("telemetry", "2026-03-01T05", "ann", NOW, "known fault")],
            )
        ),
        ["override", "ann", "known fault", "fleet ledger revoke 2026-03-01T05 --stage telemetry"],
        None,
    ),
    "damaged raw": (
        check_hours(HourFacts(NOW, damaged={"2026-03-01T05": "files of raw_telemetry: 1 gone"})),
        ["damaged: 2026-03-01T05", "1 gone", "restore"],
        None,
    ),
    "dead run": (
        check_runs(run("STARTED", 5, "dead")),
        ["run abcdef01 of landing is STARTED, but its worker is dead"],
        "end_dead_runs",
    ),
    "stuck run": (check_runs(run("STARTED", 4000, "alive")), ["said nothing for 67 min"], None),
    "stuck queue": (check_runs(run("QUEUED", 4000, "unnamed")), ["in the queue"], None),
    "failed runs": (
        check_runs(runs(failed=[FailedJob("landing", 3, "abcdef0123", "no disk")])),
        ["landing has failed 3 times", "abcdef01", "no disk"],
        None,
    ),
    "failing tick": (
        check_runs(runs(failing_ticks={"landing_sensor": "no Kafka"})),
        ["sensors: the newest tick of landing_sensor failed: no Kafka"],
        None,
    ),
    "failing check": (
        check_runs(runs(failing_checks=["check landings:offsets"])),
        ["checks: check landings:offsets fails"],
        None,
    ),
    "check that never ran": (
        check_runs(
            runs(verdict_age_seconds={k: 1.0 for k in EXPECTED_CHECKS if k[1] != "offsets"})
        ),
        ["landings:offsets has never been evaluated"],
        None,
    ),
    "check that ran long ago": (
        check_runs(runs(verdict_age_seconds=dict.fromkeys(EXPECTED_CHECKS, 1000.0))),
        ["fct_vehicle_hours:freshness is 17 min old"],
        None,
    ),
    "event log": (check_runs(runs(event_log_bytes=3 * GIB)), ["event log", "3.0 GiB"], None),
    "orphans": (
        check_lake(table(orphans={"event_hour=a/x.parquet": 2048})),
        ["orphans: telemetry has 1 files (2 KiB)", "x.parquet"],
        "remove_orphans",
    ),
    "missing files": (
        check_lake(table(missing=["event_hour=a/y.parquet"])),
        ["missing files: telemetry refers to 1 files", "y.parquet", "rebuild"],
        None,
    ),
    "small files": (
        check_lake(table(crowded={"2026-03-01T05": 99})),
        ["small files: 2026-03-01T05 of telemetry lies in 99 files", "upkeep"],
        None,
    ),
    "schema": (check_lake(table(unlike="lacks speed")), ["schema: telemetry: lacks speed"], None),
    "disk": (
        check_disks(
            DiskFacts([Disk("/", ["lake", "kafka"], GIB, 9 * GIB)], 2 * GIB, {"lake": 5 * GIB})
        ),
        ["disk: only 1.0 GiB of 9.0 GiB", "lake 5.0 GiB", "FLEET_DISK_RESERVE_BYTES"],
        None,
    ),
    "python": (check_versions(replace(WELL_VERSIONS, python=(3, 10))), ["Python is 3.10"], None),
    "packages": (
        check_versions(replace(WELL_VERSIONS, differing={"duckdb": ("2.0", "1.9")})),
        ["duckdb 1.9 (locked 2.0)", "`make install`"],
        None,
    ),
    "postgres": (
        check_versions(replace(WELL_VERSIONS, postgres=12)),
        ["PostgreSQL server is version 12"],
        None,
    ),
    "kafka": (
        check_versions(replace(WELL_VERSIONS, kafka="4.2.0")),
        ["4.2.0", "4.3.1", "fleet down"],
        None,
    ),
    "old schema": (
        check_versions(replace(WELL_VERSIONS, migration="0006")),
        ["at migration 0006"],
        "migrate",
    ),
    "unknown schema": (
        check_versions(replace(WELL_VERSIONS, migration="0099")),
        ["does not know", "newer"],
        None,
    ),
    "postgres clock": (
        check_clocks(ClockFacts(postgres=-30)),
        ["PostgreSQL's clock is 30 s behind", "NTP"],
        None,
    ),
    "kafka clock": (check_clocks(ClockFacts(kafka=300)), ["5 min ahead of", "NTP"], None),
    "future": (
        check_clocks(ClockFacts(future={"T-1": 40, "T-2": 2})),
        ["42 messages", "of 2 vehicles", "T-1 (40)", "FLEET_FUTURE_TOLERANCE"],
        None,
    ),
    "fast clock": (check_clocks(ClockFacts(ahead={"T-1": 60.0})), ["ahead of", "T-1 (60 s)"], None),
    "slow clock": (
        check_clocks(ClockFacts(behind={"T-1": 900.0})),
        ["behind", "T-1 (15 min)"],
        None,
    ),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_each_fault_is_named_with_its_cure_in_one_line(fault: str) -> None:
    findings, words, fix = FAULTS[fault]
    (finding,) = findings
    for word in words:
        assert word in finding.line
    assert "\n" not in finding.line
    assert finding.fix == fix
    assert ("--fix" in finding.line) == (fix is not None)


def test_nothing_is_said_of_what_is_well() -> None:
    assert check_services(WELL_SERVICES) == []
    assert check_kafka(WELL_KAFKA) == []
    assert check_hours(HourFacts(NOW)) == []
    assert check_runs(WELL_RUNS) == []
    assert check_runs(RunFacts()) == []  # nothing has landed, so no check has run
    assert check_lake(LakeFacts({"telemetry": TableFacts()}, 86_400)) == []
    assert check_disks(DiskFacts([Disk("/", [], 9 * GIB, 9 * GIB)], 2 * GIB)) == []
    assert check_versions(WELL_VERSIONS) == []
    assert check_clocks(ClockFacts(postgres=0.1, kafka=-5000)) == []
    assert check_runs(run("STARTED", 20, "alive")) == []
    assert check_runs(run("QUEUED", 20, "unnamed")) == []


def test_a_check_whose_first_time_is_still_ahead_is_not_missed() -> None:
    some = {check: 1.0 for check in EXPECTED_CHECKS if check[1] != "offsets"}
    assert check_runs(runs(verdict_age_seconds=some, age_seconds=60.0)) == []
    assert check_runs(runs(verdict_age_seconds=some, age_seconds=10_000.0)) != []


def test_many_findings_of_one_kind_are_counted() -> None:
    hours = [
        HourTrouble("telemetry", f"2026-03-01T{n:02}", "failed", 1, None, "x") for n in range(20)
    ]
    found = check_hours(HourFacts(NOW, troubles=hours))
    assert len(found) == MOST_LINES + 1
    assert "12 more" in found[-1].line
    assert "fleet ledger --state failed" in found[-1].line


def test_a_line_stays_one_line_whatever_it_tells() -> None:
    assert unknown("kafka", "first\n  second", "cure").line.count("\n") == 0
