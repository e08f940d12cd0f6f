"""Jobs that follow at their own pace: when they may run again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from fleet_assets.assets.runs import unfinished_runs
from fleet_assets.rule_flow import rests_until, tries_again_at

_LOOKED_AT = 8
"""Runs that are looked at for failures in a row."""


def resting(instance: DagsterInstance, job_name: str, share: float, who: str) -> str | None:
    """Why a job is not to be asked for now; None: it may run.

    Args:
        instance: Dagster's.
        job_name: the job; only one run of it works at a time.
        share: of the time that it may take.
        who: what its runs are about, for people.
    """
    if unfinished_runs(instance, job_name):
        return f"a run of {who} is under way"
    until = max(ready_at(instance, job_name, share))
    return f"{who} rest until {until:%H:%M:%S}" if datetime.now(UTC) < until else None


def ready_at(instance: DagsterInstance, job_name: str, share: float) -> tuple[datetime, datetime]:
    """When a job may be tried again, and when it has rested long enough.

    Args:
        instance: Dagster's.
        job_name: the job.
        share: of the time that it may take.
    """
    records = instance.get_run_records(RunsFilter(job_name=job_name), limit=_LOOKED_AT)
    ever = datetime.fromtimestamp(0, UTC)
    if not records or not records[0].end_time or not records[0].start_time:
        return ever, ever
    failed = [record.dagster_run.status == DagsterRunStatus.FAILURE for record in records]
    ended_at = datetime.fromtimestamp(records[0].end_time, UTC)
    took = timedelta(seconds=records[0].end_time - records[0].start_time)
    failures = [*failed, False].index(False)
    return tries_again_at(ended_at, failures), rests_until(ended_at, took, share)
