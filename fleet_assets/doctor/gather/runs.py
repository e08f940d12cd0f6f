"""What Dagster's storage tells, by SQL: importing Dagster would take longer than all else."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import psutil
import psycopg

from fleet_assets.doctor.checks.runs import FailedJob, RunFact, RunFacts
from fleet_assets.warehouse.connection import connect

_WORKER_PID = re.compile(r"Started process for run \(pid: (\d+)\)")
_CLOCK_TOLERANCE_SECONDS = 5.0


def run_facts(
    dagster_url: str, failing_checks: list[str], *, has_data: bool, daemon_runs: bool
) -> RunFacts | None:
    """Facts of Dagster's storage; None: Dagster has never been started here.

    Args:
        dagster_url: Dagster's database.
        failing_checks: checks whose newest verdict is a failure.
        has_data: something was refreshed already.
        daemon_runs: the daemon is there.

    Raises:
        WarehouseError: PostgreSQL does not answer.
    """
    with connect(dagster_url) as connection:
        if not _exists(connection, "runs") or not _exists(connection, "event_logs"):
            return None
        return RunFacts(
            unfinished=_unfinished(connection),
            failed=_failed(connection),
            failing_ticks=_failing_ticks(connection) if daemon_runs else {},
            failing_checks=failing_checks,
            verdict_age_seconds=_verdicts(connection),
            has_data=has_data,
            age_seconds=_one_float(connection, _AGE) or 0.0,
            event_log_bytes=_one(connection, "select pg_total_relation_size('event_logs')"),
            daemon_runs=daemon_runs,
        )


def daemon_silent_seconds(dagster_url: str) -> float | None:
    """Since the daemon has spoken; None: it never has.

    Raises:
        WarehouseError: PostgreSQL does not answer.
    """
    with connect(dagster_url) as connection:
        if not _exists(connection, "daemon_heartbeats"):
            return None
        silent = _one(connection, _HEARTBEAT)
        return None if silent is None else float(silent)


def earliest_live_run(dagster_url: str) -> float | None:
    """Start (Unix time) of the oldest run that is under way; None: none is.

    Raises:
        WarehouseError: PostgreSQL does not answer.
    """
    with connect(dagster_url) as connection:
        if not _exists(connection, "runs"):
            return None
        return _one_float(connection, _EARLIEST)


def _unfinished(connection: psycopg.Connection) -> list[RunFact]:
    found = []
    for run_id, job, status, silent in connection.execute(_UNFINISHED).fetchall():
        events = connection.execute(_ENGINE_EVENTS, {"run_id": run_id}).fetchall()
        found.append(RunFact(run_id, job, status, float(silent), _worker(events)))
    return found


def _worker(events: list[tuple[str, float]]) -> Literal["alive", "dead", "unnamed"]:
    """Whether the process that said it works on the run is still that process."""
    for text, spoke_at in events:
        named = _WORKER_PID.search(text)
        if named is None:
            continue
        try:
            process = psutil.Process(int(named[1]))
            if process.status() == psutil.STATUS_ZOMBIE:
                return "dead"
            same = process.create_time() <= float(spoke_at) + _CLOCK_TOLERANCE_SECONDS
            return "alive" if same else "dead"
        except psutil.NoSuchProcess:
            return "dead"
        except psutil.AccessDenied:
            return "alive"
    return "unnamed"


def _failed(connection: psycopg.Connection) -> list[FailedJob]:
    return [
        FailedJob(job, failures, run_id, _words(error))
        for job, failures, run_id, error in connection.execute(_FAILED).fetchall()
    ]


def _words(event: str | None) -> str:
    """The cause in an event of a failed step or run."""
    try:
        content: Any = json.loads(event or "{}")
    except ValueError:
        return "see its page"
    error = _find(content, "error")
    causes = []
    while isinstance(error, dict):
        causes.append(str(error.get("message", "")).strip())
        error = error.get("cause")
    told = next((cause for cause in reversed(causes) if cause), None)
    if told is None:
        event_of_dagster = _find(content, "dagster_event") or {}
        told = event_of_dagster.get("message") or content.get("user_message") or "see its page"
    return " ".join(str(told).split())


def _find(content: Any, key: str) -> Any:
    """The first object under this key, however deep."""
    if isinstance(content, dict):
        if isinstance(content.get(key), dict):
            return content[key]
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            found = _find(value, key)
            if found is not None:
                return found
    return None


def _failing_ticks(connection: psycopg.Connection) -> dict[str, str]:
    if not _exists(connection, "job_ticks"):
        return {}
    found = {}
    for (body,) in connection.execute(_TICKS).fetchall():
        content = json.loads(body)
        name = str(content.get("instigator_name") or content.get("job_name") or "a sensor")
        error = content.get("error") or {}
        found[name] = " ".join(str(error.get("message") or "no message").split())
    return found


def _verdicts(connection: psycopg.Connection) -> dict[tuple[str, str], float]:
    if not _exists(connection, "asset_check_executions"):
        return {}
    return {
        ("/".join(json.loads(asset)), check): float(age)
        for asset, check, age in connection.execute(_VERDICTS).fetchall()
    }


def _exists(connection: psycopg.Connection, table: str) -> bool:
    return _one(connection, f"select to_regclass('{table}')") is not None


def _one(connection: psycopg.Connection, statement: str) -> Any:
    found = connection.execute(statement.encode()).fetchone()
    return None if found is None else found[0]


def _one_float(connection: psycopg.Connection, statement: str) -> float | None:
    found = _one(connection, statement)
    return None if found is None else float(found)


# Dagster writes times in UTC without a zone; connections here are in UTC.
_NOW = "(clock_timestamp() at time zone 'UTC')"
_AGE = f"select extract(epoch from {_NOW} - min(create_timestamp)) from runs"
_UNFINISHED = f"""
select
    run_id, pipeline_name, status,
    extract(epoch from {_NOW} - coalesce(
        (select max(event_logs.timestamp) from event_logs where event_logs.run_id = runs.run_id),
        update_timestamp
    ))
