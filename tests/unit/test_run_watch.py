"""Runs whose worker is dead are ended; runs that work or are just starting are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from subprocess import PIPE

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from fleet_assets.local.run_watch import STARTING_GRACE, end_dead_runs

Status = dg.DagsterRunStatus


@dg.job
def work() -> None:
    """A job without steps."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run_of(instance: dg.DagsterInstance, status: Status, worker: int | None) -> str:
    run = instance.create_run_for_job(work, status=status)
    if worker is not None:
        instance.report_engine_event(
            f"Started process for run (pid: {worker}).", run, EngineEventData.in_process(worker)
        )
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def dead_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.STARTING, Status.FAILURE),
        (Status.STARTED, Status.FAILURE),
        (Status.CANCELING, Status.CANCELED),
        (Status.NOT_STARTED, Status.NOT_STARTED),
        (Status.SUCCESS, Status.SUCCESS),
    ],
)
def test_a_run_with_a_dead_worker_ends(
    instance: dg.DagsterInstance, before: Status, after: Status
) -> None:
    run_id = run_of(instance, before, dead_process())
    end_dead_runs(instance, STARTING_GRACE)
    assert status_of(instance, run_id) is after


def test_a_run_with_a_living_worker_goes_on(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, Status.STARTED, os.getpid())
    assert end_dead_runs(instance, timedelta(0)) == []
    assert status_of(instance, run_id) is Status.STARTED


def test_a_process_that_inherited_the_number_is_not_the_worker(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "1000"]) as later:
        run_id = run_of(instance, Status.STARTED, later.pid)
        monkeypatch.setattr("fleet_assets.local.run_watch._CLOCK_TOLERANCE", timedelta(hours=-1))
        assert end_dead_runs(instance, timedelta(0)) == [run_id]
        later.kill()


def test_a_worker_lives_on_when_the_clock_is_put_forward(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start, as the kernel tells it, moves with the clock; what it runs does not."""
    with subprocess.Popen([sys.executable, "-c", "input()  # execute_run"], stdin=PIPE) as worker:
        run_id = run_of(instance, Status.STARTED, worker.pid)
        monkeypatch.setattr("fleet_assets.local.run_watch._CLOCK_TOLERANCE", timedelta(hours=-1))
        assert end_dead_runs(instance, timedelta(0)) == []
        worker.kill()
        worker.wait()
        assert end_dead_runs(instance, timedelta(0)) == [run_id]


def test_a_run_that_is_starting_has_a_grace(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, Status.STARTING, None)
    assert end_dead_runs(instance, STARTING_GRACE) == []
    assert end_dead_runs(instance, timedelta(0)) == [run_id]