from runs
where status in ('QUEUED', 'STARTING', 'STARTED', 'CANCELING')
order by id
""".encode()
_ENGINE_EVENTS = b"""
select event, extract(epoch from timestamp at time zone 'UTC') from event_logs
where run_id = %(run_id)s and dagster_event_type = 'ENGINE_EVENT'
order by id desc
"""
_FAILED = b"""
with finished as (
    select
        pipeline_name, run_id, id, status,
        max(id) filter (where status = 'SUCCESS') over (partition by pipeline_name) as last_good
    from runs
    where status in ('SUCCESS', 'FAILURE')
),
failures as (
    select pipeline_name, count(*) as number, max(id) as newest
    from finished
    where status = 'FAILURE' and id > coalesce(last_good, 0)
    group by pipeline_name
)
select
    failures.pipeline_name, failures.number, runs.run_id,
    (
        select event from event_logs
        where event_logs.run_id = runs.run_id
            and dagster_event_type in ('STEP_FAILURE', 'PIPELINE_FAILURE', 'RUN_FAILURE')
        order by event_logs.id limit 1
    )
from failures
inner join runs on failures.newest = runs.id
order by failures.pipeline_name
"""
_TICKS = b"""
select tick_body from (
    select distinct on (selector_id) selector_id, status, tick_body, timestamp
    from job_ticks
    where status <> 'STARTED'
    order by selector_id, timestamp desc
) as newest
where status = 'FAILURE' and timestamp > (clock_timestamp() at time zone 'UTC') - interval '1 day'
"""
_VERDICTS = f"""
select asset_key, check_name, extract(epoch from {_NOW} - max(create_timestamp))
from asset_check_executions
where evaluation_event is not null and execution_status in ('SUCCEEDED', 'FAILED')
group by asset_key, check_name
""".encode()
_HEARTBEAT = f"select extract(epoch from {_NOW} - max(timestamp)) from daemon_heartbeats"
_EARLIEST = "select min(start_time) from runs where status in ('STARTING', 'STARTED', 'CANCELING')"
